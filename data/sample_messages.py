"""One message of the sample: its sentences, and that no other message is like it by accident."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from types import MappingProxyType

from data.sample_chatter import BULK_TALK, NEAR_MISSES, SMALL_TALK, WORK
from data.sample_identities import KINDS, MENTIONS, Person, Planted, personal_data
from data.sample_paraphrases import PARAPHRASES
from data.sample_phrases import ENGLISH, Families
from data.sample_slots import expand
from data.sample_translations import (
    FRENCH,
    FRENCH_NEAR_MISSES,
    FRENCH_WORK,
    GERMAN,
    GERMAN_NEAR_MISSES,
    GERMAN_WORK,
)

ORDINARY = "ordinary"
DECISIVE: Mapping[str, Mapping[str, Families]] = MappingProxyType(
    {
        "en": {
            label: Families(known.common, known.rare + PARAPHRASES[label]) for label, known in ENGLISH.items()
        },
        "de": GERMAN,
        "fr": FRENCH,
    }
)
LABELS = (ORDINARY, *ENGLISH)
EVERYDAY = MappingProxyType({"en": WORK + SMALL_TALK, "de": GERMAN_WORK, "fr": FRENCH_WORK})
NEAR = MappingProxyType(
    {
        "en": tuple(sentence for block in NEAR_MISSES.values() for sentence in block),
        "de": GERMAN_NEAR_MISSES,
        "fr": FRENCH_NEAR_MISSES,
    }
)
COMMON_SHARE = 0.4
RARE_A_THREAD = 1
OFF_TOPIC_SHARE = 0.2
NEAR_MISS_SHARE = 0.36
PERSONAL_SHARE = 0.25
BODY_SENTENCES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "email": (0, 0, 1, 1, 1, 2, 2, 4),
        "chat": (0, 0, 0, 1),
        "transcript": (0, 1, 1, 2, 3),
    }
)
DECISIVE_SENTENCES = (1, 2, 2)
ALIKE = 0.6
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Message:
    """What someone wrote, before a format gives it headers, quotes and markup."""

    number: int
    thread: int
    channel: str
    language: str
    label: str
    sender: Person
    recipients: tuple[Person, ...]
    sent_at: datetime
    subject: str
    sentences: tuple[str, ...]
    families: tuple[str, ...] = ()
    planted: tuple[Planted, ...] = ()
    question: int | None = None
    is_reply: bool = False
    is_bulletin: bool = False

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of five words, as a search for near duplicates sees a text."""
    words = _WORD.findall(text.lower())
    return frozenset(zip(*(words[start:] for start in range(5)), strict=False)) or frozenset({tuple(words)})


@dataclass(slots=True)
class Writer:
    """Composes messages one after another; the state keeps families rare and texts apart."""

    shape: Random
    content: Random
    loans_per_family: int
    _loans: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _kinds: list[str] = field(default_factory=list)
    _owners: defaultdict[tuple[str, ...], list[int]] = field(default_factory=lambda: defaultdict(list))
    _sizes: list[int] = field(default_factory=list)

    def borrow(self, label: str, language: str) -> tuple[str, ...]:
        """Return the families that a thread may use for a label: rare ones while the stock lasts."""
        families = DECISIVE[language][label]
        if (language, label) not in self._loans:
            stock = [family for family in families.rare for _ in range(self.loans_per_family)]
            self.shape.shuffle(stock)
            self._loans[language, label] = stock
        stock = self._loans[language, label]
        if len(stock) < RARE_A_THREAD or self.shape.random() < COMMON_SHARE:
            return tuple(self.shape.sample(families.common, 3))
        return tuple(sorted({stock.pop() for _ in range(RARE_A_THREAD)}))

    def sentences(
        self,
        label: str,
        language: str,
        channel: str,
        borrowed: tuple[str, ...],
        *,
        topic: Mapping[str, str],
        fact: str = "",
    ) -> tuple[list[str], list[str]]:
        """Return the sentences of a message unlike any before, and the families of the decisive ones."""
        for attempt in range(60):
            count = min(self.shape.choice(DECISIVE_SENTENCES), len(borrowed))
            families = self.shape.sample(borrowed, count)
            drawn = self._draw(
                label, language, channel, families, topic=topic, fact=fact, longer=attempt // 4
            )
            if self.is_new(" ".join(drawn)):
                return drawn, families
        raise AssertionError("the phrase material is exhausted: more messages than it can tell apart")

    def _draw(
        self,
        label: str,
        language: str,
        channel: str,
        families: list[str],
        *,
        topic: Mapping[str, str],
        fact: str,
        longer: int,
    ) -> list[str]:
        length = self.shape.choice(BODY_SENTENCES[channel]) + longer
        everyday = EVERYDAY[language]
        if label == "spam" and language == "en" and self.shape.random() < 0.6:
            everyday = BULK_TALK
        body = self.shape.sample(everyday, min(length if label != ORDINARY else length + 1, len(everyday)))
        if self.shape.random() < (NEAR_MISS_SHARE if label == ORDINARY else NEAR_MISS_SHARE / 4):
            body.append(self.shape.choice(NEAR[language]))
        body = [self._say(template, language, topic) for template in body]
        special = [self._say(family, language, topic) for family in families] + [fact] * bool(fact)
        for sentence in special:
            body.insert(self.shape.randint(0, len(body)), sentence)
        return body

    def _say(self, template: str, language: str, topic: Mapping[str, str]) -> str:
        """Fill a template, mostly with what the thread is about."""
        digresses = self.shape.random() < OFF_TOPIC_SHARE
        return expand(template, self.shape, language, **({} if digresses else topic))

    def is_new(self, text: str) -> bool:
        """Whether nothing like ``text`` was written before; amounts alone make no two texts different."""
        mine = shingles(_DIGIT.sub("0", text))
        shared = Counter(owner for shingle in mine for owner in self._owners.get(shingle, ()))
        if any(count / (len(mine) + self._sizes[owner] - count) > ALIKE for owner, count in shared.items()):
            return False
        for shingle in mine:
            self._owners[shingle].append(len(self._sizes))
        self._sizes.append(len(mine))
        return True

    def slip(self, language: str, people: tuple[Person, ...]) -> tuple[list[str], tuple[Planted, ...]]:
        """Return sentences that let personal data slip, mostly none; every kind has its turn."""
        if self.shape.random() > PERSONAL_SHARE:
            return [], ()
        planted = []
        for _ in range(self.shape.choice((1, 1, 1, 2))):
            if not self._kinds:
                self._kinds = self.shape.sample(KINDS, len(KINDS))
            kind = self._kinds.pop()
            planted.append(
                Planted(kind, self.shape.choice(people).name)
                if kind == "PERSON"
                else personal_data(kind, self.shape, self.content, language)
            )
        return [
            expand(MENTIONS[language][item.kind], self.shape, value=item.value) for item in planted
        ], tuple(planted)

"""What a classifier does when a message changes in a known way (CheckList: Ribeiro et al. 2020).

Invariance: another name, date, amount, channel or pseudonym must not change the label. Directional:
a clear text of a class must not make that class less likely. Minimum functionality: such a text alone
must be recognised. Figures on a test split are blind to these: its messages share their words with
the training messages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data.dataset import read_messages
from data.declared import read_declared
from data.label_sets import members
from data.model_input import classifier_input
from data.redact import PLACEHOLDER
from evaluation.metrics import Interval, wilson

DEFAULT_PATH = Path(__file__).with_name("behaviour.yaml")
MOST_MESSAGES = 200  # drawn once for all swaps: some seconds on one core
MOST_PER_LABEL = 40
DATE = re.compile(r"(?<![\d.])(?:\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{4})(?![\d.])")
AMOUNT = re.compile(r"(?<![\w.,/-])\d[\d.,]*(?<![.,])(?![\w/-])")
PLACEHOLDERS = "placeholders"
FIRST_DAY = date(2020, 1, 1)

Kind = Literal["invariance", "directional", "functionality"]
Words = Annotated[tuple[str, ...], Field(min_length=2)]
Swap = Callable[[str, Random], str]


class Declared(BaseModel):
    """Everything that evaluation/behaviour.yaml declares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance: float = Field(ge=0, lt=1)
    swaps: dict[str, Words]
    texts: dict[str, Words]
    digest: str = ""


class Answers(Protocol):
    """Probabilities of ``labels``, one row per text, and the labels given: `training.scores.Scores`."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def probabilities(self) -> NDArray[Any]: ...

    def best(self) -> list[str]: ...


Ask = Callable[[Sequence[str]], Answers]


@dataclass(frozen=True, slots=True)
class BehaviourTest:
    """How many cases of one kind failed, with Wilson's interval; ``name`` is a swap or a label."""

    kind: Kind
    name: str
    cases: int
    failures: int
    rate: Interval


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All tests, what they allow, and the labels of the dataset that nobody has declared texts for."""

    tests: tuple[BehaviourTest, ...]
    tolerance: float
    undeclared: tuple[str, ...]
    digest: str
    confidence: float = 0.95

    def total(self, kind: Kind) -> BehaviourTest | None:
        """Return all tests of a kind as one; None when it had no case.

        Placeholders are left out: no model is given their digits, and tests that cannot fail would dilute
        the share.
        """
        of_kind = [test for test in self.tests if test.kind == kind and test.name != PLACEHOLDERS]
        cases, failures = sum(test.cases for test in of_kind), sum(test.failures for test in of_kind)
        return _test(kind, "all", cases, failures, self.confidence) if cases else None


@dataclass(frozen=True, slots=True, repr=False)
class _Case:
    """One text that is asked, beside the one it is compared with; never shown, never written."""

    kind: Kind
    name: str
    text: str
    before: str


def load_behaviour(path: Path = DEFAULT_PATH) -> Declared:
    """Read the declared behaviour and put the file's SHA-256 beside it.

    Raises:
        UserError: no such file, or a key that is unknown, missing or of another type.
    """
    return read_declared(
        path,
        Declared,
        what="the declared behaviour",
        way_out=f"compare with {DEFAULT_PATH}",
        beside=lambda content: {"digest": hashlib.sha256(content).hexdigest()},
    )


def measure_behaviour(
    ask: Ask,
    prepared: str | Path,
    labels: Sequence[str],
    *,
    benign: Sequence[str],
    declared: Declared,
    confidence: float = 0.95,
    seed: int = 7,
) -> Behaviour:
    """Put every case to the classifier; ``labels`` are those of the dataset.

    Swaps need no declared label and are always tested. Labels without texts are left out and named,
    and so is a declared label that the dataset has not.
    """
    rows = _drawn(prepared, seed)
    known = {label: texts for label, texts in declared.texts.items() if label in labels}
    alarms = {label: texts for label, texts in known.items() if label not in benign}
    cases = [
        *_swapped(rows, declared.swaps, seed),
        *_headed(rows, alarms),
        *(
            _Case("functionality", label, classifier_input("", text), "")
            for label, texts in known.items()
            for text in texts
        ),
    ]
    unknown = tuple(label for label in labels if label not in known)
    texts = list(dict.fromkeys(text for case in cases for text in (case.text, case.before) if text))
    if not texts:
        return Behaviour((), declared.tolerance, unknown, declared.digest, confidence)
    failed = _failures(cases, texts, ask(texts), declared.tolerance)
    tests = []
    for kind, name in dict.fromkeys((case.kind, case.name) for case in cases):
        own = [row for row, case in enumerate(cases) if (case.kind, case.name) == (kind, name)]
        tests.append(_test(kind, name, len(own), sum(failed[row] for row in own), confidence))
    return Behaviour(tuple(tests), declared.tolerance, unknown, declared.digest, confidence)


def _test(kind: Kind, name: str, cases: int, failures: int, confidence: float) -> BehaviourTest:
    return BehaviourTest(kind, name, cases, failures, wilson(failures, cases, confidence))


def _failures(cases: Sequence[_Case], texts: Sequence[str], said: Answers, tolerance: float) -> list[bool]:
    """Say of every case whether it failed; an answer with NaN has."""
    row = {text: number for number, text in enumerate(texts)}
    column = {label: number for number, label in enumerate(said.labels)}
    probabilities = np.asarray(said.probabilities, dtype=np.float64)
    best = said.best()
    whole = np.asarray(np.isfinite(probabilities).all(axis=1))

    def fails(case: _Case) -> bool:
        after = row[case.text]
        if not whole[after] or (case.before and not whole[row[case.before]]):
            return True
        if case.kind == "invariance":
            return best[after] != best[row[case.before]]
        place = column.get(case.name)
        if place is None:
            return True
        if case.kind == "functionality":
            return case.name not in members(best[after])
        return bool(probabilities[after, place] < probabilities[row[case.before], place] - tolerance)

    return [fails(case) for case in cases]


def _drawn(prepared: str | Path, seed: int) -> list[dict[str, str]]:
    columns = ("message_id", "subject", "text")
    rows = read_messages(prepared, columns=columns, split="test", labelled=True).to_pylist()
    rows = [{name: row[name] or "" for name in columns} for row in rows]
    return Random(seed).sample(rows, min(MOST_MESSAGES, len(rows)))  # noqa: S311 (an order, not a secret)


def _swapped(
    rows: Sequence[Mapping[str, str]], swaps: Mapping[str, Sequence[str]], seed: int
) -> Iterator[_Case]:
    """Yield the messages in which a kind of word occurs, with others of that kind."""
    kinds: dict[str, Swap] = {name: _words(words) for name, words in swaps.items()}
    kinds |= {"dates in figures": _dates, "amounts": _amounts, PLACEHOLDERS: _pseudonyms}
    for name, swap in kinds.items():
        for row in rows:
            chance = Random(f"{seed}:{name}:{row['message_id']}")  # noqa: S311 (a choice, not a secret)
            whole = f"{row['subject']}\0{row['text']}"
            after = swap(whole, chance)
            if after != whole:
                text = classifier_input(*after.split("\0", 1))
                yield _Case("invariance", name, text, classifier_input(row["subject"], row["text"]))


def _headed(rows: Sequence[Mapping[str, str]], texts: Mapping[str, Sequence[str]]) -> Iterator[_Case]:
    """Yield messages that begin with a text of a label: at the end of a long one no model would read it."""
    for label, choices in texts.items():
        for number, row in enumerate(rows[:MOST_PER_LABEL]):
            added = f"{choices[number % len(choices)]} {row['text']}"
            before = classifier_input(row["subject"], row["text"])
            yield _Case("directional", label, classifier_input(row["subject"], added), before)


def _words(words: Sequence[str]) -> Swap:
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")

    def swap(text: str, chance: Random) -> str:
        """Exchange every word for another, the same word for the same."""
        others: dict[str, str] = {}
        for found in pattern.findall(text):
            if found not in others:
                others[found] = chance.choice([word for word in words if word != found])
        return pattern.sub(lambda match: others[match[0]], text)

    return swap


def _dates(text: str, chance: Random) -> str:
    def other(match: re.Match[str]) -> str:
        day = FIRST_DAY + timedelta(days=chance.randrange(3650))
        if "-" in match[0]:
            return day.isoformat()
        sign = "." if "." in match[0] else "/"
        return f"{min(day.day, 12)}{sign}{day.month}{sign}{day.year}"

    return DATE.sub(other, text)


def _amounts(text: str, chance: Random) -> str:
    """Exchange the digits of numbers; dates and placeholders are no amounts."""
    dates = {match.start() for match in DATE.finditer(text)}

    def other(match: re.Match[str]) -> str:
        if match.start() in dates:
            return match[0]
        return re.sub(r"\d", lambda _: str(chance.randrange(1, 10)), match[0])

    return AMOUNT.sub(other, text)


def _pseudonyms(text: str, chance: Random) -> str:
    return PLACEHOLDER.sub(lambda match: f"[{match[1]}_{chance.randrange(16**8):08x}]", text)

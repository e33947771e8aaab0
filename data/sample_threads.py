"""Who talks to whom, when, and in which thread somebody goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from data.sample_facts import Fact
from data.sample_identities import Person, bulk_senders, outsiders, staff
from data.sample_messages import LABELS, ORDINARY, Message, Writer
from data.sample_slots import expand, topic

START = datetime(2024, 1, 2, tzinfo=UTC)
DAYS = 540
BAD_SHARE = 0.0617
CHANNELS = {"email": 0.64, "chat": 0.28, "transcript": 0.08}
LANGUAGES = {"en": 0.8, "de": 0.1, "fr": 0.1}
SUBJECTS = {
    "en": (
        "{firm}",
        "{client} and {firm}",
        "Question on {bond}",
        "{day}",
        "{desk} desk",
        "Quick one",
        "{report}",
        "Your {hour} call",
        "{client}",
        "{system}",
        "Follow-up {month}",
        "Before the weekend",
    ),
    "de": ("{firm}", "Frage zu {bond}", "{client}", "{report}", "Kurz", "{day}"),
    "fr": ("{firm}", "Question sur {bond}", "{client}", "{report}", "Rapide", "{day}"),
}
BULK_SUBJECTS = (
    "Read this first",
    "For you",
    "Important notice",
    "Last reminder",
    "{day} only",
    "News from {place}",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A thread to be written: its channel, language and the label of each message in order."""

    channel: str
    language: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A fact that a message mentions, and the number of the question that asks for it."""

    question: int | None
    sentence: str


def write_threads(rng: Random, writer: Writer, messages: int, facts: Sequence[Fact]) -> list[list[Message]]:
    """Return ``messages`` messages in threads, labels unbalanced, one label a message.

    A thread with misconduct holds ordinary messages too; ``facts`` go into ordinary messages,
    one in six of them twice.
    """
    plans = _plans(rng, messages)
    places = [
        (thread, place)
        for thread, plan in enumerate(plans)
        for place, label in enumerate(plan.labels)
        if label == ORDINARY and plan.language == "en"
    ]
    tellings = [Told(question, fact.sentence) for question, fact in enumerate(facts)]
    tellings += tellings[: len(facts) // 6]
    told = dict(zip(rng.sample(places, len(tellings)), tellings, strict=True))
    threads: list[list[Message]] = []
    number = 0
    for thread, plan in enumerate(plans):
        known = {place: told[thread, place] for place in range(len(plan.labels)) if (thread, place) in told}
        threads.append(_write(plan, rng, writer, thread=thread, number=number, told=known))
        number += len(plan.labels)
    return threads


def _plans(rng: Random, messages: int) -> list[Plan]:
    bad = {label: max(4, round(messages * BAD_SHARE)) for label in LABELS if label != ORDINARY}
    ordinary = messages - sum(bad.values())
    plans: list[Plan] = []
    for label, quota in bad.items():
        missing = quota
        while missing:
            guilty = min(missing, rng.choice((1, 1) if label == "spam" else (1, 2, 2, 3)))
            channel = _drawn(rng, CHANNELS if label != "spam" else {"email": 0.85, "chat": 0.15})
            wanted = (
                rng.randint(3, 5)
                if channel == "transcript"
                else rng.choice((0, 0, 1) if label == "spam" else (0, 1, 1, 2))
            )
            honest = min(ordinary, wanted)
            labels = [label] * guilty + [ORDINARY] * honest
            rng.shuffle(labels)
            if label == "spam":
                labels.sort(key=lambda name: name == ORDINARY)
            plans.append(Plan(channel, _drawn(rng, LANGUAGES), tuple(labels)))
            missing -= guilty
            ordinary -= honest
    while ordinary:
        has_no_call = all(plan.channel != "transcript" for plan in plans)
        channel = "transcript" if has_no_call else _drawn(rng, CHANNELS | {"transcript": 0.03})
        length = min(
            ordinary, rng.randint(5, 8) if channel == "transcript" else rng.choice((1, 1, 2, 3, 4, 5))
        )
        plans.append(Plan(channel, _drawn(rng, LANGUAGES), (ORDINARY,) * length))
        ordinary -= length
    rng.shuffle(plans)
    return plans


def _drawn(rng: Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def _write(
    plan: Plan,
    rng: Random,
    writer: Writer,
    *,
    thread: int,
    number: int,
    told: Mapping[int, Told],
) -> list[Message]:
    people = _people(plan, rng)
    about = topic(rng, plan.language)
    subjects = SUBJECTS[plan.language] if "spam" not in plan.labels else BULK_SUBJECTS
    subject = expand(rng.choice(subjects), rng, plan.language, **about)
    borrowed = {
        label: writer.borrow(label, plan.language)
        for label in dict.fromkeys(plan.labels)
        if label != ORDINARY
    }
    written = []
    for place, (label, sent_at) in enumerate(zip(plan.labels, _times(plan, rng), strict=True)):
        fact = told.get(place, Told(None, ""))
        sentences, families = writer.sentences(
            label,
            plan.language,
            plan.channel,
            borrowed.get(label, ()),
            topic=about,
            fact=fact.sentence,
        )
        sender = people[0] if label == "spam" else rng.choice(people[1:] if "spam" in plan.labels else people)
        mentions, planted = writer.slip(plan.language, people)
        others = tuple(person for person in people if person is not sender)
        written.append(
            Message(
                number + place,
                thread,
                plan.channel,
                plan.language,
                label,
                sender,
                others,
                sent_at,
                subject,
                (*sentences, *mentions),
                tuple(families),
                planted,
                fact.question,
                is_reply=place > 0,
            )
        )
    return written


def _people(plan: Plan, rng: Random) -> tuple[Person, ...]:
    insiders = rng.sample(staff(), rng.choice((2, 2, 3, 4)))
    if "spam" in plan.labels:
        return rng.choice(bulk_senders()), *insiders[:2]
    if plan.channel == "email" and rng.random() < 0.3:
        insiders[-1] = rng.choice(outsiders())
    return tuple(insiders)


def _times(plan: Plan, rng: Random) -> Iterator[datetime]:
    """Yield office hours; chats crowd on one day in ten, so that a day file holds several threads."""
    day = rng.randrange(DAYS) if plan.channel != "chat" else rng.randrange(DAYS // 10) * 10
    moment = START + timedelta(
        days=day, hours=rng.randint(8, 15), minutes=rng.randrange(60), seconds=rng.randrange(60)
    )
    for _ in plan.labels:
        yield moment
        pause = {
            "email": rng.randint(300, 90_000),
            "chat": rng.randint(40, 2_400),
            "transcript": rng.randint(100, 160),
        }
        moment += timedelta(seconds=pause[plan.channel])

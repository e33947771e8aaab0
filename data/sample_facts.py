"""Facts that ordinary messages of the sample mention in passing, and questions for them in other words."""

# ruff: noqa: E501 - a phrase is a line

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from random import Random
from types import MappingProxyType

from data.sample_slots import DAYS, FIRST_NAMES, MONTHS, PLACES, dice, expand

SUBJECTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "loan": (
            "Halden",
            "Tisvik",
            "Morrane",
            "Quellmark",
            "Osmund",
            "Strandvik",
            "Ulmen",
            "Perrin Ports",
            "Ennis Tolls",
            "Gavle",
        ),
        "project": (
            "Heron",
            "Marble",
            "Sextant",
            "Lantern",
            "Bluefin",
            "Obsidian",
            "Windmill",
            "Compass",
            "Saffron",
            "Pinecone",
        ),
        "customer": (
            "Velmar Insurance",
            "Corrigan Office",
            "Ashby Nurses",
            "Sundholm",
            "Tregarth Dairies",
            "Palatine Museum",
            "Weststrand Port",
            "Oriole Schools",
            "Bexhill Housing",
            "Lakeside Clinics",
        ),
    }
)
FACTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "loan": (
            "The settlement of the {name} bond [moved|has been put back] to {date}.|On which date do we finally settle {name}?",
            "The {name} bond [pays|comes with] a coupon of {rate} percent.|What interest does the {name} issue carry?",
            "For {name} the trustee is now {firm}.|Who acts as trustee on the {name} paper?",
            "We were allotted {sum} of the {name} issue.|How much of {name} did the syndicate give us?",
            "The call option on {name} starts in {year}.|From when may the borrower redeem {name} early?",
            "{name} was downgraded to {grade} last night.|What is the rating of {name} now?",
            "Holders of {name} meet in {place} to vote on the waiver.|Where do the {name} creditors gather?",
        ),
        "project": (
            "The go-live of project {name} is [planned for|set for] {date}.|When will {name} start in production?",
            "Project {name} has a budget of {sum} this year.|How much money may the {name} team spend?",
            "{person} takes over project {name} from next month.|Who will be leading {name}?",
            "The pilot of project {name} runs in our {place} office.|At which site do we try out {name} first?",
            "Project {name} replaces {old}.|Which system is going to be retired thanks to {name}?",
            "The steering group of {name} meets every {day} at {hour}.|When does the committee for {name} come together?",
            "We test {name} with {count} users before the summer.|How many people take part in the {name} trial?",
        ),
        "customer": (
            "{name} [agreed to|accepted] a fee of {rate} basis points.|What do we charge {name}?",
            "The credit line of {name} was raised to {sum}.|How far may {name} borrow?",
            "The contact at {name} is {person} from now on.|Whom should I call at {name}?",
            "{name} holds its board meeting in {place} on {date}.|Where and when do the directors of {name} meet?",
            "{name} asked for the statement on paper, sent every {day}.|On what weekday does {name} expect its printed statement?",
            "The mandate of {name} ends on {date}.|Until when does our agreement with {name} run?",
            "{name} changed its custodian to {firm}.|Who keeps the securities of {name} in custody?",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence for a message; with the same question for a subject that no message knows, ``sentence`` is empty."""

    sentence: str
    question: str
    answer: str


def facts(seed: int, planted: int, unanswerable: int) -> tuple[Fact, ...]:
    """Return ``planted`` facts and after them ``unanswerable`` questions on the same themes.

    An unanswerable question asks a thing of a subject of which the archive only knows other things.
    """
    rng = dice(seed, "facts")
    pairs = [
        (group, template, name) for group in SUBJECTS for template in FACTS[group] for name in SUBJECTS[group]
    ]
    rng.shuffle(pairs)
    wanted = pairs[: planted + unanswerable]
    if len(wanted) < planted + unanswerable:
        planted = len(wanted) * planted // (planted + unanswerable)
    values = _values(rng)
    return tuple(
        _fact(template, name, rng, next(values), is_known=number < planted)
        for number, (_, template, name) in enumerate(wanted)
    )


def _values(rng: Random) -> Iterator[dict[str, str]]:
    for turn in cycle(range(12)):
        yield {
            "date": f"{rng.randint(1, 28)} {MONTHS['en'].split()[turn]} {rng.choice((2025, 2026))}",
            "rate": f"{rng.randint(1, 9)}.{rng.randint(11, 99)}",
            "sum": f"{rng.randint(11, 98)} million euros",
            "year": str(rng.randint(2027, 2036)),
            "grade": rng.choice(("BBB minus", "BB plus", "A minus", "B plus")),
            "place": rng.choice(PLACES),
            "person": rng.choice(FIRST_NAMES),
            "count": str(rng.randint(12, 95)),
            "old": rng.choice(
                ("the fax gateway", "OrderBox", "the Friday spreadsheet", "PaperTrail", "the green screens")
            ),
            "firm": rng.choice(("Ostwall Trust", "Banque Mirabel", "Harcourt Nominees", "Pilgrim Custody")),
            "day": rng.choice(DAYS["en"].split()),
            "hour": f"{rng.randint(8, 17)}:{rng.choice(('00', '15', '30'))}",
        }


def _fact(template: str, name: str, rng: Random, values: dict[str, str], *, is_known: bool) -> Fact:
    statement, _, question = template.rpartition("|")
    sentence = expand(statement, rng, name=name, **values)
    answer = " ".join(
        value for slot, value in values.items() if f"{{{slot}}}" in statement and slot != "hour"
    )
    if "{hour}" in statement:
        answer += f" {values['hour']}"
    return Fact(sentence if is_known else "", question.replace("{name}", name), answer if is_known else "")

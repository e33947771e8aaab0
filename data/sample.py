"""The sample archive: the communications of a brokerage that never was, with the truth beside it.

What an archive of this name holds::

    mail/archive.mbox      mboxrd                       source "mail/archive.mbox#3"
    maildir/{cur,new,tmp}  Maildir                      source "maildir/cur/1704….mail:2,S"
    eml/YYYY-MM/*.eml      one mail a file              source "eml/2024-05/00017.eml"
    slack/ROOM/DAY.json    a Slack export               source "slack/sales/2024-05-06.json#0"
    teams/export.json      Microsoft Graph chatMessages source "teams/export.json#12"
    calls/*.vtt            WebVTT transcripts           source "calls/….vtt#2" (passages)
    labels.csv             source,label
    questions.jsonl        question, answer, sources, answerable

The truth (``ARCHIVE.truth.json``) says for every source which label, thread and personal data were
planted, what it is a copy of and whether it is broken. It is for tests: no stage ever reads it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from data.sample_chats import write_calls, write_slack, write_teams
from data.sample_copies import MUST_REJECT, STRAYS, VARIANTS, Damage, bulletins, damaged_mails
from data.sample_facts import Fact, facts
from data.sample_identities import bulk_senders, outsiders, staff
from data.sample_mail import Mail, write_eml, write_mail, write_maildir, write_mbox
from data.sample_messages import Message, Writer
from data.sample_slots import dice
from data.sample_threads import write_threads
from data.workspace import UserError, write_atomically

FEWEST_MESSAGES = 200
COPIES, NEAR_COPIES, DAMAGED, UNLABELLED = 0.03, 0.03, 0.01, 0.05
MAIL_HOMES = {"mbox": 0.53, "maildir": 0.27, "eml": 0.2}
SCATTERED = 0.15
CHAT_HOMES = {"slack": 0.6, "teams": 0.4}
MBOX = "mail/archive.mbox"


@dataclass(slots=True)
class Truth:
    """What lies where: filled while the archive is written."""

    places: dict[str, Message] = field(default_factory=dict)
    duplicate_of: dict[str, str] = field(default_factory=dict)
    near_duplicate_of: dict[str, str] = field(default_factory=dict)
    malformed: dict[str, str] = field(default_factory=dict)


def write_sample(archive: Path, *, seed: int = 7, messages: int = 2400, identity: int | None = None) -> Path:
    """Write the archive in one step and return its path; the same seed writes the same bytes.

    ``identity`` varies the digits and letters of the planted personal data and nothing else, not
    even a length: for tests of non-interference.

    Raises:
        UserError: too few messages, or a folder in the way that is no sample.
    """
    truth_path = archive.with_name(f"{archive.name}.truth.json")
    if messages < FEWEST_MESSAGES:
        raise UserError(
            f"a sample of {messages} messages cannot hold every case; ask for {FEWEST_MESSAGES} or more"
        )
    if archive.exists() and not truth_path.exists() and (archive.is_file() or any(archive.iterdir())):
        raise UserError(f"{archive} exists and is no sample archive; choose another folder")
    rng = dice(seed, "archive")
    known = facts(seed, max(12, messages // 40), max(5, messages // 120))
    with write_atomically(archive) as part:
        truth = _write_archive(
            part, rng, _compose(rng, seed, seed if identity is None else identity, messages, known), messages
        )
        _write_labels(part / "labels.csv", truth, rng)
        _write_questions(part / "questions.jsonl", known, truth)
        with write_atomically(truth_path) as temporary:
            temporary.write_text(_render(truth, seed, part / "labels.csv"), encoding="utf-8")
    return archive


def _compose(
    rng: Random, seed: int, identity: int, messages: int, known: Sequence[Fact]
) -> list[list[Message]]:
    """Return the threads; those of the bulletins, one message each, stand at the end."""
    writer = Writer(dice(seed, "shape"), dice(identity, "content"), max(1, round(messages / 1200)))
    originals = max(3, round(messages * NEAR_COPIES / VARIANTS))
    plain = messages - round(messages * COPIES) - originals * (VARIANTS + 1) - 8 * _damage_rounds(messages)
    threads = write_threads(rng, writer, plain, [fact for fact in known if fact.sentence])
    families = bulletins(rng, writer, originals, plain, len(threads))
    return [*threads, *([message] for family in families for message in family)]


def _damage_rounds(messages: int) -> int:
    """Return how many of each of the eight kinds of damage there are."""
    return min(3, max(1, round(messages * DAMAGED / 8)))


def _write_archive(folder: Path, rng: Random, threads: list[list[Message]], messages: int) -> Truth:
    truth, rounds = Truth(), _damage_rounds(messages)
    by_number = {message.number: message for thread in threads for message in thread}
    homes: dict[str, list[list[Message]]] = {"slack": [], "teams": [], "transcript": [], "email": []}
    for thread in threads:
        channel = thread[0].channel
        homes[_drawn(rng, CHAT_HOMES) if channel == "chat" else channel].append(thread)
    _write_mails(folder, rng, homes["email"], truth, copies=round(messages * COPIES), rounds=rounds)
    strays = [STRAYS[place] for place in range(2 * rounds)]
    chats = {
        "slack": write_slack(folder / "slack", homes["slack"], [entry for _, entry in strays], rng),
        "teams": write_teams(folder / "teams" / "export.json", homes["teams"]),
        "calls": write_calls(folder / "calls", homes["transcript"], rounds, rng),
    }
    for name, places in chats.items():
        for place in places:
            source = f"{name}/{place.source}#{place.locator}"
            if place.message >= 0:
                truth.places[source] = by_number[place.message]
            else:
                truth.malformed[source] = strays[-place.message - 1][0] if name == "slack" else "bad_timing"
    return truth


def _drawn(rng: Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def _write_mails(
    folder: Path, rng: Random, threads: list[list[Message]], truth: Truth, *, copies: int, rounds: int
) -> None:
    boxes: dict[str, list[tuple[Message, Mail]]] = {home: [] for home in MAIL_HOMES}
    for thread in threads:
        home = _drawn(rng, MAIL_HOMES)
        scattered = rng.random() < SCATTERED
        for place, message in enumerate(thread):
            answered = thread[place - 1] if place else None
            mail = write_mail(message, answered, tuple(earlier.number for earlier in thread[:place]), rng)
            boxes[_drawn(rng, MAIL_HOMES) if scattered else home].append((message, mail))
    copied = rng.sample([pair for pair in boxes["mbox"] if not pair[0].is_bulletin], copies)
    boxes["maildir"] += copied
    filed = {
        home: sorted(pairs, key=lambda pair: (pair[0].sent_at, pair[0].number))
        for home, pairs in boxes.items()
    }
    mails = {home: [mail for _, mail in pairs] for home, pairs in filed.items()}
    write_mbox(folder / MBOX, mails["mbox"])
    sources = {
        "mbox": [f"{MBOX}#{locator}" for locator in range(len(mails["mbox"]))],
        "maildir": [f"maildir/{name}" for name in write_maildir(folder / "maildir", mails["maildir"])],
        "eml": [f"eml/{name}" for name in write_eml(folder / "eml", mails["eml"])],
    }
    for home, names in sources.items():
        truth.places.update(zip(names, (message for message, _ in filed[home]), strict=True))
    _note_copies(
        truth,
        {message.number for message, _ in copied},
        [thread[0] for thread in threads if thread[0].is_bulletin],
    )
    for damage in damaged_mails(rng, rounds):
        _write_damage(folder, damage, truth)


def _note_copies(truth: Truth, copied: set[int], bulletins: list[Message]) -> None:
    where = {message.number: source for source, message in reversed(truth.places.items())}
    for source, message in truth.places.items():
        if message.number in copied and source.startswith("maildir/"):
            truth.duplicate_of[source] = where[message.number]
    for place, bulletin in enumerate(bulletins):
        if place % (VARIANTS + 1):
            original = bulletins[place - place % (VARIANTS + 1)]
            truth.near_duplicate_of[where[bulletin.number]] = where[original.number]


def _write_damage(folder: Path, damage: Damage, truth: Truth) -> None:
    path = folder / damage.source
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage.data)
    truth.malformed[damage.source] = damage.reason


def _write_labels(path: Path, truth: Truth, rng: Random) -> None:
    hidden = set(
        rng.sample(
            sorted({message.number for message in truth.places.values()}),
            round(len(truth.places) * UNLABELLED),
        )
    )
    with open(path, "w", encoding="utf-8", newline="") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(("source", "label"))
        rows.writerows(
            (source, message.label)
            for source, message in truth.places.items()
            if message.number not in hidden
        )


def _write_questions(path: Path, known: Iterable[Fact], truth: Truth) -> None:
    answers: dict[int, list[str]] = {}
    for source, message in truth.places.items():
        if message.question is not None and source not in truth.duplicate_of:
            answers.setdefault(message.question, []).append(source)
    lines = [
        {
            "question": fact.question,
            "answer": fact.answer,
            "sources": answers.get(number, []),
            "answerable": bool(fact.sentence),
        }
        for number, fact in enumerate(known)
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _render(truth: Truth, seed: int, labels_path: Path) -> str:
    with open(labels_path, encoding="utf-8", newline="") as handle:
        labelled = {source for source, _ in csv.reader(handle)}
    sources: dict[str, object] = {
        source: {
            "label": message.label,
            "labelled": source in labelled,
            "channel": message.channel,
            "language": message.language,
            "thread": f"t{message.thread:05d}",
            "text": message.text,
            "families": message.families,
            "pii": [asdict(planted) for planted in message.planted],
            "duplicate_of": truth.duplicate_of.get(source),
            "near_duplicate_of": truth.near_duplicate_of.get(source),
            "malformed": None,
            "must_reject": False,
        }
        for source, message in truth.places.items()
    }
    sources |= {
        source: {
            "label": None,
            "labelled": False,
            "malformed": reason,
            "must_reject": reason in MUST_REJECT,
            "pii": [],
            "duplicate_of": None,
            "near_duplicate_of": None,
            "thread": None,
        }
        for source, reason in truth.malformed.items()
    }
    people = [asdict(person) for person in (*staff(), *outsiders(), *bulk_senders())]
    return (
        json.dumps(
            {"schema_version": 1, "seed": seed, "people": people, "sources": sources},
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )

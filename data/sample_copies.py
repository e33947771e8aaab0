"""What an archive holds more than once, and what arrives broken: near duplicates and damaged files."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from data.sample_chatter import BULLETINS, WORK
from data.sample_identities import bulk_senders, staff
from data.sample_messages import DECISIVE, ORDINARY, Message, Writer, shingles
from data.sample_slots import expand
from data.sample_threads import DAYS, START

VARIANTS = 2
NEAR_ENOUGH = 0.83
FEWEST_WORDS = 55
ASIDES = ("For your information.", "Second try.", "Corrected version.", "With apologies for the double mail.")
_NUMBER = re.compile(r"\b\d+\b")


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is no sound mail: where it lies in the archive, its bytes, and what ails it."""

    source: str
    data: bytes
    reason: str


MUST_REJECT = frozenset({"empty_file", "binary_junk", "not_an_object"})
STRAYS: tuple[tuple[str, object], ...] = (
    ("not_an_object", "a line that fell out of its message"),
    ("no_text", {"type": "message", "user": "U00003", "ts": "1704200000.000000"}),
    ("not_an_object", 4711),
    ("no_text", {"type": "message", "user": "U00004"}),
    ("not_an_object", None),
    ("no_text", {"type": "message", "text": None, "user": "U00005"}),
)


def bulletins(
    rng: Random, writer: Writer, originals: int, first_number: int, first_thread: int
) -> list[list[Message]]:
    """Return newsletters and advertising campaigns, each as a list of the original and its variants."""
    families = []
    for turn in range(originals):
        original = _bulletin(rng, writer, is_spam=turn % 3 == 2)
        numbered = [original, *(_variant(original, rng) for _ in range(VARIANTS))]
        families.append(
            [
                replace(
                    message,
                    number=first_number + turn * (VARIANTS + 1) + copy,
                    thread=first_thread + turn * (VARIANTS + 1) + copy,
                    sent_at=original.sent_at + timedelta(hours=7 * copy),
                )
                for copy, message in enumerate(numbered)
            ]
        )
    return families


def _bulletin(rng: Random, writer: Writer, *, is_spam: bool) -> Message:
    sent_at = START + timedelta(days=rng.randrange(DAYS), hours=7, minutes=rng.randrange(60))
    sender = rng.choice(bulk_senders() if is_spam else staff())
    while True:
        if is_spam:
            chosen = rng.sample([*DECISIVE["en"]["spam"].common, *DECISIVE["en"]["spam"].rare], 7)
        else:
            chosen = [rng.choice(BULLETINS), *rng.sample(WORK, 6)]
        sentences = tuple(expand(template, rng) for template in chosen)
        text = " ".join(sentences)
        if len(text.split()) >= FEWEST_WORDS and len(_NUMBER.findall(text)) and writer.is_new(text):
            break
    recipients = tuple(rng.sample([person for person in staff() if person != sender], 3))
    subject = expand("Offers for {month}" if is_spam else "Bulletin {month}", rng)
    return Message(
        0,
        0,
        "email",
        "en",
        "spam" if is_spam else ORDINARY,
        sender,
        recipients,
        sent_at,
        subject,
        sentences,
        is_bulletin=True,
    )


def _variant(original: Message, rng: Random) -> Message:
    while True:
        sentences = list(original.sentences)
        if rng.random() < 0.5:
            sentences.insert(rng.choice((0, len(sentences))), rng.choice(ASIDES))
        else:
            place = rng.choice(
                [place for place, sentence in enumerate(sentences) if _NUMBER.search(sentence)]
            )
            sentences[place] = _NUMBER.sub(str(rng.randint(2, 99)), sentences[place], count=1)
        variant = replace(original, sentences=tuple(sentences))
        if NEAR_ENOUGH <= similarity(variant.text, original.text) < 1:
            return variant


def similarity(one: str, other: str) -> float:
    """Return the Jaccard similarity of the texts' runs of five words."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def damaged_mails(rng: Random, rounds: int) -> list[Damage]:
    """Return ``rounds`` times five broken mails: empty, junk, bad base64, cut off, and in no encoding."""
    plain = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
    broken: list[Damage] = []
    for turn in range(rounds):
        folder = f"eml/damaged-{turn:02d}"
        bodies = {
            "broken_base64": plain + b"base64\r\n\r\nSGFsbG8*gV2VsdA=Zw%%=\r\nQ\r\n",
            "truncated_multipart": b'Content-Type: multipart/mixed; boundary="cut"\r\n\r\n--cut\r\n'
            + plain
            + b"7bit\r\n\r\nThe first part is whole\r\n--cut\r\nContent-Type: text/csv\r\n\r\nline,qua",
            "undecodable_bytes": plain + b"8bit\r\n\r\nGr\xfc\xdfe \xff\xfe\xc3\x28 from n\xb0 %d\r\n" % turn,
        }
        broken += [
            Damage(f"{folder}/empty.eml", b"", "empty_file"),
            Damage(f"{folder}/junk.eml", bytes([0, 159, 146, 150]) + rng.randbytes(400), "binary_junk"),
            *(
                Damage(f"{folder}/{reason}.eml", _headers(reason, turn) + body, reason)
                for reason, body in bodies.items()
            ),
        ]
    return broken


def _headers(reason: str, turn: int) -> bytes:
    return (
        f"From: <{staff()[turn].address}>\r\nTo: <{staff()[turn + 1].address}>\r\nSubject: Damaged {turn}\r\n"
        f"Date: Mon, 08 Jan 2024 1{turn}:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        f"Message-ID: <{reason}.{turn}@mail.larkspur.example>\r\n"
    ).encode()

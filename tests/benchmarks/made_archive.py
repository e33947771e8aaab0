"""A large archive of invented mail: replies with quotes, signatures, attachments, copies and near copies."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from random import Random

from data.sample_chatter import BULLETINS, WORK
from data.sample_slots import expand

DISTINCT_SENTENCES = 20_000
COPIES, NEAR_COPIES, REPLIES, ATTACHED = 0.05, 0.05, 0.4, 0.1
START_S = 1_700_000_000
NAMES = ("Anna Winter", "Jonas Reed", "Mara Okafor", "Pieter de Vries", "Lucia Ferrari", "Tomas Novak")


def mails(seed: int = 1) -> Iterator[bytes]:
    """Yield mails without end, about 2.5 kB each, the same for the same seed."""
    rng = Random(seed)
    sentences = [expand(rng.choice((*WORK, *BULLETINS)), rng) for _ in range(DISTINCT_SENTENCES)]
    earlier: list[tuple[int, list[str]]] = []
    number = 0
    while True:
        chance = rng.random()
        if earlier and chance < COPIES + NEAR_COPIES:
            said = list(rng.choice(earlier)[1])
            if chance >= COPIES:
                said[-1] = rng.choice(sentences)
        else:
            said = [rng.choice(sentences) for _ in range(rng.randint(6, 30))]
        answered = rng.choice(earlier) if earlier and rng.random() < REPLIES else None
        yield _mail(number, said, answered, rng)
        earlier.append((number, said))
        del earlier[:-500]
        number += 1


def _mail(number: int, said: list[str], answered: tuple[int, list[str]] | None, rng: Random) -> bytes:
    sender, other = rng.sample(NAMES, 2)
    subject = f"{'Re: ' if answered else ''}Order {answered[0] if answered else number}"
    body = [f"Dear {other.split()[0]},", "", *said, "", "Best regards,", sender]
    body += [f"Tel +49 30 {rng.randint(1000000, 9999999)}", f"Account {rng.randint(10**7, 10**8)}"]
    if answered:
        body += ["", f"On Monday {other} wrote:", *(f"> {line}" for line in answered[1])]
    headers = [
        f"From: {sender} <{_address(sender)}>",
        f"To: {other} <{_address(other)}>",
        f"Subject: {subject}",
        f"Date: {_date(START_S + number * 60)}",
        f"Message-ID: <{number}@larkspur.example>",
    ]
    if answered:
        headers.append(f"In-Reply-To: <{answered[0]}@larkspur.example>")
    text = "\n".join(body)
    if rng.random() >= ATTACHED:
        return "\n".join([*headers, "Content-Type: text/plain; charset=utf-8", "", text, ""]).encode()
    data = base64.encodebytes(rng.randbytes(rng.randint(500, 6000))).decode()
    parts = [
        "Content-Type: multipart/mixed; boundary=cut",
        *("", "--cut", "Content-Type: text/plain; charset=utf-8", "", text),
        *("--cut", "Content-Type: application/pdf; name=notes.pdf", "Content-Transfer-Encoding: base64"),
        *("Content-Disposition: attachment; filename=notes.pdf", "", data, "--cut--", ""),
    ]
    return "\n".join([*headers, *parts]).encode()


def _address(name: str) -> str:
    return f"{name.lower().replace(' ', '.')}@larkspur.example"


def _date(seconds: int) -> str:
    from email.utils import formatdate

    return formatdate(seconds)


def write_mbox(path: Path, size: int, seed: int = 1) -> int:
    """Write an mbox of about ``size`` bytes; return how many messages it holds."""
    written = count = 0
    with open(path, "wb") as handle:
        for mail in mails(seed):
            if written >= size:
                return count
            written += handle.write(b"From sender@larkspur.example Mon Nov 13 22:13:20 2023\n" + mail + b"\n")
            count += 1
    return count


def write_eml(folder: Path, count: int, seed: int = 2) -> int:
    """Write so many files, a thousand to a folder; return how many bytes they hold."""
    written = 0
    for number, mail in enumerate(mails(seed)):
        if number == count:
            break
        place = folder / f"{number // 1000:04d}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        written += (place / f"{number:07d}.eml").write_bytes(mail)
    return written


def write_giant(path: Path, size: int, *, newsletters: int = 10_000, largest: int = 200_000_000) -> int:
    """Write an mbox of about ``size`` bytes with one huge message and thousands of near copies of another."""
    count = write_mbox(path, size - largest - newsletters * 2500)
    rng = Random(3)
    news = [expand(rng.choice(BULLETINS), rng) for _ in range(30)]
    with open(path, "ab") as handle:
        for number in range(newsletters):
            handle.write(_news(f"news-{number}", [*news, f"Issue {number}."]))
        handle.write(_news("huge", []))
        for _ in range(largest // 1_000_000):
            handle.write(b"a line of a log that somebody has pasted into a mail, again and again\n" * 14_085)
    return count + newsletters + 1


def _news(name: str, said: list[str]) -> bytes:
    lines = [
        "From news@larkspur.example Mon Nov 13 22:13:20 2023",
        "From: Newsroom <news@larkspur.example>",
        f"Message-ID: <{name}@larkspur.example>",
        *("Subject: News", "", *said, "", ""),
    ]
    return "\n".join(lines).encode()

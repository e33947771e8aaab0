"""A small archive of made-up people: one writes, one quotes, one mentions, all of them talk."""

from __future__ import annotations

from pathlib import Path

SUBJECT, NAME = "anna.lindqvist@harbour.example", "Anna Lindqvist"
SECRET_WORDS = "The copper position must be unwound quietly before the committee meets on the third of May."
SPOKEN = "I take the audit with the two new analysts from the London desk."
MAIL = """From: {sender}
To: {to}
Date: {date}
Message-ID: <{number}@harbour.example>
Subject: {subject}
{more}
{body}
"""


def write_archive(folder: Path) -> Path:
    """Write ten mails of three people and a transcript."""
    anna, bert = f"{NAME} <{SUBJECT}>", "Bert Okafor <bert@harbour.example>"
    carl = "Carl Haas <carl@harbour.example>"
    mails = [
        (anna, bert, "Copper", SECRET_WORDS, ""),
        (
            bert,
            anna,
            "Re: Copper",
            f"Yes.\n\nOn Monday, {NAME} wrote:\n> {SECRET_WORDS}",
            "<0@",
        ),
        (carl, bert, "Lunch", f"{NAME} said that the canteen is closed; ask {SUBJECT} about Thursday.", ""),
        (bert, carl, "Parking", "The parking garage is closed for repairs until the end of the month.", ""),
        (anna, carl, "Desk", "I need a second screen for the desk at the window, as agreed in spring.", ""),
        (anna, carl, "Desk", "I need a second screen for the desk at the window, as agreed in spring.", ""),
    ]
    folder.mkdir(parents=True)
    for number, (sender, to, subject, body, parent) in enumerate(mails):
        day = 1 + min(number, 4)  # the last two are copies
        text = MAIL.format(
            sender=sender,
            to=to,
            date=f"Thu, {day:02} Aug 2024 10:00:00 +0000",
            number=number,
            subject=subject,
            more=f"In-Reply-To: {parent}harbour.example>\n" if parent else "",
            body=body,
        )
        (folder / f"{number}.eml").write_text(text)
    (folder / "call.vtt").write_text(
        "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\n<v Bert Okafor>Who takes the audit in March "
        "this year, and who tells the auditors in which room they are going to sit with their papers?\n\n"
        f"00:00:05.000 --> 00:00:09.000\n<v {NAME}>{SPOKEN}\n"
    )
    return folder

"""Mail as programs leave it: quoted replies, signatures, disclaimers, attachments, three kinds of mailbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from pathlib import Path
from random import Random
from types import MappingProxyType

from data.sample_identities import BROKERAGE, Person
from data.sample_messages import Message

GREETINGS = MappingProxyType(
    {
        "en": ("Hi {}", "Hello {}", "{}", "Dear {}"),
        "de": ("Hallo {}", "Liebe Runde", "Guten Tag {}"),
        "fr": ("Bonjour {}", "Salut {}"),
    }
)
CLOSINGS = MappingProxyType(
    {
        "en": ("Best", "Thanks", "Kind regards", "Cheers"),
        "de": ("Viele Grüße", "Danke und Gruß"),
        "fr": ("Bien à toi", "Cordialement"),
    }
)
DISCLAIMERS: Mapping[str, str] = MappingProxyType(
    {
        "en": "This e-mail and any attachments are confidential and intended solely for the addressee.\n"
        "If you have received it in error, please notify the sender and delete it.",
        "de": "Diese E-Mail ist vertraulich und nur für den Empfänger bestimmt.\n"
        "Haben Sie sie irrtümlich erhalten, benachrichtigen Sie den Absender und löschen Sie sie.",
        "fr": "Ce message est confidentiel et destiné au seul destinataire. Si vous l'avez reçu par erreur,\n"
        "merci d'en avertir l'expéditeur et de le supprimer.",
    }
)
ATTRIBUTIONS = MappingProxyType(
    {
        "en": "On {:%d.%m.%Y at %H:%M}, {} <{}> wrote:",
        "de": "Am {:%d.%m.%Y um %H:%M} schrieb {} <{}>:",
        "fr": "Le {:%d.%m.%Y à %H:%M}, {} <{}> a écrit :",
    }
)
OUTLOOK = MappingProxyType(
    {
        "en": ("Original Message", "From", "Sent", "To", "Subject"),
        "de": ("Ursprüngliche Nachricht", "Von", "Gesendet", "An", "Betreff"),
        "fr": ("Message d'origine", "De", "Envoyé", "À", "Objet"),
    }
)
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as bytes with ``\\n`` line ends, and what a mailbox needs to file it."""

    sender: str
    sent_at: datetime
    data: bytes


def write_mail(message: Message, answered: Message | None, references: tuple[int, ...], rng: Random) -> Mail:
    """Return the mail of a message, with the quoted mail that it answers and its way of being encoded."""
    mail = EmailMessage()
    _set_body(mail, mail_body(message, answered, rng), rng)
    _attach(mail, message, rng)
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_larkspur_{message.number:06d}_{number}")
    data = _headers(message, answered, references) + mail.as_bytes()
    return Mail(message.sender.address, message.sent_at, data)


def _headers(message: Message, answered: Message | None, references: tuple[int, ...]) -> bytes:
    """Return the headers as they go over the wire; the library checks them again at ten times the cost."""
    subject = f"Re: {message.subject}" if answered else message.subject
    headers = {
        "From": _mailbox(message.sender),
        "To": ", ".join(_mailbox(person) for person in message.recipients[:2]),
        "Cc": ",\n ".join(_mailbox(person) for person in message.recipients[2:]),
        "Subject": subject if subject.isascii() else Header(subject, "utf-8").encode(),
        "Date": format_datetime(message.sent_at),
        "Message-ID": message_id(message.number),
        "In-Reply-To": message_id(answered.number) if answered else "",
        "References": "\n ".join(message_id(number) for number in references),
    }
    return "".join(f"{name}: {value}\n" for name, value in headers.items() if value).encode("ascii")


def message_id(number: int) -> str:
    return f"<{number:06d}.larkspur@mail.{BROKERAGE}>"


def _mailbox(person: Person) -> str:
    return f'"{person.name}" <{person.address}>'


def mail_body(message: Message, answered: Message | None, rng: Random) -> str:
    greeting = rng.choice(GREETINGS[message.language]).format(message.recipients[0].first)
    closing = f"{rng.choice(CLOSINGS[message.language])}\n{message.sender.first}"
    parts = [f"{greeting},", *_paragraphs(message.sentences, rng), closing]
    if message.is_bulletin or message.label == "spam":
        parts = _paragraphs(message.sentences, rng)
    elif rng.random() < 0.6:
        parts.append(f"-- \n{message.sender.name}\nLarkspur Brokerage\nT {message.sender.phone}")
        if rng.random() < 0.5:
            parts.append(DISCLAIMERS[message.language])
    if answered:
        parts.append(_quoted(answered, message.language, rng))
    return "\n\n".join(parts) + "\n"


def _paragraphs(sentences: tuple[str, ...], rng: Random) -> list[str]:
    if len(sentences) < 3:
        return [" ".join(sentences)]
    middle = rng.randint(1, len(sentences) - 1)
    return [" ".join(sentences[:middle]), " ".join(sentences[middle:])]


def _quoted(answered: Message, language: str, rng: Random) -> str:
    if rng.random() < 0.7:
        attribution = ATTRIBUTIONS[language].format(
            answered.sent_at, answered.sender.name, answered.sender.address
        )
        return "\n".join((attribution, *(f"> {sentence}" for sentence in answered.sentences)))
    title, *fields = OUTLOOK[language]
    values = (
        answered.sender.name,
        f"{answered.sent_at:%d.%m.%Y %H:%M}",
        answered.recipients[0].name,
        answered.subject,
    )
    headers = "\n".join(f"{name}: {value}" for name, value in zip(fields, values, strict=True))
    return f"-----{title}-----\n{headers}\n\n{answered.text}"


def _set_body(mail: EmailMessage, body: str, rng: Random) -> None:
    encoding = rng.choice(("8bit", "quoted-printable", "quoted-printable", "base64"))
    charset = "iso-8859-1" if rng.random() < 0.15 and _is_latin(body) else "utf-8"
    if body.isascii() and encoding == "8bit":
        encoding = "7bit"
    if rng.random() < 0.04:
        paragraphs = "".join(
            f"<p>{escape(part, quote=False)}</p>".replace("\n", "<br>\n")
            for part in body.strip().split("\n\n")
        )
        mail.set_content(
            f"<html><body>{paragraphs}</body></html>", subtype="html", charset=charset, cte="quoted-printable"
        )
        return
    mail.set_content(body, charset=charset, cte=encoding)
    if rng.random() < 0.1:
        mail.add_alternative(
            f"<html><body><pre>{escape(body, quote=False)}</pre></body></html>",
            subtype="html",
            charset=charset,
            cte="quoted-printable",
        )


def _is_latin(body: str) -> bool:
    try:
        body.encode("iso-8859-1")
    except UnicodeEncodeError:
        return False
    return True


def _attach(mail: EmailMessage, message: Message, rng: Random) -> None:
    if rng.random() > 0.12 or message.is_bulletin:
        return
    name, number = rng.choice(("blotter", "notes", "terms", "schedule")), message.number
    kind = rng.choice(("txt", "csv", "pdf"))
    if kind == "pdf":
        data = b"%PDF-1.4\n" + rng.randbytes(rng.randint(200, 900)) + b"\n%%EOF\n"
        mail.add_attachment(data, maintype="application", subtype="pdf", filename=f"{name}-{number}.pdf")
    else:
        rows = "".join(
            f"{line},{rng.randint(1, 999)},{rng.randint(10, 250)}.00\n" for line in range(rng.randint(3, 9))
        )
        subtype = {"txt": "plain", "csv": "csv"}[kind]
        mail.add_attachment(
            f"line,quantity,price\n{rows}", subtype=subtype, filename=f"{name}-{number}.{kind}", cte="base64"
        )


def write_mbox(path: Path, mails: list[Mail]) -> None:
    """Write an mboxrd: a line that starts with ``From`` gets one more ``>``, also where it has some."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as handle:
        for mail in mails:
            handle.write(f"From {mail.sender} {mail.sent_at:%a %b %e %H:%M:%S %Y}\n".encode())
            handle.write(_FROM.sub(rb">\1", mail.data).rstrip(b"\n") + b"\n\n")


def write_maildir(folder: Path, mails: list[Mail]) -> list[str]:
    """File seen mails below ``cur``, the last tenth below ``new``; return the paths below ``folder``."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    names = []
    for number, mail in enumerate(mails):
        unique = f"{int(mail.sent_at.timestamp())}.M{number:06d}P1.mail"
        names.append(f"new/{unique}" if number >= 0.9 * len(mails) else f"cur/{unique}:2,S")
        (folder / names[-1]).write_bytes(mail.data)
    return names


def write_eml(folder: Path, mails: list[Mail]) -> list[str]:
    """Write one file a mail, by month, with the line ends of the network; return the relative paths."""
    names = []
    for number, mail in enumerate(mails):
        names.append(f"{mail.sent_at:%Y-%m}/{number:05d}.eml")
        path = folder / names[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mail.data.replace(b"\n", b"\r\n"))
    return names

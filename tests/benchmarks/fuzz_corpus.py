"""Small valid files of every format that is read: what the fuzzer starts from."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from data.events import Event, to_json
from data.outlook import INNER_HEADER, TOP_HEADER
from tests.data.outlook_file import container, properties

MOMENT = (1980, 1, 1, 0, 0, 0)
USERS = json.dumps([{"id": "U1", "real_name": "Ada Ray"}, {"id": "U2", "profile": {"real_name": "Bo Lee"}}])


@dataclass(frozen=True, slots=True)
class Format:
    """Valid files of one kind, called ``name`` in an archive; ``share`` is how often they are drawn.

    ``pack`` wraps a file, before or after it is mutated.
    """

    name: str
    share: int
    files: tuple[bytes, ...]
    pack: Callable[[bytes], bytes] | None = None


def corpus() -> dict[str, Format]:
    """Return the formats by name; ``redact`` and ``zones`` are texts, all others files."""
    texts, mails, boxes, chats = _texts(), _mails(), _mailboxes(), (_slack(), _teams())
    calls, lines = (_vtt(), _srt(), _plain()), (_json_lines(),)
    packed = (mails[0], mails[3], boxes[0], *chats, *calls, *lines)
    return {
        "redact": Format("", 16, texts),
        "zones": Format("", 8, texts),
        "mail": Format("a.eml", 24, mails),
        "mbox": Format("mail.mbox", 6, boxes),
        "slack": Format("general/2024-03-01.json", 6, (_slack(),)),
        "teams": Format("teams.json", 6, (_teams(),)),
        "vtt": Format("2024-03-01.vtt", 5, (_vtt(),)),
        "srt": Format("call.srt", 5, (_srt(),)),
        "plain": Format("call.txt", 5, (_plain(),)),
        "jsonl": Format("table.jsonl", 5, lines),
        "parquet": Format("table.parquet", 3, (_parquet("none"), _parquet("zstd"))),
        "outlook": Format("a.msg", 6, (_outlook(),)),
        "unnamed": Format("file", 6, (*mails, *boxes, *chats, *calls, *lines, _parquet("none"))),
        "gzip": Format("a.jsonl.gz", 2, packed, lambda content: gzip.compress(content, 1, mtime=0)),
        "bzip2": Format("a.jsonl.bz2", 2, packed, lambda content: bz2.compress(content, 1)),
        "xz": Format("a.jsonl.xz", 2, packed, lambda content: lzma.compress(content, preset=0)),
        "zstd": Format("a.jsonl.zst", 2, packed, zstandard.ZstdCompressor(1).compress),
        "zip": Format("export.zip", 3, packed, _zipped),
        "tar": Format("export.tar", 3, _tars(mails[0]), with_checksums),
        "event": Format("topic/0/7", 3, packed, _event),
    }


def _texts() -> tuple[bytes, ...]:
    texts = (
        "Dear Dr. Anna Schmidt,\ncall me at +49 (0)30 1234567 or 020 7946 0958 ext. 12, or write to"
        ' "Kowalski, Jan" <jan.kowalski@example.org>.\n\nBest regards,\nBo Lee\n-- \nAcme Ltd\n'
        "12 Baker Street, London NW1 6XE\n",
        "My card is 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, SSN 078-05-1120.\n"
        "Password: hunter2! Account no. 12345678, passport C01X00T47, born 3 May 1980, PLZ 10115\n"
        "https://ann:secret@example.org/?token=a8F3kd92LmQ0 10.1.2.3 fe80::1:2 00:1A:2b:3c:4d:5e"
        " sk-abcdefghijklmnopqrstuv 1BvBMSEYstWetqTFn5Au4m4GFG7xJaNVN2\n"
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n-----END RSA PRIVATE KEY-----\n",
        "On Mon, 3 May 2021 at 10:00, Bo Lee <bo@example.org> wrote:\n> Hi Ada,\n>> 12 rue de la Paix,\n"
        "> 75002 Paris\n\nThis message is intended only for the recipient. If you received this e-mail in"
        " error, notify the sender: it is confidential.\n\n-----Original Message-----\nFrom: Ann\nSent: x\n"
        "To: Bo\nSubject: Lunch\n\nHauptstraße 5, 10115 Berlin. NHS number 943 476 5919\n",
        "Grüße aus Köln, Herr Müller! ０３０ １２３ [EMAIL_1f3a9c2b] zero\u200bwidth@example.org İstanbul\n"
        "Viele Grüße\nJürgen\u2028naïve \ufeff 你好 😀 مرحبا ٠١٢٣٤٥٦٧٨٩\n",
    )
    return tuple(text.encode() for text in texts)


HEADERS = (
    b"From: Ada Ray <ada@example.org>\nTo: \"Lee, Bo\" <bo@example.org>, cy@example.org\n"
    b"Date: Fri, 1 Mar 2024 09:30:00 +0100\nMessage-ID: <1@x>\nReferences: <0@x>\n <2@x>\n"
)  # fmt: skip
WORDED = b"Subject: =?utf-8?B?TMO8bmNo?= =?iso-8859-1?Q?caf=E9?=\n"


def _mails() -> tuple[bytes, ...]:
    """Return mails of every encoding, charset and structure; the first and the fourth are simple ones."""
    typed = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=%s\nContent-Transfer-Encoding: %s\n\n"
    said = "Grüße, we meet at 10:30. Call +49 30 1234567.\n"
    coded = {
        b"base64": base64.encodebytes,
        b"quoted-printable": lambda raw: b"Gr=C3=BC=DFe, we =\nmeet" + raw[-20:],
        b"8bit": bytes,
        b"x-uuencode": lambda raw: b"begin 644 a.txt\n#0V%T\n`\nend\n" + raw[:0],
    }
    charsets = ("utf-8", "iso-8859-1", "cp1252", "utf-16", "utf-7", "gb18030", "iso-2022-jp", "koi8-r")
    nested = b"Content-Type: multipart/mixed; boundary=A\n\nnone\n--A\n\nHi Bo,\nsee below.\n\nAda\n--A\n"
    attached = b'Content-Type: text/csv; name="=?utf-8?Q?p=C3=A4.csv?="\nContent-Disposition: attachment\n\n'
    return (
        HEADERS + b"Subject: Re: [list] Lunch\n\nAt noon?\n\n> yes\n\n-- \nAda\n",
        *(
            HEADERS + WORDED + typed % (charset.encode(), name) + code(said.encode(charset, "replace"))
            for number, charset in enumerate(charsets)
            for name, code in [list(coded.items())[number % len(coded)]]
        ),
        HEADERS + nested + attached + b"name,phone\nBo,020 7946 0958\n--A--\n",
        HEADERS + nested + b"Content-Type: message/rfc822\n\n" + HEADERS + b"Subject: In\n\nit\n--A--\nend\n",
        HEADERS + b'Content-Type: multipart/alternative; boundary="=_x"\n\n--=_x\n\n \n--=_x\n'
        b"Content-Type: text/html\n\n<html><head><title>t</title></head><p>Hi &amp; <b>you</b><br>"
        b'<img alt="cat">\n--=_x\nContent-Type: text/calendar\n\nBEGIN:VEVENT\nSUMMARY:Long\n er\n--=_x--\n',
        HEADERS.replace(b"\n", b"\r\n") + b"Content-Disposition: inline; filename*=utf-8''a%20b.txt\r\n\r\nx",
    )


def _mailboxes() -> tuple[bytes, ...]:
    envelope = b"From ada@example.org Fri Mar  1 09:30:00 2024\n"
    mail = HEADERS + b"Subject: Lunch\n\nAt noon?\n>From here\n\n"
    return envelope + mail + envelope + mail[:40] + b"\n\nBye\n\n", envelope + b">" + envelope + mail


def _slack() -> bytes:
    first = {"type": "message", "user": "U1", "ts": "1709285400.000100", "text": "Hi <@U2|bo> &lt;3"}
    entries = [
        first,
        {**first, "thread_ts": first["ts"], "ts": "1709285401.0002", "text": "<https://x.org|x> <!here>"},
        {"type": "message", "subtype": "message_changed", "ts": "1709285402.1", "message": first},
        {"subtype": "message_deleted", "ts": "1709285403.1", "deleted_ts": "1709285401.0002"},
        {"ts": "1709285404.0", "text": "", "files": [{"name": "a.pdf", "mimetype": "x/y", "size": 7}]},
        {"ts": "1709285405.0", "text": "", "attachments": [{"fallback": "b"}], "edited": {"ts": "1.5"}},
    ]
    return json.dumps(entries).encode()


def _teams() -> bytes:
    reply = {"id": "2", "createdDateTime": "2024-03-01T09:31:00Z", "body": {"content": "yes"}}
    entry = {
        "id": "1",
        "createdDateTime": "2024-03-01T09:30:00.123Z",
        "lastEditedDateTime": "2024-03-01T09:32:00Z",
        "from": {"user": {"displayName": "Ada Ray", "id": "7"}},
        "channelIdentity": {"channelId": "19:x"},
        "body": {"contentType": "html", "content": "<div>Hi <at id='0'>Bo Lee</at>&nbsp;!</div>"},
        "mentions": [{"mentioned": {"user": {"displayName": "Bo Lee"}}}],
        "attachments": [{"name": "a.docx", "contentType": "reference"}],
        "replies": [reply, {**reply, "deletedDateTime": "2024-03-01T10:00:00Z"}],
    }
    return json.dumps(
        {"@odata.context": "x", "value": [entry, {**entry, "body": {"content": "v2"}}]}
    ).encode()


def _vtt() -> bytes:
    return (
        b"WEBVTT - Date: 2024-03-01 10:30\n\nNOTE x\n\n1\n00:00:01.000 --> 00:00:04.000 align:left\n"
        b"<v Ada Ray>Hello <i>Bo</i>.</v>\n\n00:01:05.000 --> 00:01:06.500\nBo Lee: Hi Ada,\ngood day.\n"
    )


def _srt() -> bytes:
    return (
        b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:04,000\r\n>> ADA: Hello.\r\n\r\n"
        b"2\r\n00:59:59,9 --> 01:00:00,0\r\n<b>Bye</b>\r\n"
    )


def _plain() -> bytes:
    return (
        b"Call of 2024-03-01\nPresent: Ada, Bo\n\n[00:00:02] Ada Ray: Hello.\n00:00:05 Bo Lee: Hi,\n"
        b"how are you?\nAda Ray (00:01:07): Fine.\n(1:02:03.5) - Bo: Bye.\n"
    )


def _json_lines() -> bytes:
    rows = [
        {"text": "At noon?", "subject": "Lunch", "sender": "Ada <ada@x.org>", "recipients": "a@x.org; Bo"},
        {"text": "Yes", "sent_at": 1709285400.5, "recipients": ["Bo Lee"], "thread": 7, "channel": "chat"},
        {
            "text": "No",
            "sent_at": "2024-03-01T09:30:00+01:00",
            "message_id": "<3@x>",
            "channel": "transcript",
        },
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _parquet(compression: str) -> bytes:
    rows = {
        "text": ["At noon?", "", None],
        "sent_at": [datetime(2024, 3, 1, tzinfo=UTC), None, None],
        "sender": ["Ada <ada@example.org>", None, "Bo"],
        "recipients": [["a@x.org"], [], None],
        "thread": [1, 2, None],
    }
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file, compression=compression, store_schema=False)
    return file.getvalue()


def _outlook() -> bytes:
    stated = {"p0037": "Lünch", "p1000": "At noon?\r\nAda", "p0C1A": "Ada Ray", "p5D01": "ada@example.org"}
    inner = properties(INNER_HEADER, p0037="Inner", p1000="It")
    return container(
        {
            **properties(TOP_HEADER, p0039=datetime(2024, 3, 1, tzinfo=UTC), p1042="<1@x>", **stated),
            "__recip_version1.0_#00000000": properties(8, p3001="Bo", p39FE="bo@example.org", p0C15=2),
            "__attach_version1.0_#00000000": properties(8, p3707="a.txt", p3701=b"Hi", p370E="text/plain"),
            "__attach_version1.0_#00000001": {**properties(8, p3705=5), "__substg1.0_3701000D": inner},
        }
    )


def _zipped(content: bytes) -> bytes:
    """Return a zip: a Slack export if the content looks like its day, else a file beside a folder."""
    is_day = content.lstrip().startswith(b"[")
    named = {"channels.json": b"[]", "users.json": USERS.encode(), "general/2024-03-01.json": content}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, each in (named if is_day else {"a/": b"", "a/b.jsonl": content}).items():
            archive.writestr(zipfile.ZipInfo(name, MOMENT), each, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _tars(mail: bytes) -> tuple[bytes, ...]:
    written = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as archive:
            for name, content in (("a.eml", mail), ("ü" * 50 + "/b.vtt", _vtt())):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        written.append(file.getvalue().rstrip(b"\0"))
    return tuple(written)


def with_checksums(tar: bytes) -> bytes:
    """Return a tar whose headers have the checksums of what stands in them."""
    blocks = bytearray(tar)
    for at in range(0, len(tar) - 511, 512):
        if tar[at + 257 : at + 262] == b"ustar":
            total = sum(tar[at : at + 148]) + 8 * 32 + sum(tar[at + 156 : at + 512])
            blocks[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(blocks)


def _event(content: bytes) -> bytes:
    return to_json(Event("a/b.jsonl", hashlib.sha256(content).hexdigest(), content))

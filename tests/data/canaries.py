"""Personal data that occurs nowhere else, in every place of an archive where a value can stand.

All canaries carry one of a few marks, so that a whole workspace is searched for every form of them.
Nobody is called like that, the domains are reserved, the numbers are for films, tests and examples.
"""

from __future__ import annotations

import base64
import email.header
import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from data.sample_identities import luhn_digit
from data.scan import Scan, Sought, scan
from data.shingles import Traces
from data.sources import LABELS, QUESTIONS

SURNAME = "brindlequax"
MARKS = (SURNAME, "4000918273", "4000 9182 73", "20 7946 07", "442079460 7".replace(" ", ""), "brqx9182")
ABOVE = "From: Desk <desk@larkspur.example>\nDate: Mon, 6 May 2024 09:00:00 +0000\n"


def address(place: str) -> str:
    """Return an address that says where it was planted."""
    return f"{place}@{SURNAME}.example"


def name(prefix: str) -> str:
    """Return a name of no list, which only the place where it stands shows to be one."""
    return f"Ilv{prefix.lower()} {prefix}{SURNAME}"


def card(number: int) -> str:
    body = f"4000918273{number:05d}"
    return body + luhn_digit(body)


def phone(number: int) -> str:
    return f"+44 20 7946 07{number:02d}"


def iban(number: int) -> str:
    account = f"BRQX918273{number:08d}"
    digits = "".join(str(int(sign, 36)) for sign in f"{account}GB00")
    return f"GB{98 - int(digits) % 97:02d}{account}"


def all_kinds(number: int, place: str) -> str:
    """Return a sentence with one canary of every form."""
    return (
        f"Write to {address(place)} or {address(place).upper()}, call {phone(number)}, "
        f"pay from {iban(number)} or {card(number)}."
    )


def forms() -> tuple[str, ...]:
    """Return the marks as they may be written: as they are, and within base64 at any of its three offsets."""
    found = {mark.lower() for mark in MARKS}
    for mark in (*MARKS, SURNAME.upper(), "BRQX9182"):
        for encoded in (mark.encode(), mark.encode("utf-16-le")):
            for offset in range(3):
                whole = base64.b64encode(b"\0" * offset + encoded).decode()
                core = whole[-(-offset * 8 // 6) : (offset + len(encoded)) * 8 // 6]
                found |= {core.lower()} if len(core) > 9 else set()
        found |= {quote(mark).lower(), mark.encode().hex(), mark.replace(" ", "+").lower()}
    return tuple(sorted(found))


def wide_forms() -> tuple[bytes, ...]:
    """Return the marks as UTF-16 has them, in small letters and in capitals."""
    cases = {case for mark in MARKS for case in (mark.lower(), mark.upper())}
    return tuple(sorted(case.encode(codec) for case in cases for codec in ("utf-16-le", "utf-16-be")))


def search(root: Path, *, left_out: Iterable[Path] = ()) -> Scan:
    """Look through every byte below a folder, as the scan that proves an erasure does, and for UTF-16."""
    skipped = set(left_out)
    found = scan(root, Sought(forms(), Traces.of([])), left_out=skipped)
    for folder, names, files in os.walk(root):
        names[:] = [each for each in names if Path(folder, each) not in skipped]
        for path in (Path(folder, each) for each in files):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                hits = sum(content.count(form) for form in wide_forms()) if b"\0" in content else 0
                if hits:
                    place = path.relative_to(root).as_posix()
                    found.hits[place] = found.hits.get(place, 0) + hits
    return found


def in_text(text: str) -> list[str]:
    """Return the forms that a text has, for what was printed."""
    lower = text.lower()
    return [form for form in forms() if form in lower]


@dataclass(slots=True)
class Planted:
    """What was written where: sources of files, all with a canary inside."""

    sources: list[str] = field(default_factory=list)


def plant(archive: Path) -> Planted:
    """Write the canaries below ``canaries/`` of an archive, which may hold other mail."""
    root = archive / "canaries"
    files: dict[str, bytes] = {
        **{
            f"eml/{name}.eml": content.encode("utf-8", "surrogateescape") for name, content in mails().items()
        },
        **{f"broken/{name}.eml": content for name, content in broken_mails().items()},
        **chats(),
        **transcripts(),
        **tables(),
        **no_mails(),
    }
    files["mail/canaries.mbox"] = _mbox(content for content in mails().values())
    files["packed/canary.eml.gz"] = gzip.compress(mails()["headers"].encode(), mtime=0)
    files["packed/canaries.zip"] = _zip({"one.eml": mails()["html"], "two.eml": mails()["quoted"]})
    files["packed/canaries.tar"] = _tar({"one.eml": mails()["attached"], "two.vtt": "WEBVTT\n"})
    files["packed/damaged.zip"] = files["packed/canaries.zip"][:-40]
    files["packed/damaged.gz"] = files["packed/canary.eml.gz"][:-20]
    for place, content in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Planted(sorted(f"canaries/{place}" for place in files))


def mails() -> dict[str, str]:
    """Return mails that can be read, by what they hide."""
    encoded = email.header.Header(f"For {address('encoded-subject')}", "utf-8").encode()
    display = email.header.Header(name("Disp"), "utf-8").encode()
    headers = [
        f"Return-Path: <{address('return-path')}>",
        f"Received: from host ({address('received')}) by mx.example; Mon, 6 May 2024 09:00:00 +0000",
        f'From: "{name("From")}" <{address("from")}>',
        f"Sender: {name('Sen')} <{address('sender')}>",
        f"Reply-To: {name('Rep')} <{address('reply-to')}>",
        f"To: {name('To')} <{address('to')}>, {display} <{address('encoded')}>",
        f"Cc: {address('cc')} ({name('Cc')})",
        f"Bcc: {name('Bcc')} <{address('bcc')}>",
        f"Resent-From: {name('Res')} <{address('resent')}>",
        f"Disposition-Notification-To: {name('Disposed')} <{address('disposition')}>",
        f"Subject: {name('From')} and {address('subject')}, {phone(1)}",
        f"Message-ID: <{address('message-id')}>",
        f"In-Reply-To: <{address('in-reply-to')}>",
        f"References: <{address('references-1')}> <{address('references-2')}>",
        f"List-Id: {name('List')} <list.{SURNAME}.example>",
        f"List-Unsubscribe: <mailto:{address('list')}>, <https://x.example/u?e={quote(address('list-url'))}>",
        f"X-Originating-User: {address('x-header')} {card(1)} {iban(1)}",
        f"X-{SURNAME}: {address('x-name')}",
        f"Comments: {name('Comm')} {phone(2)}",
        "Date: Mon, 6 May 2024 09:00:00 +0000",
        'Content-Type: text/plain; charset="utf-8"',
    ]
    known = " ".join(
        name(each) for each in ("From", "To", "Disp", "Cc", "Bcc", "Rep", "Sen", "Res", "Disposed")
    )
    body = f"Dear all, {known} will take part. Torbrindlequax is nobody.".replace("Tor", "From")
    return {
        "headers": "\n".join([*headers, "", body, "", all_kinds(2, "body")]),
        "encoded": f"{ABOVE}Subject: {encoded}\n\n{all_kinds(3, 'encoded-body')}",
        "broken-encoded": (
            f"{ABOVE}Subject: {_cut_word(address('cut-word'))}\n"
            f"To: {_cut_word(address('cut-to'))} <a@b.example>\n\nThe subject of this mail breaks off.\n"
            f"Bounced: {_word(address('word-in-body'))} and {_word(address('q-word'), 'q')}."
        ),
        "html": _html(),
        "quoted": _quoted(),
        "attached": _attached(),
        "nested": _nested(),
        "links": (
            f"{ABOVE}Subject: Links\n\nLeave: https://list.example/u?e={quote(address('link'))}&n=1\n"
            f"https://x.example/{address('path')}/x mailto:{address('mailto')}?cc={quote(address('mailto-cc'))}\n"
            f"https://x.example/u?e={quote(quote(address('twice')))} tel:{phone(4).replace(' ', '')}\n"
            f'Json: {{"to": "{address("json").replace("@", chr(92) + "u0040")}"}} &lt;'
            f"{address('entity').replace('@', '&#64;')}&gt;"
        ),
        "long-subject": f"{ABOVE}Subject: {'A word ' * 68} is {address(SURNAME * 3)} {card(5)}\n\nBody.",
        "in-links": (
            f"{ABOVE}Subject: More links\n\nhttps://x.example/?p={quote(phone(33), safe='')}&c={card(34)}&i={iban(35)}\n"
            f"https://x.example/u?t={_base64(address('token'))}&x=1 and {_base64(address('wide').encode('utf-16-le'))}\n"
            f"https://x.example/{quote(address('deep') + ' ' + phone(36))}"
        ),
        "media-type": (
            f"{ABOVE}Subject: Types\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
            f"--b\n\nLook at the files of {phone(6)}.\n"
            f"--b\nContent-Type: application/{address('type')}; name=a.bin\n\nx\n"
            f"--b\nContent-Type: application/x-{card(7)}; name=b.bin\n\nx\n--b--\n"
        ),
    }


def _html() -> str:
    page = (
        f"<html><head><title>{address('title')}</title><meta name='author' content='{address('meta')}'>"
        f"<style>/* {address('style')} */</style></head><body data-user='{address('attribute')}'>"
        f"<!-- {address('comment')} {card(8)} {name('Note')} --><script>var u='{address('script')}'</script>"
        f"<p title='{address('tooltip')}'>Hello {name('Html')}, {all_kinds(9, 'html')}</p>"
        f"<a href='mailto:{address('href')}'>write</a> <a href='https://x.example/?e={address('href-url')}'>x</a>"
        f"<img src='https://x.example/{address('src')}.png' alt='{name('Html')} {address('alt')}'>"
        f"<p>{address('entities').replace('@', '&#64;')} {address('zero').replace('q', '&#8203;q')}</p>"
        f"<input value='{address('input')}'><br>{address('split').replace('x@', '<b>x@</b>')}</body></html>"
    )
    return f"From: {name('Html')} <{address('html-from')}>\nSubject: Page\nContent-Type: text/html\n\n{page}"


def _quoted() -> str:
    return (
        f"From: {name('Sig')} <{address('signer')}>\nTo: desk@larkspur.example\nSubject: Re: Terms\n\n"
        f"Agreed.\n\nOn Mon, 6 May 2024, {name('Sig')} <{address('quoted-by')}> wrote:\n"
        f"> {all_kinds(10, 'quoted')}\n> > {all_kinds(11, 'quoted-twice')}\n\n"
        f"-- \n{name('Sig')}\nTel. {phone(12)} | {address('signature')}\n"
    )


def _part(kind: str, file: str, content: bytes, encoding: str = "base64") -> str:
    body = base64.encodebytes(content).decode() if encoding == "base64" else content.decode("latin-1")
    return (
        f'--b\nContent-Type: {kind}; name="{file}"\nContent-Transfer-Encoding: {encoding}\n'
        f'Content-Disposition: attachment; filename="{file}"\nContent-Description: {address("description")}\n'
        f"Content-ID: <{address('content-id')}>\n\n{body}\n"
    )


def _attached() -> str:
    stated = all_kinds(13, "attached").encode()
    known = f"{name('Att')} {stated.decode()}"
    parts = [
        f"--b\nContent-Type: text/plain\n\nSee the files.\n# {address('part')}\n",
        _part("text/plain", f"Att{SURNAME}_{address('file-name')}.txt", known.encode()),
        _part("text/csv", "wide.csv", known.encode("utf-16")),
        _part("text/plain; charset=utf-16", "claims-wide.txt", known.encode()),
        _part("text/plain; charset=cp037", "claims-ebcdic.txt", known.encode()),
        _part("text/html", "page.html", f"<!-- {known} --><p title='{known}'>{known}</p>".encode()),
        _part(
            "text/calendar", "call.ics", _folded(f"ATTENDEE;CN={name('Att')}:mailto:{address('attendee')}")
        ),
        _part("text/rfc822-headers", "bounce.txt", f"To: {_word(address('bounced'))}\n".encode(), "8bit"),
        _part("application/pdf", f"{card(14)} {phone(14)}.pdf", b"%PDF-1.4 " + stated),
        _part("application/json", "data.json", json.dumps({"to": stated.decode()}).encode()),
        _part("application/zip", "inner.zip", _zip({f"{address('member')}.txt": stated.decode()})),
        "--b--\n",
    ]
    heading = f"From: {name('Att')} <{address('attaching')}>\nSubject: Files\nMIME-Version: 1.0\n"
    return f"{heading}Content-Type: multipart/mixed; boundary=b\n\n{address('preamble')}\n{''.join(parts)}"


def _folded(line: str) -> bytes:
    text = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{line[:60]}\n {line[60:]}\nEND:VEVENT\nEND:VCALENDAR\n"
    return text.encode()


def _nested() -> str:
    inner = mails_inner()
    return (
        f"{ABOVE}Subject: Fwd\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\nRead this.\n"
        f"--o\nContent-Type: message/rfc822\n\n{inner}\n--o\nContent-Type: message/delivery-status\n\n"
        f"Final-Recipient: rfc822; {address('final')}\n\nDiagnostic-Code: no {address('diagnostic')}\n--o--\n"
    )


def mails_inner() -> str:
    return (
        f"From: {name('Inn')} <{address('inner-from')}>\nTo: {name('Ino')} <{address('inner-to')}>\n"
        f"Cc: {name('Inc')} <{address('inner-cc')}>\nSubject: {address('inner-subject')}\n"
        f"X-Inner: {address('inner-x')}\n\nDear {name('Ino')}, {name('Inc')} and I: {all_kinds(15, 'inner')}\n"
    )


def broken_mails() -> dict[str, bytes]:
    """Return mails with parts that no parser reads as they were meant, and what is no mail at all."""
    stated = all_kinds(16, "broken").encode()
    in_base64 = base64.encodebytes(stated).decode()
    quoted = "".join(f"={byte:02X}" for byte in stated)
    mixed = f"{ABOVE}Subject: Broken\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    plain = f"{ABOVE}Subject: Broken\nMIME-Version: 1.0\nContent-Type: text/plain"
    return {
        "base64-cut": f"{plain}\nContent-Transfer-Encoding: base64\n\n{in_base64[:-31]}".encode(),
        "base64-dirty": f"{plain}\nContent-Transfer-Encoding: base64\n\n!{in_base64}*\n{in_base64}".encode(),
        "base64-undeclared": f"{plain}\n\nSee below.\n\n{in_base64}\n".encode(),
        "base64-wrong-name": f"{plain}\nContent-Transfer-Encoding: bass64\n\n{in_base64}\n".encode(),
        "quoted-undeclared": f"{plain}\n\n{address('qp').replace('@', '=40')} {quoted[:74]}=\n{quoted[74:]}".encode(),
        "uuencoded": f"{plain}\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n{_uu(stated)}end\n".encode(),
        "no-boundary": (mixed + _part("text/plain", "a.txt", stated)).replace("--b", "--c").encode(),
        "no-boundary-quoted": (
            mixed.replace("boundary=b", "charset=x")
            + f"--b\nContent-Transfer-Encoding: quoted-printable\n\n{quoted}"
        ).encode(),
        "unclosed": (mixed + _part("text/plain", "a.txt", stated)).encode(),
        "bad-charset": f'{plain}; charset="no-such"\n\n'.encode() + stated + b" \xff\xfe",
        "claims-utf16": f'{plain}; charset="utf-16"\n\n'.encode() + stated,
        "claims-ebcdic": f'{plain}; charset="cp500"\n\n'.encode() + stated,
        "utf7": f'{plain}; charset="utf-7"\n\n'.encode()
        + stated.replace(b"+", b"+-").replace(b"@", b"+AEA-"),
        "utf16-undeclared": plain.encode() + b"\n\n" + stated.decode().encode("utf-16"),
        "nul": plain.encode() + b"\n\n" + stated.replace(b"x@", b"x\0@"),
        "header-only": f"From: {address('only')}\nX-A: {address('only-x')}".encode(),
        "no-header": b"no header, but " + stated,
        "empty-but-header": f"To: {name('Emp')} <{address('empty')}>\n\n".encode(),
        "bad-date": f"From: {address('dated')}\nDate: {address('date')}\nSubject: Soup\n\nSoup.".encode(),
        "bad-address": f"From: {name('Bad')} <<{address('bad')}>\nTo: {address('a')} {address('b')}\n\nSoup.".encode(),
    }


def _base64(content: str | bytes) -> str:
    return base64.urlsafe_b64encode(content.encode() if isinstance(content, str) else content).decode()


def _uu(content: bytes) -> str:
    import binascii

    return "".join(binascii.b2a_uu(content[at : at + 45]).decode() for at in range(0, len(content), 45))


def _word(text: str, encoding: str = "b") -> str:
    return (
        f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="
        if encoding == "b"
        else f"=?utf-8?q?{''.join(f'={byte:02X}' for byte in text.encode())}?="
    )


def _cut_word(text: str) -> str:
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode().rstrip('=')[:-2]}"


def chats() -> dict[str, bytes]:
    """Return exports of Slack and Teams, with canaries in what is read and in what is left out."""
    users = [
        {
            "id": "U0CANARY1",
            "name": f"torb.{SURNAME}",
            "real_name": name("Slack"),
            "profile": {"real_name": name("Slack"), "email": address("slack-profile"), "phone": phone(17),
                        "title": address("slack-title"), "status_text": address("status"), "skype": SURNAME},
        },
        {"id": "U0CANARY2", "profile": {"real_name": name("Mention"), "display_name": SURNAME}},
    ]  # fmt: skip
    day: list[object] = [
        {"type": "message", "user": "U0CANARY1", "ts": "1714986000.000100", "text": all_kinds(18, "slack"),
         "user_profile": {"real_name": name("Slack"), "email": address("user-profile")},
         "blocks": [{"text": address("block")}], "reactions": [{"users": [address("reaction")]}]},
        {"type": "message", "user": "U0CANARY2", "ts": "1714986060.000100",
         "text": f"<@U0CANARY1> and <@U0CANARY2|{name('Label')}>: <mailto:{address('slack-link')}|write>"
                 f" to {name('Mention')}, <https://x.example/{address('slack-url')}|{address('slack-label')}>"},
        {"type": "message", "subtype": "file_share", "user": "U0CANARY1", "ts": "1714986120.000100", "text": "",
         "files": [{"name": f"{name('Slack')} {address('slack-file')}.pdf", "title": address("file-title"),
                    "mimetype": f"application/{address('mimetype')}", "size": 3,
                    "url_private": address("file-url"), "preview": address("preview")}]},
        {"type": "message", "username": name("Bot"), "bot_id": "B1", "ts": "1714986180.000100", "text": "",
         "attachments": [{"fallback": all_kinds(19, "unfurled"), "author_name": name("Author")}]},
        {"type": "message", "subtype": "message_changed", "ts": "1714986240.000100",
         "message": {"user": "U0CANARY1", "ts": "1714986180.000200", "text": address("edited")},
         "previous_message": {"text": address("earlier")}},
        {"type": "message", "subtype": "message_deleted", "ts": "1714986240.000300", "deleted_ts": "1714986000.9",
         "previous_message": {"ts": "1714986000.9", "text": address("deleted")}},
        {"type": "message", "subtype": "channel_join", "ts": "1714986240.000400", "text": address("joined")},
        address("no-object"),
    ]  # fmt: skip
    teams = {
        "value": [
            {"id": "1", "messageType": "message", "createdDateTime": "2024-05-06T09:00:00Z",
             "from": {"user": {"displayName": name("Teams"), "id": address("teams-id")}},
             "subject": f"{name('Teams')} {address('teams-subject')}",
             "summary": address("summary"), "webUrl": address("web-url"),
             "body": {"contentType": "html",
                      "content": f"<at id='0'>{name('At')}</at> <!-- {address('teams-comment')} -->"
                                 f"{all_kinds(20, 'teams')}"},
             "mentions": [{"mentionText": name("At"), "mentioned": {"user": {"displayName": name("At")}}}],
             "attachments": [{"name": f"{address('teams-file')}.docx", "contentType": address("teams-type"),
                              "content": address("card"), "contentUrl": address("content-url")}],
             "replies": [{"id": "2", "from": {"user": {"displayName": name("Nested")}},
                          "body": {"content": f"{name('Teams')}: {address('reply')}"}}]},
            {"id": "3", "messageType": "systemEventMessage", "body": {"content": address("system")}},
            {"id": address("no-body")},
        ]
    }  # fmt: skip
    return {
        "slack/channels.json": json.dumps([{"name": "desk", "topic": {"value": address("topic")}}]).encode(),
        "slack/users.json": json.dumps(users).encode(),
        "slack/desk/2024-05-06.json": json.dumps(day).encode(),
        "slack/desk/2024-05-07.json": f'[{{"ts": "1", "text": "{address("torn")}"'.encode(),
        "teams/canaries.json": json.dumps(teams).encode(),
        "teams/torn.json": f'{{"value": [{{"body": "{address("torn-teams")}"'.encode(),
    }


def transcripts() -> dict[str, bytes]:
    return {
        "calls/voices.vtt": (
            f"WEBVTT - {address('vtt-title')}\n\nNOTE {name('Vtt')} {address('vtt-note')}\nDate: 2024-05-06\n\n"
            f"STYLE\n::cue({address('vtt-style')}) {{}}\n\n{address('cue-id')}\n"
            f"00:00:01.000 --> 00:00:04.000 align:{SURNAME}\n<v {name('Voice')}>Hello {name('Other')}, "
            f"{all_kinds(21, 'spoken')}</v>\n\n00:00:05.000 --> 00:00:08.000\n<v {name('Other')}>Hello "
            f"{name('Voice')}.</v>\n\n00:99:99 --> {address('bad-cue')}\n<v {name('Cue')}>{card(22)}</v>\n"
        ).encode(),
        "calls/plain.srt": f"1\n00:00:01,000 --> 00:00:02,000\n{name('Srt')}: I am {name('Srt')}, {phone(23)}.\n".encode(),
        "calls/no-cues.vtt": f"WEBVTT\n\nNOTE {all_kinds(24, 'no-cues')}\n".encode(),
        "calls/lines.txt": (
            f"With {name('Line')} {address('heading')}\n"
            + "".join(f"[00:00:{n:02d}] {name('Line')}: {address('line')} {phone(25)}\n" for n in range(4))
        ).encode(),
    }


def tables() -> dict[str, bytes]:
    row = {
        "text": f"{name('Row')}: {all_kinds(26, 'row')}",
        "subject": address("row-subject"),
        "sender": f"{name('Row')} <{address('row-sender')}>",
        "recipients": [f"{name('Col')} <{address('row-recipient')}>", address("row-to")],
        "message_id": address("row-id"),
        "thread": address("row-thread"),
        "channel": address("row-channel"),
        "sent_at": address("row-time"),
    }
    extra = {"owner": address("unmapped"), "raw": all_kinds(27, "unmapped"), address("key"): name("Key")}
    lines = [
        json.dumps(row | extra),
        f'{{"text": "{address("torn-line")}"',
        f"{address('no-json')}",
        json.dumps([address("a-list")]),
        json.dumps(extra),
        json.dumps({"text": {"nested": address("nested-text")}, "subject": [address("list-subject")]}),
    ]
    table = pa.table({key: [value] for key, value in (row | extra).items()})
    mapped, unmapped = io.BytesIO(), io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"author": address("metadata")}), mapped)
    pq.write_table(table.select(["owner", "raw"]), unmapped)
    return {
        "tables/rows.jsonl": "\n".join(lines).encode(),
        "tables/rows.parquet": mapped.getvalue(),
        "tables/no-text.parquet": unmapped.getvalue(),
        "tables/damaged.parquet": mapped.getvalue()[:-30],
    }


def no_mails() -> dict[str, bytes]:
    return {
        "other/notes.bin": b"\x00\x01" + all_kinds(28, "binary").encode(),
        "other/sheet.csv": f"name,mail\n{name('Csv')},{address('csv')}\n".encode(),
        "other/page.html": f"<p>{address('loose-html')}</p>".encode(),
        "other/false.mbox": b"From nobody\n\n" + all_kinds(29, "false-mbox").encode(),
        "other/false.msg": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + all_kinds(30, "false-msg").encode(),
    }


def labels() -> str:
    """Return lines of labels.csv: columns that nobody asked for, and a source that is not there."""
    return f"canaries/eml/headers.eml,complaint,{address('labeller')}\n{address('no-such-source')},spam,{card(31)}\n"


def plant_labels(archive: Path) -> None:
    """Add labels and questions about the canaries to those of an archive."""
    with open(archive / LABELS, "a", encoding="utf-8") as file:
        file.write(labels())
    with open(archive / QUESTIONS, "a", encoding="utf-8") as file:
        file.write(questions())


def questions() -> str:
    """Return lines of questions.jsonl: about somebody whom the answering message names, and by form."""
    asked: list[Mapping[str, object]] = [
        {"question": f"What did {name('From')} want? {all_kinds(32, 'question')}", "note": address("note"),
         "answer": f"{name('From')} wanted {address('answer')}.", "sources": ["canaries/eml/headers.eml"]},
        {"question": f"Who is {address('unanswerable')}?", "answer": address("unused"), "answerable": False,
         "sources": [address("no-source")]},
    ]  # fmt: skip
    return "".join(json.dumps(each) + "\n" for each in asked)


def _mbox(contents: Iterable[str]) -> bytes:
    return "".join(
        f"From {address('envelope')} Mon May  6 09:00:00 2024\n{content}\n\n" for content in contents
    ).encode()


def _zip(members: Mapping[str, str]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.comment = address("zip-comment").encode()
        for member, content in members.items():
            packed.writestr(zipfile.ZipInfo(member), content)
    return written.getvalue()


def _tar(members: Mapping[str, str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as packed:
        for member, content in members.items():
            entry = tarfile.TarInfo(member)
            entry.size, entry.uname = len(content.encode()), SURNAME
            packed.addfile(entry, io.BytesIO(content.encode()))
    return written.getvalue()

"""Chats and calls as their exports look: Slack, Microsoft Teams, WebVTT.

A Slack export has ``channels.json``, ``users.json`` and one list of messages per channel and day.
The Teams export is ``{"value": [...]}`` of Microsoft Graph's ``chatMessage``: ``id``, ``replyToId``,
``createdDateTime``, ``from.user.{displayName,id}``, ``body.{contentType,content}``,
``channelIdentity`` and ``attachments``. A transcript's message is a passage: consecutive cues until
a gap of more than 30 seconds or 180 words.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from random import Random

from data.sample_identities import Person, bulk_senders, outsiders, staff
from data.sample_messages import Message

ROOMS = ("desk-rates", "desk-credit", "sales", "operations", "floor-talk")
SHORT_ANSWERS = ("Right.", "Understood.", "One moment.", "Go on.", "Mm-hm.", "Noted.", "Yes.", "I see.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message of a file with many messages came to stand."""

    message: int  # a stray, which is no message, has a negative number here
    source: str
    locator: int


def write_slack(
    folder: Path, threads: Iterable[Sequence[Message]], strays: Sequence[object], rng: Random
) -> list[Place]:
    """Write the export; ``strays`` are entries that are no messages, in the middle of day files."""
    people = [*staff(), *outsiders(), *bulk_senders()]
    users = {person.name: f"U{number:05d}" for number, person in enumerate(people)}
    _dump(
        folder / "channels.json",
        [
            {"id": f"C{number:05d}", "name": room, "is_archived": False, "members": sorted(users.values())}
            for number, room in enumerate(ROOMS)
        ],
    )
    _dump(
        folder / "users.json",
        [
            {
                "id": users[person.name],
                "name": person.address.split("@")[0],
                "real_name": person.name,
                "profile": {"real_name": person.name, "email": person.address},
            }
            for person in people
        ],
    )
    files: defaultdict[str, list[tuple[str, int, object]]] = defaultdict(list)
    for thread in threads:
        room = ROOMS[thread[0].thread % len(ROOMS)]
        for message in thread:
            entry = _slack_entry(message, thread, users)
            files[f"{room}/{message.sent_at:%Y-%m-%d}.json"].append((str(entry["ts"]), message.number, entry))
    crowded = sorted(name for name in files if len(files[name]) > 1)
    for number, (name, stray) in enumerate(
        zip(rng.sample(crowded, len(strays)), strays, strict=True), start=1
    ):
        files[name].append((sorted(files[name], key=lambda item: item[:2])[1][0], -number, stray))
    for name in sorted(files):
        _dump(folder / name, [entry for _, _, entry in sorted(files[name], key=lambda item: item[:2])])
    return [
        Place(number, name, locator)
        for name in sorted(files)
        for locator, (_, number, _) in enumerate(sorted(files[name], key=lambda item: item[:2]))
    ]


def _slack_entry(message: Message, thread: Sequence[Message], users: Mapping[str, str]) -> dict[str, object]:
    greeting = f"<@{users[message.recipients[0].name]}> " if message.number % 4 == 0 else ""
    entry: dict[str, object] = {
        "client_msg_id": f"00000000-0000-4000-8000-{message.number:012d}",
        "type": "message",
        "user": users[message.sender.name],
        "text": greeting + escape(message.text, quote=False),
        "ts": _stamp(message),
    }
    if len(thread) > 1:
        entry["thread_ts"] = _stamp(thread[0])
        if not message.is_reply:
            entry["reply_count"] = len(thread) - 1
    return entry


def _stamp(message: Message) -> str:
    return f"{int(message.sent_at.timestamp())}.{message.number % 1_000_000:06d}"


def write_teams(path: Path, threads: Iterable[Sequence[Message]]) -> list[Place]:
    ids = {
        person.name: f"00000000-0000-4000-9000-{number:012d}"
        for number, person in enumerate([*staff(), *outsiders(), *bulk_senders()])
    }
    messages = sorted(
        ((message, thread[0]) for thread in threads for message in thread),
        key=lambda pair: (pair[0].sent_at, pair[0].number),
    )
    entries = [_teams_entry(message, root, ids[message.sender.name]) for message, root in messages]
    _dump(path, {"@odata.context": "https://graph.example/v1.0/$metadata#chatMessages", "value": entries})
    return [Place(message.number, path.name, locator) for locator, (message, _) in enumerate(messages)]


def _teams_entry(message: Message, root: Message, user: str) -> dict[str, object]:
    is_html = message.number % 3 > 0
    content = (
        "".join(f"<p>{escape(sentence, quote=False)}</p>" for sentence in message.sentences)
        if is_html
        else message.text
    )
    attachment = {
        "id": f"a{message.number}",
        "contentType": "reference",
        "name": f"notes-{message.number}.docx",
    }
    return {
        "id": f"{1_700_000_000_000 + message.number}",
        "messageType": "message",
        "replyToId": f"{1_700_000_000_000 + root.number}" if message.is_reply else None,
        "createdDateTime": f"{message.sent_at:%Y-%m-%dT%H:%M:%SZ}",
        "subject": None if message.is_reply else message.subject,
        "from": {"user": {"displayName": message.sender.name, "id": user}},
        "body": {"contentType": "html" if is_html else "text", "content": content},
        "channelIdentity": {
            "teamId": "larkspur",
            "channelId": f"19:{ROOMS[message.thread % len(ROOMS)]}@thread.example",
        },
        "attachments": [attachment] if message.number % 17 == 0 else [],
    }


def write_calls(folder: Path, threads: Iterable[Sequence[Message]], damaged: int, rng: Random) -> list[Place]:
    """Write a transcript per thread; between passages lies more than half a minute of silence.

    The first ``damaged`` transcripts end with a cue whose times cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = []
    for call, thread in enumerate(threads, start=1):
        start = thread[0].sent_at
        name = f"{start:%Y-%m-%dT%H%M}-call-{thread[0].thread:04d}.vtt"
        lines = ["WEBVTT", "", f"NOTE recorded {start:%Y-%m-%dT%H:%M:%SZ}", ""]
        for locator, message in enumerate(thread):
            lines += _passage(message, start, rng)
            places.append(Place(message.number, name, locator))
        if call <= damaged:
            lines += ["00:7x:61 --> later", f"<v {thread[0].sender.name}>Are you still there?</v>", ""]
            places.append(Place(-call, name, len(thread)))
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return places


def _passage(message: Message, start: datetime, rng: Random) -> list[str]:
    moment = message.sent_at - start
    spoken: list[tuple[Person, str]] = []
    for sentence in message.sentences:
        spoken.append((message.sender, sentence))
        if rng.random() < 0.2:
            spoken.append((message.recipients[0], rng.choice(SHORT_ANSWERS)))
    lines = []
    for person, sentence in spoken:
        end = moment + timedelta(seconds=1.5 + 0.2 * len(sentence.split()))
        lines += [
            f"{clock(moment)} --> {clock(end)}",
            f"<v {person.name}>{escape(sentence, quote=False)}</v>",
            "",
        ]
        moment = end + timedelta(seconds=rng.choice((0.2, 0.6, 1.4)))
    return lines


def clock(moment: timedelta) -> str:
    seconds, milliseconds = divmod(round(moment.total_seconds() * 1000), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{milliseconds:03d}"


def _dump(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

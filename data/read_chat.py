"""Chat exports: a day of a Slack channel, a Teams export."""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.html_text import html_to_text
from data.packed import members, packing_of, unpacked
from data.record import Attached, Entry, Party, Record, Rejected

# What Slack itself writes into a channel; other subtypes (file_share, bot_message, me_message,
# thread_broadcast, file_comment) carry what somebody said.
SYSTEM = re.compile(
    r"^(?:(?:channel|group)_\w+|bot_(?:add|remove|enable|disable)|pinned_item|unpinned_item|message_replied"
    r"|reminder_add|sh_room_\w+|ekm_access_denied|app_conversation_\w+|huddle_\w+)$"
)
IN_ARCHIVE = "\0"
"""Stands between the path of an archive and the folder in it, in the context of a Slack export."""

LARGEST_INDEX = 256 << 20
SNIFFED_BYTES = 512

# Slack writes "&lt;" for a "<" that is none of its own; nor would the time be linear if a label held one
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|([^<>]*))?>")
_CHANNEL = re.compile(r"<#[A-Z0-9]+(?:\|([^<>]*))?>")
_SPECIAL = re.compile(r"<!(\w+)(?:[|^][^<>]*)?>")
_LINK = re.compile(r"<((?:https?|mailto|tel):[^|<>]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class _Export:
    """Everybody in an export, by user id and by name alone."""

    users: Mapping[str, str]
    people: frozenset[str]


_NOBODY = _Export({}, frozenset())


@dataclass(frozen=True, slots=True)
class _Day:
    """What the messages of one file share."""

    channel: str
    size: int
    export: _Export


def read_slack(content: bytes, *, source: str, context: str = "") -> Iterator[Entry]:
    """Read one day of a channel; the channel's name is the folder's, the people's are in ``users.json``."""
    export = _export(context) if context else _NOBODY
    channel = source.rsplit("/", 2)[-2] if "/" in source else source
    day = _Day(channel, len(content), export)
    entries = _entries(content, None)
    outdated = _outdated(
        [_slack_wording(entry) if isinstance(entry, dict) else _NO_WORDING for entry in entries]
    )
    for locator, entry in enumerate(entries):
        if isinstance(entry, Rejected):
            yield entry
        elif not isinstance(entry, dict):
            yield Rejected(locator, 0, len(content), "not_a_message")
        elif locator in outdated:
            yield Rejected(locator, 0, len(content), outdated[locator])
        else:
            yield _from_slack(_object(entry["message"]) if _is_change(entry) else entry, locator, day)


def read_teams(content: bytes) -> Iterator[Entry]:
    """Read an export of Microsoft Graph's chatMessage resources."""
    entries = list(_with_replies(_entries(content, "value")))
    outdated = _outdated(
        [_teams_wording(entry) if isinstance(entry, dict) else _NO_WORDING for entry in entries]
    )
    people = frozenset(
        name
        for entry in entries
        if isinstance(entry, dict)
        for name in (_author(entry), *_mentioned(entry))
        if name
    )
    for locator, entry in enumerate(entries):
        if isinstance(entry, Rejected):
            yield entry
        elif locator in outdated:
            yield Rejected(locator, 0, len(content), outdated[locator])
        elif not isinstance(entry, dict) or not isinstance(entry.get("body"), dict):
            yield Rejected(locator, 0, len(content), "not_a_message")
        else:
            yield _from_teams(entry, locator, len(content), people)


@dataclass(frozen=True, slots=True)
class _Wording:
    """Which message an entry words, and when; an event says that the message was changed or deleted."""

    message: str = ""
    worded_at: float = 0.0
    is_event: bool = False
    is_deletion: bool = False


_NO_WORDING = _Wording()


def _outdated(wordings: Sequence[_Wording]) -> dict[int, str]:
    """Return why an entry is no message any more, by its place: reworded later in this file, or deleted.

    Without an event about it no entry outdates another: two that look alike are left to deduplication.
    """
    touched = {each.message for each in wordings if each.is_event and each.message}
    deleted = {each.message for each in wordings if each.is_deletion and each.message}
    last: dict[str, int] = {}
    for place, each in enumerate(wordings):
        if each.message in touched and (
            each.message not in last or each.worded_at >= wordings[last[each.message]].worded_at
        ):
            last[each.message] = place
    reasons: dict[int, str] = {}
    for place, each in enumerate(wordings):
        if each.is_deletion or each.message in deleted:
            reasons[place] = "deleted_message"
        elif each.message in touched and last[each.message] != place:
            reasons[place] = "superseded"
    return reasons


def _slack_wording(entry: Mapping[str, Any]) -> _Wording:
    """Return what an entry words: of an event about a message, that message."""
    subtype, stamp = _text(entry, "subtype"), _text(entry, "ts")
    if subtype == "tombstone":
        return _Wording(stamp, _moment(stamp), is_deletion=True)
    if subtype == "message_deleted":
        stated = _text(entry, "deleted_ts") or _text(_object(entry.get("previous_message")), "ts")
        return _Wording(stated, _moment(stamp), is_event=True, is_deletion=True)
    message = _object(entry["message"]) if _is_change(entry) else entry
    worded_at = _moment(_text(_object(message.get("edited")), "ts") or stamp)
    if message is entry:
        return _Wording(stamp, worded_at)
    is_deletion = _text(message, "subtype") == "tombstone"
    return _Wording(_text(message, "ts"), worded_at, is_event=True, is_deletion=is_deletion)


def _is_change(entry: Mapping[str, Any]) -> bool:
    return _text(entry, "subtype") == "message_changed" and isinstance(entry.get("message"), dict)


def _teams_wording(entry: Mapping[str, Any]) -> _Wording:
    """Return what an entry words; Graph hands out every version of an edited message under its id."""
    edited, deleted = _text(entry, "lastEditedDateTime"), _text(entry, "deletedDateTime")
    worded_at = _moment(deleted or edited or _text(entry, "createdDateTime"))
    place = f"{_teams_channel(entry)}\n{_text(entry, 'id')}" if _text(entry, "id") else ""
    return _Wording(place, worded_at, is_event=bool(edited or deleted), is_deletion=bool(deleted))


def _with_replies(entries: Sequence[Any]) -> Iterator[Any]:
    """Yield every entry and, behind it, the replies nested in it, which say where they belong as it does."""
    waiting = list(reversed(entries))
    while waiting:
        entry = waiting.pop()
        yield entry
        if isinstance(entry, dict):
            about = {
                "channelIdentity": entry.get("channelIdentity"),
                "chatId": entry.get("chatId"),
                "replyToId": entry.get("id"),
            }
            replies = _list(entry.get("replies"))
            for reply in reversed(replies):
                stated = _object(reply).items()
                of_its_own = {name: value for name, value in stated if value is not None}
                waiting.append(about | of_its_own if isinstance(reply, dict) else reply)


def _teams_channel(entry: Mapping[str, Any]) -> str:
    return _text(_object(entry.get("channelIdentity")), "channelId") or _text(entry, "chatId")


def _entries(content: bytes, key: str | None) -> list[Any]:
    """Return the list in a JSON file, or one reject for a file that holds none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return [Rejected(0, 0, len(content), "invalid_json")]
    found = document.get(key) if key and isinstance(document, dict) else document
    return found if isinstance(found, list) else [Rejected(0, 0, len(content), "not_a_message")]


def _export(context: str) -> _Export:
    """Return the names by user id of a Slack export; without a usable ``users.json`` the ids stand."""
    folder, in_archive, prefix = context.partition(IN_ARCHIVE)
    path = Path(folder) if in_archive else Path(folder) / "users.json"
    try:
        status = path.stat()
    except OSError:
        return _NOBODY
    member = f"{prefix}users.json" if in_archive else ""
    return _read_export(path, member, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=8)
def _read_export(path: Path, member: str, size: int, changed: int, inode: int) -> _Export:
    """Read the names once for all days of an export, as long as its file stays the same."""
    del size, changed, inode
    try:
        if member:
            with open(path, "rb") as file:
                packing = packing_of(file.read(SNIFFED_BYTES))
            number = next(each.number for each in members(path, packing) if each.name == member)
            with unpacked(path, packing, number) as handle:
                content = handle.read(LARGEST_INDEX)
        else:
            with open(path, "rb") as file:
                content = file.read(LARGEST_INDEX)
        entries = json.loads(content)
    except (OSError, ValueError, RecursionError, StopIteration):
        return _NOBODY
    names: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            profile = _object(entry.get("profile"))
            name = _text(entry, "real_name") or _text(profile, "real_name") or _text(entry, "name")
            names[_text(entry, "id")] = name
    return _Export(names, frozenset(filter(None, names.values())))


def _from_slack(entry: Mapping[str, Any], locator: int, day: _Day) -> Entry:
    if SYSTEM.match(_text(entry, "subtype")):
        return Rejected(locator, 0, day.size, "system_message")
    stamp, root = _text(entry, "ts"), _text(entry, "thread_ts")
    if not stamp and not _text(entry, "text"):
        return Rejected(locator, 0, day.size, "not_a_message")
    files = [file for file in [*_list(entry.get("files")), entry.get("file")] if isinstance(file, dict)]
    body = _readable(_text(entry, "text"), day.export.users)
    quoted = [
        _text(_object(each), "text") or _text(_object(each), "fallback")
        for each in _list(entry.get("attachments"))
    ]
    if not body.strip():
        body = "\n".join(_readable(text, day.export.users) for text in quoted if text)
    if not body.strip() and not files:
        return Rejected(locator, 0, day.size, "empty_message")
    profile = _object(entry.get("user_profile"))
    user = _text(entry, "user") or _text(entry, "bot_id")
    name = day.export.users.get(user) or _text(profile, "real_name") or _text(entry, "username") or user
    mentioned = [
        day.export.users.get(each[1]) or each[2] or each[1] for each in _USER.finditer(_text(entry, "text"))
    ]
    return Record(
        locator=locator,
        byte_start=0,
        byte_end=day.size,
        channel="chat",
        sent_at=_instant(stamp),
        sender=Party(name=name),
        recipients=tuple(Party(name=each) for each in dict.fromkeys(mentioned)),
        subject="",
        body=body,
        attachments=tuple(
            Attached(
                _text(file, "name") or _text(file, "title"), _text(file, "mimetype"), _whole(file.get("size"))
            )
            for file in files
        ),
        key=f"{day.channel}\n{stamp}",
        parents=(f"{day.channel}\n{root}",) if root and root != stamp else (),
        names=day.export.people,
        strangers=frozenset({each for each in [name, *mentioned] if each} - day.export.people),
    )


def _readable(text: str, users: Mapping[str, str]) -> str:
    """Return Slack's markup as people see it: names for ids, labels for links."""
    if "<" in text:
        text = _USER.sub(lambda found: "@" + (users.get(found[1]) or found[2] or found[1]), text)
        text = _CHANNEL.sub(lambda found: "#" + (found[1] or "channel"), text)
        text = _SPECIAL.sub(r"@\1", text)
        text = _LINK.sub(
            lambda found: found[1] if not found[2] or found[2] in found[1] else f"{found[2]} ({found[1]})",
            text,
        )
    return html.unescape(text) if "&" in text else text


def _from_teams(entry: Mapping[str, Any], locator: int, size: int, people: frozenset[str]) -> Entry:
    if _text(entry, "messageType") not in ("", "message"):
        return Rejected(locator, 0, size, "system_message")
    body, files = _object(entry.get("body")), [_object(file) for file in _list(entry.get("attachments"))]
    text = _text(body, "content")
    if _text(body, "contentType").lower() == "html":
        text = html_to_text(text)
    if not text.strip() and not files:
        return Rejected(locator, 0, size, "empty_message")
    channel = _teams_channel(entry)
    root = _text(entry, "replyToId")
    return Record(
        locator=locator,
        byte_start=0,
        byte_end=size,
        channel="chat",
        sent_at=_instant(_text(entry, "createdDateTime")),
        sender=Party(name=_author(entry)),
        recipients=tuple(Party(name=each) for each in dict.fromkeys(_mentioned(entry))),
        subject=_text(entry, "subject"),
        body=text,
        attachments=tuple(Attached(_text(file, "name"), _text(file, "contentType")) for file in files),
        key=f"{channel}\n{_text(entry, 'id')}",
        parents=(f"{channel}\n{root}",) if root else (),
        names=people,
    )


def _author(entry: Mapping[str, Any]) -> str:
    sender = _object(entry.get("from"))
    user = next((_object(sender[kind]) for kind in ("user", "application", "device") if sender.get(kind)), {})
    return _text(user, "displayName") or _text(user, "id")


def _mentioned(entry: Mapping[str, Any]) -> list[str]:
    mentions = (_object(_object(each).get("mentioned")) for each in _list(entry.get("mentions")))
    return [name for each in mentions if (name := _text(_object(each.get("user")), "displayName"))]


def _instant(stated: str) -> datetime | None:
    """Read a chat's clock: seconds since 1970, or ISO 8601."""
    try:
        if re.fullmatch(r"\d{1,12}(?:\.\d*)?", stated):
            return datetime.fromtimestamp(int(float(stated)), UTC)
        when = datetime.fromisoformat(stated)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(stated: str) -> float:
    if re.fullmatch(r"\d{1,12}\.\d{1,9}", stated):
        return float(stated)
    when = _instant(stated)
    return when.timestamp() if when else 0.0


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _whole(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 62 else 0  # True is an int, but no size


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

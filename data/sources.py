"""What lies in an archive: every file by its format, found by content first and by name second."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

from data.columns import read_columns
from data.mbox import Survey, survey
from data.outlook import MAGIC as OUTLOOK
from data.packed import ARCHIVES, SUFFIXES, Member, Packing, members, packing_of, unpacked
from data.read_chat import IN_ARCHIVE
from data.read_transcript import is_plain_transcript
from data.workspace import UserError

Format = Literal[
    "mbox",
    "mail",
    "slack",
    "teams",
    "transcript",
    "plain_transcript",
    "jsonl",
    "parquet",
    "damaged",
    "unreadable",
    "unrecognised",
]
LABELS, QUESTIONS, COLUMNS = "labels.csv", "questions.jsonl", "columns.yaml"
TABLES: tuple[Format, ...] = ("jsonl", "parquet")
SLACK_INDEX, USERS = "channels.json", "users.json"
SNIFFED_BYTES = 8192
LONGEST_NAME, MOST_PARTS, SHOWN_NAME = 4096, 100, 200  # of a member: each folder above it is looked at
FILE_COST = 20_000  # opening and hashing a small file costs about as much as parsing this many bytes

_HEADERS = (
    rb"(?:From|To|Cc|Subject|Date|Received|Message-Id|Return-Path|Delivered-To|Reply-To|Sender|"
    rb"MIME-Version|Content-Type|X-[!-9;-~]+)"
)
_MAIL = re.compile(
    rb"\A(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*){0,40}?" + _HEADERS + rb"[ \t]*:", re.IGNORECASE
)
_CUE = re.compile(rb"\A\s*\d+[ \t]*\r?\n\s*[\d:]+[,.]\d+\s*-->")
_CHAT_EXPORT = re.compile(rb'\A\s*\[\s*\{[^\0]*"ts"\s*:')
_TEAMS_EXPORT = re.compile(rb'\A\s*\{[^\0]{0,4000}?"value"\s*:\s*\[')
BANG = "\\x21"
"""How an exclamation mark in a name is written: as it is, one stands before the name of a member alone."""

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_NEEDS_ESCAPE = re.compile(rb"!|\\(?=x[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of work: a file, a range of one, or a member of an archive.

    ``context`` is a Slack export's root, or which columns of a table mean what; ``state`` changes with
    the file, empty where it cannot be read.
    """

    format: Format
    path: bytes
    source: str
    start: int
    end: int
    first: int = 0
    count: int = -1
    sha256: str = ""
    context: bytes = b""
    packing: Packing = ""
    member: int = 0
    state: str = ""

    @property
    def cost(self) -> int:
        return self.end - self.start + FILE_COST


def discover(archive: Path, *, skipped: tuple[Path, ...] = ()) -> list[Item]:
    """Return one item per file and one per range of a large mbox, ordered by source.

    Hidden files, Maildir's ``tmp``, the labels, the questions, the names of columns and the index
    files of a Slack export are no messages and left out.

    Raises:
        UserError: the archive is missing, cannot be read, or holds no file, or its columns.yaml is wrong.
    """
    if not archive.exists():
        raise UserError(f"no archive at {archive}; give the path of a folder or of one file")
    root = archive if archive.is_dir() else archive.parent
    if not os.access(archive, os.R_OK | (os.X_OK if archive.is_dir() else 0)):
        raise UserError(f"the archive {archive} cannot be read by this user; check its permissions")
    left_out = {root / LABELS, root / QUESTIONS, root / COLUMNS, *skipped}
    columns = read_columns(root / COLUMNS).model_dump_json().encode()
    paths = _files(archive) if archive.is_dir() else iter([archive])
    items: list[Item] = []
    slack_roots: dict[Path, bool] = {}
    for path in paths:
        if path not in left_out:
            items += items_at(path, root, slack_roots)
    if not items:
        raise UserError(
            f"the archive {archive} holds no messages; put mail, chat exports or transcripts there"
        )
    items = [replace(item, context=columns) if item.format in TABLES else item for item in items]
    return sorted(items, key=lambda item: (item.source, item.start))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; one that cannot be listed is yielded itself."""
    unlisted: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unlisted.append):
        below = Path(place)
        maildir = "cur" in folders and "new" in folders
        folders[:] = sorted(
            name
            for name in folders
            if not (maildir and name == "tmp") and (not name.startswith(".") or _is_maildir(below / name))
        )
        yield from (below / name for name in sorted(names) if not name.startswith("."))
    yield from (Path(error.filename) for error in unlisted)


def _is_maildir(folder: Path) -> bool:
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


def items_at(path: Path, root: Path, slack_roots: dict[Path, bool]) -> list[Item]:
    """Return the work items of one file of the archive at ``root``."""
    source = os.fsencode(path.relative_to(root)).replace(os.sep.encode(), b"/")
    in_maildir = path.parent.name in ("cur", "new") and _is_maildir(path.parent.parent)
    return items_of(
        path,
        source_of(source),
        in_maildir=in_maildir,
        slack_root=_slack_root(path, root, slack_roots),
    )


def source_of(name: bytes) -> str:
    """Return how a file or a member of this name is called; no two names are called the same.

    A byte that is no text becomes ``\\xff``, and so do a backslash that would read as one (``\\x5c``) and
    an exclamation mark (``\\x21``): as it is, one stands before a member's name and nowhere else.
    """
    escaped = _NEEDS_ESCAPE.sub(lambda sign: b"\\x%02x" % ord(sign[0]), name)
    return escaped.decode("utf-8", "backslashreplace")


def name_of(source: str) -> bytes:
    """Return the name of the file that a source lies in, as the file system has it: `source_of` undone."""
    written = source.partition("!")[0].encode("utf-8")
    return _ESCAPED.sub(lambda sign: bytes([int(sign[1], 16)]), written)


def items_of(
    path: Path, source: str, *, in_maildir: bool = False, slack_root: Path | None = None
) -> list[Item]:
    """Return the work items of one file; ``source`` is what it is called in the archive."""
    whole = Item("unreadable", os.fsencode(path), source, 0, 0)
    try:
        size, start = _size_and_start(path)
    except OSError:
        return [whole]
    whole = replace(whole, end=size, state=state_of(path))
    packing, place = packing_of(start), PurePosixPath(source)
    unpacked_name = place.stem if packing and place.suffix.lower() in SUFFIXES else place.name
    if slack_root and packing not in ARCHIVES and unpacked_name.endswith(".json"):
        if slack_root == path.parent:
            return [] if not packing and _is_json(path) else [replace(whole, format="damaged")]
        if slack_root == path.parent.parent:
            state = f"{whole.state} {state_of(slack_root / USERS)}"
            context = os.fsencode(slack_root)
            return [replace(whole, format="slack", packing=packing, context=context, state=state)]
    if packing in ARCHIVES:
        return _archived(path, packing, whole)
    if packing:
        return [_sniffed(path, replace(whole, packing=packing), unpacked_name, in_maildir=False)]
    item = replace(whole, format=_format_of(place, start, in_maildir=in_maildir))
    return _ranges(path, item) if item.format == "mbox" else [item]


def state_of(path: Path) -> str:
    """Return what changes whenever a file or the permission to read it does; nothing where it is unknown."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def _ranges(path: Path, item: Item) -> list[Item]:
    """Return the ranges of an mbox, each a piece of work of its own."""
    try:
        found: Survey = survey(path)
    except (OSError, ValueError):
        return [replace(item, format="unreadable")]
    return [
        replace(item, start=each.start, end=each.end, first=each.first, count=each.count, sha256=found.sha256)
        for each in found.ranges
    ]


def _archived(path: Path, packing: Packing, whole: Item) -> list[Item]:
    """Return an item for every member of a zip or a tar; its source names it behind an exclamation mark.

    Of a damaged tar what comes before the damage is read; the archive itself is unreadable beside it.

    Of a name that occurs again the later ones are numbered. Left out is what a folder would leave out:
    folders, Maildir's ``tmp`` and what macOS adds.
    """
    try:
        found = [_with_bounded_name(member) for member in members(path, packing)]
        sha256 = file_sha256(path)
    except OSError:
        return [whole]
    layout = _Layout([member.name for member in found])
    names, seen = {member.name for member in found}, Counter[str]()
    items = []
    for member in found:
        place = PurePosixPath(member.name)
        if member.is_broken and not member.name:
            items.append(whole)
            continue
        if member.is_folder or layout.leaves_out(place):
            continue
        name = _unused(member.name, names, seen)
        source = f"{whole.source}!{source_of(name.encode('utf-8', 'surrogateescape'))}"
        item = replace(
            whole, source=source, end=member.size, sha256=sha256, packing=packing, member=member.number
        )
        if member.is_broken:
            items.append(replace(item, format="unreadable", packing=""))
            continue
        if place.suffix == ".json" and layout.is_export(place.parent):
            continue
        if place.suffix == ".json" and layout.is_export(place.parent.parent):
            export = f"{place.parent.parent}/".removeprefix("./")
            context = os.fsencode(f"{os.fsdecode(whole.path)}{IN_ARCHIVE}{export}")
            items.append(replace(item, format="slack", context=context))
        else:
            items.append(_sniffed(path, item, member.name, in_maildir=layout.is_maildir(place.parent.parent)))
    return items


def _unused(name: str, names: set[str], seen: Counter[str]) -> str:
    """Return the name when it comes first, later with a number that makes it none of the ``names``."""
    seen[name] += 1
    if seen[name] == 1:
        return name
    while (numbered := f"{name}~{seen[name]}") in names:
        seen[name] += 1
    return numbered


def _with_bounded_name(member: Member) -> Member:
    """Return the member; one of an absurd name cannot be read, and keeps only the beginning of it."""
    if len(member.name) <= LONGEST_NAME and member.name.count("/") < MOST_PARTS:
        return member
    return replace(member, name=f"{member.name[:SHOWN_NAME]}…", is_broken=True)


class _Layout:
    """What the names in an archive say about its folders."""

    def __init__(self, names: Sequence[str]) -> None:
        places = [PurePosixPath(name) for name in names]
        self._halves = {
            folder for place in places for folder in (place, *place.parents) if folder.name in ("cur", "new")
        }
        self._exports = {place.parent for place in places if place.name == SLACK_INDEX}

    def is_export(self, folder: PurePosixPath) -> bool:
        return folder in self._exports

    def is_maildir(self, folder: PurePosixPath) -> bool:
        return folder / "cur" in self._halves and folder / "new" in self._halves

    def leaves_out(self, place: PurePosixPath) -> bool:
        is_of_macos = "__MACOSX" in place.parts or place.name == ".DS_Store" or place.name.startswith("._")
        return is_of_macos or (place.parent.name == "tmp" and self.is_maildir(place.parent.parent))


def _sniffed(path: Path, item: Item, name: str, *, in_maildir: bool) -> Item:
    """Return the item with the format that its first unpacked bytes show; packed twice is once too often."""
    try:
        with unpacked(path, item.packing, item.member) as handle:
            start = handle.read1(SNIFFED_BYTES)
    except OSError:
        return replace(item, packing="")
    if packing_of(start):
        return replace(item, format="unrecognised", packing="")
    place = PurePosixPath(name)
    in_maildir = in_maildir and place.parent.name in ("cur", "new")
    return replace(item, format=_format_of(place, start, in_maildir=in_maildir))


def _size_and_start(path: Path) -> tuple[int, bytes]:
    """Return a file's size and its first bytes; a pipe or a device is not waited for."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    with open(path, "rb") as handle:
        return status.st_size, handle.read(SNIFFED_BYTES)


def _format_of(path: PurePath, start: bytes, *, in_maildir: bool) -> Format:
    text = start.removeprefix(b"\xef\xbb\xbf")
    suffix = path.suffix.lower()
    found: Format = "unrecognised"
    if suffix == ".eml" or in_maildir or text.startswith(OUTLOOK):
        found = "mail"
    elif text.startswith(b"PAR1"):
        found = "parquet"
    elif text.startswith(b"From "):
        found = "mbox"
    elif text.startswith(b"WEBVTT") or _CUE.match(text) or (suffix in (".vtt", ".srt") and b"-->" in text):
        found = "transcript"
    elif suffix in (".jsonl", ".ndjson") and text.lstrip().startswith(b"{"):
        found = "jsonl"
    elif _TEAMS_EXPORT.match(text):
        found = "teams"
    elif _CHAT_EXPORT.match(text):
        found = "slack"
    elif suffix == ".txt" and is_plain_transcript(text.decode("utf-8", "replace")):
        found = "plain_transcript"
    elif _MAIL.match(text):
        found = "mail"
    return found


def _slack_root(path: Path, root: Path, known: dict[Path, bool]) -> Path | None:
    """Return the folder of a Slack export that the file belongs to, as index or as a day of a channel."""
    for folder in (path.parent, path.parent.parent):
        if folder not in known:
            known[folder] = folder.is_relative_to(root) and (folder / SLACK_INDEX).is_file()
        if known[folder]:
            return folder
    return None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file without holding it in memory."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

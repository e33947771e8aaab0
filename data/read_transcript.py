"""Transcripts of calls and meetings: WebVTT and SRT cues joined to passages long enough to judge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from data.mime import decoded
from data.record import Entry, Party, Record, Rejected

LONGEST_GAP_S = 30.0
LONGEST_PASSAGE_WORDS = 180

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]{1,200})>")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]{0,200}>")
_PREFIX = re.compile(r"^\s*(?:>>\s*)?([^\W\d_][\w.'’ -]{0,48}?)\s*:\s+(?=\S)")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)-(\d\d)-(\d\d)(?!\d)(?:[T ](\d\d):?(\d\d))?")


@dataclass(frozen=True, slots=True)
class Cue:
    """What one speaker said at once; ``start`` and ``end`` are seconds into the call."""

    start: float
    end: float
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """What all passages of a call share."""

    source: str
    began: datetime | None
    names: tuple[str, ...]


def read_transcript(content: bytes, *, source: str) -> Iterator[Entry]:
    """Read the passages of a call: its speaker is who says most, the others are the recipients."""
    text = decoded(content.removeprefix(b"\xef\xbb\xbf"), "utf-8").replace("\r\n", "\n").replace("\r", "\n")
    blocks = re.split(r"\n[ \t]*\n", text)
    cues = list(_cues(blocks))
    if not cues:
        yield Rejected(0, 0, len(content), "empty_message")
        return
    names = tuple(dict.fromkeys(cue.speaker for cue in cues if cue and cue.speaker))
    call = Call(source, _date(blocks, source), names)
    for locator, passage in enumerate(_passages(cues)):
        if passage:
            yield _record(passage, locator, len(content), call)
        else:
            yield Rejected(locator, 0, len(content), "invalid_cue")


def _cues(blocks: Sequence[str]) -> Iterator[Cue | None]:
    """Yield the cues in order, and None for one whose times cannot be read."""
    speaker = ""
    for block in blocks:
        lines = block.split("\n")
        timed = next((number for number, line in enumerate(lines[:3]) if "-->" in line), None)
        if timed is None:
            continue
        times = _TIMES.match(lines[timed])
        if times is None:
            yield None
            continue
        spoken = " ".join(line.strip() for line in lines[timed + 1 :])
        voiced, prefixed = _VOICE.search(spoken), _PREFIX.match(spoken)
        if voiced:
            speaker = " ".join(voiced[1].split())
        elif prefixed:
            speaker, spoken = " ".join(prefixed[1].split()), spoken[prefixed.end() :]
        spoken = " ".join((_TAG.sub(" ", spoken) if "<" in spoken else spoken).split())
        if spoken:
            yield Cue(_seconds(times, 1), _seconds(times, 5), speaker, spoken)


def _seconds(times: re.Match[str], group: int) -> float:
    hours, minutes, seconds, fraction = times.group(group, group + 1, group + 2, group + 3)
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction) / 10 ** len(fraction)


def _passages(cues: Sequence[Cue | None]) -> Iterator[list[Cue]]:
    """Yield runs of cues, and an empty run where a cue cannot be read."""
    passage: list[Cue] = []
    words = 0
    for cue in cues:
        length = len(cue.text.split()) if cue else 0
        if passage and (cue is None or _is_apart(cue, passage[-1]) or words + length > LONGEST_PASSAGE_WORDS):
            yield passage
            passage, words = [], 0
        if cue is None:
            yield []
        else:
            passage.append(cue)
            words += length
    if passage:
        yield passage


def _is_apart(cue: Cue, before: Cue) -> bool:
    return cue.start - before.end > LONGEST_GAP_S


def _record(passage: Sequence[Cue], locator: int, size: int, call: Call) -> Record:
    words: Counter[str] = Counter()
    lines: list[str] = []
    before: str | None = None
    for cue in passage:
        words[cue.speaker] += len(cue.text.split())
        if cue.speaker == before:
            lines[-1] += f" {cue.text}"
        else:
            lines.append(f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text)
        before = cue.speaker
    by_words = sorted(words, key=lambda speaker: (-words[speaker], speaker))
    return Record(
        locator=locator,
        byte_start=0,
        byte_end=size,
        channel="transcript",
        sent_at=call.began,
        sender=Party(name=by_words[0]),
        recipients=tuple(Party(name=speaker) for speaker in sorted(by_words[1:]) if speaker),
        subject="",
        body="\n".join(lines),
        key=f"{call.source}\n{locator}",
        parents=(call.source,),
        names=call.names,
    )


def _date(blocks: Sequence[str], source: str) -> datetime | None:
    """Return the day (and the minute, if stated) of a call: from its notes, else from the file's name."""
    notes = [block for block in blocks[:6] if block.startswith(("WEBVTT", "NOTE")) or "Date:" in block]
    for place in [*notes, source.rpartition("/")[2]]:
        if found := _DATE.search(place):
            year, month, day, hour, minute = (int(number or 0) for number in found.groups())
            try:
                return datetime(year, month, day, hour, minute, tzinfo=UTC)
            except ValueError:
                continue
    return None

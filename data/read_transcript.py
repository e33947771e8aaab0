"""Transcripts of calls and meetings: WebVTT, SRT or plain lines, joined to passages long enough to judge."""

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
SECONDS_PER_WORD = 0.4  # how long somebody spoke, where only the beginning is stated
FEWEST_TIMED_LINES = 3
LEAST_TIMED = 1 / 4  # of the lines that are not blank

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?\s+([^\s<>][^<>]{0,199})>")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]{0,200}>")
_PREFIX = re.compile(r"^\s*(?:>>\s*)?([^\W\d_][\w.'’ -]{0,48}?)\s*:\s+(?=\S)")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)-(\d\d)-(\d\d)(?!\d)(?:[T ](\d\d):?(\d\d))?")
_MOMENT = r"[\[(]?(?:(\d{1,2}):)?(\d{1,2}):(\d{2})(?:[.,](\d{1,3}))?[\])]?"
_NAME = r"([^\W\d_][\w.'’ -]{0,48}?)"
_TIME_FIRST = re.compile(rf"[ \t]*{_MOMENT}[ \t]+(?:-[ \t]+)?{_NAME}[ \t]*:(?:[ \t]+|$)")
_NAME_FIRST = re.compile(rf"[ \t]*{_NAME}[ \t]+(?=[\[(]){_MOMENT}[ \t]*:(?:[ \t]+|$)")


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
    names: frozenset[str]


def read_transcript(content: bytes, *, source: str) -> Iterator[Entry]:
    """Read the passages of a call: its speaker is who says most, the others are the recipients."""
    text = decoded(content.removeprefix(b"\xef\xbb\xbf"), "utf-8").replace("\r\n", "\n").replace("\r", "\n")
    blocks = re.split(r"\n[ \t]*\n", text)
    cues = list(_cues(blocks))
    if not cues:
        yield Rejected(0, 0, len(content), "empty_message")
        return
    notes = [block for block in blocks[:6] if block.startswith(("WEBVTT", "NOTE")) or "Date:" in block]
    yield from _entries(cues, notes, source, len(content))


def is_plain_transcript(text: str) -> bool:
    """Return whether lines such as ``[00:01:02] Anna: hello`` make up enough of a text's beginning."""
    lines = [line for line in text.splitlines() if line.strip()]
    timed = sum(1 for line in lines if _timed(line))
    return timed >= max(FEWEST_TIMED_LINES, LEAST_TIMED * len(lines))


def read_plain_transcript(content: bytes, *, source: str) -> Iterator[Entry]:
    """Read a call written as lines that say when, who and what.

    A line without a time goes on with what was said before it. What stands above the first such line
    (a title, who took part) is kept as text that nobody said.
    """
    text = decoded(content.removeprefix(b"\xef\xbb\xbf"), "utf-8").replace("\r\n", "\n").replace("\r", "\n")
    cues = list(_plain_cues(text))
    if not cues:
        yield Rejected(0, 0, len(content), "empty_message")
        return
    heading = [cue.text for cue in cues[:20] if not cue.speaker]
    yield from _entries(cues, heading, source, len(content))


def _plain_cues(text: str) -> Iterator[Cue]:
    start, speaker = 0.0, ""
    for line in text.split("\n"):
        spoken = line
        if timed := _timed(line):
            start, speaker, spoken = timed.start, timed.speaker, timed.text
        if spoken := " ".join(spoken.split()):
            end = start + SECONDS_PER_WORD * len(spoken.split())
            yield Cue(start, end, speaker, spoken)
            start = end


def _timed(line: str) -> Cue | None:
    """Return who says what when on a line, or nothing for a line without a time."""
    if found := _TIME_FIRST.match(line):
        first, speaker = 1, found[5]
    elif found := _NAME_FIRST.match(line):
        first, speaker = 2, found[1]
    else:
        return None
    start = _seconds(found, first)
    return Cue(start, start, " ".join(speaker.split()), line[found.end() :])


def _entries(cues: Sequence[Cue | None], notes: Sequence[str], source: str, size: int) -> Iterator[Entry]:
    names = frozenset(cue.speaker for cue in cues if cue and cue.speaker)
    call = Call(source, _date(notes, source), names)
    for locator, passage in enumerate(_passages(cues)):
        if passage:
            yield _record(passage, locator, size, call)
        else:
            yield Rejected(locator, 0, size, "invalid_cue")


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
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")


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
    by_words = sorted(words, key=lambda speaker: (not speaker, -words[speaker], speaker))
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


def _date(notes: Sequence[str], source: str) -> datetime | None:
    """Return the day (and the minute, if stated) of a call: from its notes, else from the file's name."""
    for place in [*notes, source.rpartition("/")[2]]:
        if found := _DATE.search(place):
            year, month, day, hour, minute = (int(number or 0) for number in found.groups())
            try:
                return datetime(year, month, day, hour, minute, tzinfo=UTC)
            except ValueError:
                continue
    return None

"""Cues become passages; a damaged cue is counted, not lost."""

from datetime import UTC, datetime

from data.read_transcript import read_transcript
from data.record import Party, Record, Rejected


def cue(start_s: int, speaker: str, text: str) -> str:
    clock = f"00:{start_s // 60:02}:{start_s % 60:02}"
    return f"{clock}.000 --> {clock}.900\n<v {speaker}>{text}</v>\n\n"


def read(text: str, source: str = "calls/2024-05-06T0915-x.vtt") -> list[Record | Rejected]:
    return list(read_transcript(text.encode(), source=source))


def test_a_pause_of_half_a_minute_ends_a_passage() -> None:
    first, second = read(
        "WEBVTT\n\n" + cue(0, "Ada", "good morning all") + cue(2, "Bo", "hi") + cue(60, "Bo", "back")
    )

    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.body == "Ada: good morning all\nBo: hi"
    assert (first.sender, first.recipients) == (Party("Ada"), (Party("Bo"),))
    assert first.parents == second.parents
    assert datetime(2024, 5, 6, 9, 15, tzinfo=UTC) == first.sent_at


def test_a_passage_stays_under_180_words() -> None:
    entries = read("WEBVTT\n\n" + "".join(cue(second, "Ada", "word " * 50) for second in range(8)))

    assert [len(entry.body.split()) for entry in entries if isinstance(entry, Record)] == [151, 151, 101]


def test_a_cue_without_readable_times_is_a_reject_in_its_place() -> None:
    entries = read(
        "WEBVTT\n\n" + cue(0, "Ada", "one") + "0x:9 --> later\n<v Ada>two\n\n" + cue(2, "Ada", "three")
    )

    assert [entry.reason if isinstance(entry, Rejected) else entry.body for entry in entries] == [
        *("Ada: one", "invalid_cue", "Ada: three")
    ]
    assert [entry.locator for entry in entries] == [0, 1, 2]


def test_reads_srt_with_speakers_before_a_colon() -> None:
    (entry,) = read(
        "1\r\n00:00:01,000 --> 00:00:02,000\r\nAda Ray: hi\r\n\r\n2\n00:00:02,500 --> 00:00:03,000\r\nyes\n",
        "a.srt",
    )

    assert isinstance(entry, Record)
    assert entry.body == "Ada Ray: hi yes"
    assert entry.sent_at is None

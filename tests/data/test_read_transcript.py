"""Cues become passages; a damaged cue is counted, not lost."""

import time
from datetime import UTC, datetime

import pytest

from data.normalise import normalise
from data.read_transcript import is_plain_transcript, read_plain_transcript, read_transcript
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


def plain(text: str, source: str = "calls/x.txt") -> list[Record | Rejected]:
    return list(read_plain_transcript(text.encode(), source=source))


@pytest.mark.parametrize(
    "form",
    [
        *("[{time}] {name}: {text}", "{time} {name}: {text}", "{name} ({time}): {text}"),
        *("({time}) {name}: {text}", "{name} [{time}]: {text}", "{time} - {name}: {text}"),
        "{name} ({time}):\r\n{text}\r\n",
    ],
)
def test_reads_lines_that_say_when_who_and_what(form: str) -> None:
    said = [
        ("00:00:01", "Ada Ray", "one: two"),
        ("00:00:03", "Bo", "three"),
        ("01:00:00.5", "Bo", "much later"),
    ]
    text = "\n".join(form.format(time=time, name=name, text=text) for time, name, text in said)

    first, second = plain(text)

    assert is_plain_transcript(text)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.body == "Ada Ray: one: two\nBo: three"
    assert second.body == "Bo: much later"
    assert (first.sender, first.recipients) == (Party("Ada Ray"), (Party("Bo"),))


def test_a_long_turn_is_no_pause_and_lines_without_a_time_go_on() -> None:
    (entry,) = plain(f"00:00 Ada: {'word ' * 60}\n{'word ' * 60}\n00:50 Bo: yes")

    assert isinstance(entry, Record)
    assert len(entry.body.split()) == 123


def test_what_stands_above_the_first_line_is_kept_and_tells_the_day() -> None:
    (entry,) = plain("Weekly call, 2024-05-06\nwith many more people than spoke\n\n00:01 Ada: hello\n")

    assert isinstance(entry, Record)
    assert entry.body.startswith("Weekly call")
    assert entry.body.endswith("\nAda: hello")
    assert Party("Ada") == entry.sender
    assert datetime(2024, 5, 6, tzinfo=UTC) == entry.sent_at


@pytest.mark.parametrize(
    "text",
    [
        "12:30 lunch\n13:00 call\n14:00 end\n",
        "Note: one\nNote: two\nNote: three\n",
        "00:01 Ada: hi\n00:02 Bo: hi\n" + "a line of prose\n" * 20,
    ],
)
def test_other_texts_are_no_transcripts(text: str) -> None:
    assert not is_plain_transcript(text)


@pytest.mark.parametrize("unit", ["<v.", "<v.a", "<v a", "<v ", "<v"])
def test_voices_that_never_close_are_read_within_a_bound_that_quadratic_time_exceeds(unit: str) -> None:
    spoken = unit * (600_000 // len(unit))
    start = time.process_time()

    (entry,) = read(f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{spoken}\n")

    assert isinstance(entry, Record)
    assert entry.sender == Party("")
    assert time.process_time() - start < 5


def test_a_new_speaker_in_each_passage_takes_time_for_that_passage_alone() -> None:
    cues = [
        f"{n // 60}:{n % 60:02}:00.000 --> {n // 60}:{n % 60:02}:01.000\n<v Zorg N{n:x}ib>so be it\n\n"
        for n in range(10_000)
    ]
    entries = read("WEBVTT\n\n" + "".join(cues))
    start = time.process_time()

    texts = [
        normalise(entry, source="a", source_sha256="", secret=bytes(32)).text
        for entry in entries[:1500]
        if isinstance(entry, Record)
    ]

    assert 1500 == len(set(texts))
    assert all(text.startswith("[PERSON_") for text in texts)
    assert time.process_time() - start < 6

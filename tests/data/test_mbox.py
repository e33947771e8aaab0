"""An mbox counts the same however it is cut: surveyed, split by ranges, streamed, or changed meanwhile."""

import io
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data import mbox
from data.intake import Refused, Tally, take
from data.mbox import split, stream, survey
from data.sources import Item, discover

ENVELOPE = b"From a@x.org Fri Apr 20 19:35:02 2001\n"
LINES = st.sampled_from(
    [
        *(ENVELOPE, ENVELOPE, b"From: a@x.org\n", b"From : b 2001\n", b">" + ENVELOPE, b"\n", b"From here\n"),
        *(b"From " + b"y" * 395 + b" 2001\n", b"From " + b"z" * 500 + b" 2001\n", b"a line\n", b"w" * 900),
        *(b"X" + b" " * 99 + b": 1\n", b"X" + b"\t" * 2000 + b": 1\n"),
    ]
)


@given(st.lists(LINES, max_size=40).map(b"".join), st.integers(1, 3000), st.integers(1, 1500))
@example(ENVELOPE * 2 + b"From: a\n\nx\n" + ENVELOPE * 2 + b"From: b\n\ny\n", 1, 1)
@example(ENVELOPE * 2 + b"From : b 2001\nX: 1\n" + ENVELOPE * 2 + b"From : b 2001\nX: 1\n", 1, 1)
def test_survey_split_and_stream_agree_whatever_the_cuts(lines: bytes, range_bytes: int, step: int) -> None:
    content = ENVELOPE + lines
    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder, "a.mbox")).write_bytes(content)
        ranges = survey(path, range_bytes=range_bytes).ranges

    whole = [start for start, _ in split(content)]
    by_range = [[each.start + at for at, _ in split(content[each.start : each.end])] for each in ranges]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox, "STREAM_BYTES", step)
        streamed = [each.start for each in stream(io.BytesIO(content), largest=700)]

    assert [each.count for each in ranges] == [len(starts) for starts in by_range]
    assert whole == [start for starts in by_range for start in starts]
    assert whole == streamed


def six_messages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    (folder / "a.mbox").write_bytes((ENVELOPE + b"From: a@x.org\n\nHello there.\n") * 6)
    monkeypatch.setattr("data.sources.survey", lambda path: survey(path, range_bytes=200))
    return discover(folder)


@pytest.mark.parametrize("kept", [0, 1, 100, 250, 300])
def test_a_file_that_was_cut_off_since_it_was_counted_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    items = six_messages(tmp_path, monkeypatch)
    (tmp_path / "a.mbox").write_bytes((tmp_path / "a.mbox").read_bytes()[:kept])

    taken = [each for item in items for each in take(item, bytes(32))]

    tallied = sum(each.entries for each in taken if isinstance(each, Tally))
    reasons = Counter(each.entry.reason for each in taken if isinstance(each, Refused))
    assert sum(item.count for item in items) == 6 == tallied
    assert tallied == sum(1 for each in taken if not isinstance(each, Tally))
    assert reasons["unreadable_file"] > 0


def test_a_file_that_was_replaced_by_one_of_more_messages_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = six_messages(tmp_path, monkeypatch)
    (tmp_path / "a.mbox").write_bytes((ENVELOPE + b"A: 1\n\n") * 12)

    taken = [each for item in items for each in take(item, bytes(32))]

    tallied = sum(each.entries for each in taken if isinstance(each, Tally))
    assert tallied == sum(1 for each in taken if not isinstance(each, Tally))
    assert tallied > 6

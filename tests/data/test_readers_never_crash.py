"""Whatever bytes a file holds: the readers yield records and rejects, and raise nothing."""

import gzip
import io
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.intake import Tally, take
from data.read_chat import read_slack, read_teams
from data.read_mail import read_mail, read_mbox, read_mbox_stream
from data.read_table import read_jsonl, read_parquet
from data.read_transcript import read_plain_transcript, read_transcript
from data.record import Record, Rejected
from data.schema import REASONS
from data.sources import discover

FRAGMENTS = st.sampled_from(
    [
        *(
            b"From a Fri Apr 20 19:35:02 2001\n",
            b"Subject: x\n",
            b"From: =?utf-8?b?\xff?= <a@b>\n",
            b"\n\n",
            b"--A\n",
        ),
        *(b"Content-Type: multipart/mixed; boundary=A\n", b"Content-Transfer-Encoding: base64\n", b"--A--\n"),
        *(
            b"Content-Type: message/rfc822\n\n",
            b"Content-Type: text/html; charset=utf-7\n",
            b"Date: 99\n",
            b"<p><",
        ),
        *(
            b"WEBVTT\n\n",
            b"00:00:01.000 --> 00:00:02.000\n",
            b"<v Ada>hi\n",
            b"1\n",
            b"9:9 --> 8:8\n",
            b"Ada: yes\n",
            b"[00:01] Ada: yes\n",
        ),
        *(
            b'[{"ts": "1", "text": "hi"}',
            b'{"value": [{"body": {"content": "\\ud800"}}',
            b"]",
            b"}",
            b",",
            b"null",
        ),
        *(
            b'{"text": "x", "sent_at": 1e99}\n',
            b'{"text": {}}\n',
            b"[[[[[[",
            b"PAR1",
            b"\xff\xfe",
            b"\0",
            b"\r\n",
        ),
    ]
)
CONTENT = st.one_of(
    st.binary(max_size=400), st.lists(FRAGMENTS | st.binary(max_size=6), max_size=30).map(b"".join)
)


@settings(max_examples=150, deadline=None)
@given(content=CONTENT)
def test_readers_yield_records_and_rejects_for_any_bytes(content: bytes) -> None:
    entries = [
        read_mail(content),
        *read_mbox(content, first=0, offset=0),
        *read_slack(content, source="a/b.json"),
        *read_teams(content),
        *read_transcript(content, source="a.vtt"),
        *read_plain_transcript(content, source="a.txt"),
        *read_mbox_stream(io.BytesIO(content)),
        *read_jsonl(io.BytesIO(content)),
        *read_parquet(io.BytesIO(content), size=len(content)),
    ]

    assert all(isinstance(entry, Record | Rejected) for entry in entries)
    assert {entry.reason for entry in entries if isinstance(entry, Rejected)} <= REASONS.keys()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=CONTENT | CONTENT.map(gzip.compress) | CONTENT.map(gzip.compress).map(lambda packed: packed[:-9]),
    name=st.sampled_from(["file", "file.eml", "file.jsonl", "file.vtt", "file.txt", "file.json"]),
)
def test_every_file_is_classified_read_and_counted(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    for item in discover(path):
        *taken, tally = take(item, b"k" * 32)

        assert isinstance(tally, Tally)
        assert len(taken) == tally.entries

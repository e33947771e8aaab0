"""JSON lines and Parquet."""

import base64
import io
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.columns import Columns, read_columns
from data.intake import read
from data.read_table import read_jsonl, read_parquet
from data.record import Party, Record, Rejected
from data.sources import discover
from data.workspace import UserError

ROW = {"subject": "s", "text": "body", "sender": "Ada <Ada@x.org>", "recipients": ["b@x.org"], "thread": "t"}


def test_reads_lines_and_says_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps(ROW | {"sent_at": "2024-01-02T03:04:05Z"}) + '\n\n{"text": \n[1]\n{"other": 1}\n'
    )

    first, *rest = read_jsonl(io.BytesIO(path.read_bytes()))

    assert isinstance(first, Record)
    assert Party("Ada", "ada@x.org") == first.sender
    assert datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC) == first.sent_at
    assert [each.reason for each in rest if isinstance(each, Rejected)] == [
        *("invalid_json", "not_a_message", "not_a_message")
    ]
    assert [each.locator for each in rest] == [1, 2, 3]


def test_reads_the_same_rows_from_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW))

    table = (tmp_path / "a.parquet").read_bytes()

    (one,), (other,) = (
        read_parquet(io.BytesIO(table), size=len(table)),
        read_jsonl(io.BytesIO((tmp_path / "a.jsonl").read_bytes())),
    )

    assert isinstance(one, Record)
    assert isinstance(other, Record)
    assert (one.body, one.sender, one.recipients, one.parents) == (
        *(other.body, other.sender, other.recipients, other.parents),
    )


def test_rejects_a_table_without_text_or_without_end(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing more")

    reasons = [
        entry.reason
        for content in ((tmp_path / f"{name}.parquet").read_bytes() for name in ("a", "b"))
        for entry in read_parquet(io.BytesIO(content), size=len(content))
        if isinstance(entry, Rejected)
    ]

    assert reasons == ["missing_columns", "unreadable_file"]


def test_reads_a_table_whose_columns_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text(
        "text: body\nsender: from\nsent_at: when\nmessage_id: id\nthread_id: conversation\n"
    )
    row = {"body": "hi", "from": "Ada <a@x.org>", "when": "2024-01-02", "id": "<1@x>", "conversation": 7}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text(json.dumps(row))

    items = discover(tmp_path)

    assert [item.source for item in items] == ["a.parquet", "b.jsonl"]
    for (entry,) in map(read, items):
        assert isinstance(entry, Record)
        assert (entry.body, entry.sender, entry.key) == ("hi", Party("Ada", "a@x.org"), "1@x")
        assert entry.parents == ("thread\n7",)
        assert datetime(2024, 1, 2, tzinfo=UTC) == entry.sent_at


def test_a_table_without_the_named_text_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text("text: body")
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "a.parquet")

    (entry,) = read(discover(tmp_path)[0])

    assert isinstance(entry, Rejected)
    assert entry.reason == "missing_columns"


@pytest.mark.parametrize("mistake", ["txt: body", "text: 3", "- text", "text: [", "text: ''"])
def test_a_mistake_in_the_names_of_columns_is_one_line(tmp_path: Path, mistake: str) -> None:
    (tmp_path / "columns.yaml").write_text(mistake)
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW))

    with pytest.raises(UserError, match=r"columns\.yaml.*fields are text, subject") as raised:
        discover(tmp_path)

    assert "\n" not in str(raised.value)


def test_an_empty_file_names_the_usual_columns(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text("# none yet\n")

    assert Columns() == read_columns(tmp_path / "columns.yaml")


@pytest.mark.parametrize(
    "odd",
    [
        {"sent_at": pa.array([0, -(1 << 62), 0], pa.timestamp("us", "UTC"))},
        {"sent_at": pa.array([0, 1 << 62, 0], pa.timestamp("us"))},
        {"subject": pa.array([b"s", b"\xff\xfe", b"s"]).view(pa.string())},
    ],
    ids=["before year 1", "after year 9999", "no UTF-8"],
)
def test_a_row_with_a_value_that_cannot_be_had_costs_no_other(odd: dict[str, pa.Array]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two", "three"]} | odd), file)

    entries = list(read_parquet(file, size=1))

    assert [entry.locator for entry in entries] == [0, 1, 2]
    assert [entry.body if isinstance(entry, Record) else entry.reason for entry in entries] == [
        *("one", "invalid_message", "three")
    ]


def repeated(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def parquet(columns: dict[str, pa.Array], **options: object) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"text": repeated("y" * 200_000, 2000)}, {}),
        ({"text": repeated("y" * 200_000, 2000)}, {"store_schema": False}),
        (
            {"text": ["y" * 200_000] * 1000},
            {"use_dictionary": False, "compression": "zstd", "write_batch_size": 10},
        ),
        (
            {"text": ["y" * 200_000] * 1000},
            {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
        ),
    ],
    ids=["dictionary", "dictionary without a schema", "plain", "delta"],
)
def test_a_text_that_is_repeated_takes_the_memory_of_a_few(
    columns: dict[str, pa.Array], options: dict[str, object]
) -> None:
    file = parquet(columns, **options)
    rows = len(columns["text"])
    del columns["text"]
    held = pa.total_allocated_bytes()
    most = count = 0

    for entry in read_parquet(file, size=1):
        assert isinstance(entry, Record)
        assert len(entry.body) == 200_000
        count += 1
        most = max(most, pa.total_allocated_bytes() - held)

    assert count == rows
    assert most < 100_000_000


def test_rows_above_the_limit_are_rejects_and_the_others_are_read() -> None:
    wide = pa.ListArray.from_arrays(pa.array([0, 1, 1001, 1001]), repeated("w" * 20_000, 1001))
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["short", "y" * (17 << 20)]))

    entries = list(read_parquet(parquet({"text": texts, "recipients": wide}), size=1))

    assert [each.reason if isinstance(each, Rejected) else each.body for each in entries] == [
        *("short", "too_large", "too_large")
    ]
    assert [each.locator for each in entries] == [0, 1, 2]


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("group", [1, 3, 5000])
def test_rows_are_the_same_however_they_are_encoded(use_dictionary: bool, group: int) -> None:
    rows = [ROW | {"text": f"body {n % 7}", "sender": None if n % 3 else f"a{n}@x.org"} for n in range(5)]
    rows[2]["recipients"] = None
    rows[3]["recipients"] = []
    rows[4]["recipients"] = ["c@x.org", None, "d@x.org"]
    table = pa.Table.from_pylist(rows).append_column("other", pa.array([{"x": 1}] * 5))
    file = io.BytesIO()
    pq.write_table(table, file, use_dictionary=use_dictionary, row_group_size=group)

    entries = [each for each in read_parquet(file, size=1) if isinstance(each, Record)]

    assert [each.body for each in entries] == [row["text"] for row in rows]
    assert [each.sender.address for each in entries] == [row["sender"] or "" for row in rows]
    assert [[party.address for party in each.recipients] for each in entries] == [
        *(["b@x.org"], ["b@x.org"], [], [], ["c@x.org", "d@x.org"])
    ]


def test_columns_of_kinds_that_no_message_is_made_of_are_not_read() -> None:
    file = parquet({"text": ["body"], "subject": pa.array([{"x": "y"}]), "sender": pa.array([b"raw"])})

    (entry,) = read_parquet(file, size=1)

    assert isinstance(entry, Record)
    assert ("body", "", Party()) == (entry.body, entry.subject, entry.sender)


def test_a_column_of_texts_that_holds_no_texts_is_one_reject() -> None:
    (entry,) = read_parquet(parquet({"text": pa.array([{"a": 1}] * 3)}), size=1)

    assert isinstance(entry, Rejected)
    assert entry.reason == "missing_columns"


# found by tests/benchmarks/fuzz.py: the histograms of a column's statistics do not fit its schema
DAMAGED = (
    "c-oazzl#$=6n-<=%&uoRlHd%xu;6-"
    "_VTD}u4suw8^KyzHqzEE{+<`2~;02Ow+^m|`K8VG2Hdk2L3l<g@A{G{w78d>q7B&`&Gy8)i?uxqXGQ021`@Z?U_t<Xx<`&hcL$^C"
    "}fhvIe^5PGt{20IhfOhDNeSdsKz5)eWrRVFE(6W4py@OpN&6`lEKvH|^1^|{Hg#s#I30kHb9f}v&Mq4INo~=Krk_@J4q?yGV)7+e"
    "B4j)1oB;PLWu4p;?U7cNO>3dGg>w9}*=8Yyp(eQ(NyQ*;C&yj}reUs*v<S-"
    "XwrHr~ON>ASb&}H7+o2g34B7IgYdJ<VcDZ>>Mfr0|mA=Z-"
    "D7X<NzlQrvMnrWRoxO%O9t9@V^X%Ul6OVf+!ADd^*n_!Y@??{Y1x(2jV!=@IBSy+RPt++KA(5GS?-"
    "u1%Tna;do*W*K#Y8$dpjQb);_BOG(7Kq+pGLYM+(kIessjy~h!@)G9IEL57P>ke`Wd;%+1;XnCBbIF)a<FO1Y62-"
    "+@nL9*5q6B&E5vVeBRiN@U3sVoKzf9s#mW}3IMyV-"
    "0@D((R7iyP8nG{k|3v%^`oFQvuw9T`8cw*<gD2iZR38!hhWK3LCxyR`URFzEMN5KzdCBU?-qhBJ@Ht}d5&u-"
    "=$3=TbbJKA&m*z6dvu<$$)^&^l|K?lLo(TE_VqXz|q4UqnllTt<m}^@ki#^pD;Rbtafa^@W;Qj*<ZuTaVO)m)iN6teLOb7nh*={y"
    "2HMXonIW@~SypwcY`J4L%g8$6J"
)


def test_damaged_statistics_of_a_column_do_not_end_the_process() -> None:
    file = io.BytesIO(zlib.decompress(base64.b85decode(DAMAGED)))

    (entry,) = read_parquet(file, size=1)

    assert isinstance(entry, Rejected)
    assert entry.reason == "unreadable_file"

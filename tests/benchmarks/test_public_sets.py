from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.metrics import truly_called
from tests.benchmarks import public_search, public_sets
from tests.benchmarks.public_sets import PublicSet, read_task

MADE = PublicSet("made", group="group")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    rows = [
        {
            "id": number,
            "text": f"text {number}",
            "label": ("ham", "spam")[number % 2],
            "group": number // 4,
            "split": "valid" if number >= 160 else "train",
        }
        for number in range(200)
    ]
    (tmp_path / "made").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "made" / "data.parquet")
    return tmp_path


def test_copies_of_a_text_do_not_both_teach_and_choose(made: Path) -> None:
    task = read_task(made, MADE, train=1000, asked=1000)

    def groups(texts: tuple[str, ...]) -> set[int]:
        return {int(text.split()[1]) // 4 for text in texts}

    assert 160 == len(task.everything.texts)
    assert task.choosing.texts
    assert not groups(task.train.texts) & groups(task.choosing.texts)


def test_the_asked_rows_are_drawn_by_group(made: Path) -> None:
    task = read_task(made, MADE, train=1000, asked=1000)

    assert 40 == len(task.test)
    assert 10 == task.test.thread_count
    assert [task.test.labels[code] for code in task.test.truth] == list(task.asked.labels)


def test_fewer_rows_are_some_of_all_rows(made: Path) -> None:
    all_rows = read_task(made, MADE, train=1000, asked=1000)
    some = read_task(made, MADE, train=50, asked=20)

    assert (50, 20) == (len(some.everything.texts), len(some.test))
    assert set(some.everything.texts) < set(all_rows.everything.texts)


def test_kinds_of_a_text_are_a_set(tmp_path: Path) -> None:
    codes = (["2", "1"], ["9"], ["1"])
    rows = [
        {"id": number, "text": "t", "label": list(stated), "split": ("train", "valid")[number // 3]}
        for number, stated in enumerate(codes * 2)
    ]
    (tmp_path / "made").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "made" / "data.parquet")

    task = read_task(tmp_path, PublicSet("made", kinds={"1": "b", "2": "a"}), train=9, asked=9)

    assert sorted(task.asked.labels) == ["a|b", "b", "ordinary"]
    assert ("a", "b", "ordinary") == task.test.labels
    assert truly_called(task.test) == list(task.asked.labels)


@pytest.mark.parametrize("benchmark", [public_sets, public_search])
def test_without_the_data_the_benchmark_says_so(
    benchmark: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", str(tmp_path / "nothing")])

    benchmark.main()  # type: ignore[attr-defined]

    assert capsys.readouterr().out.startswith("skipped: no public data in")

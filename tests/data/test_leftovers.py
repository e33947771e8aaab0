"""What tells of an erased person and cannot be mended is removed only where nothing reads it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.erasing import Eraser
from data.leftovers import Mended, mend
from data.retention import Orders
from data.scan import Sought, scan, sought
from data.shingles import Traces

MARK, ADDRESS = "[EMAIL_1f3a9c2b]", "anna@harbour.example"


@pytest.fixture
def wanted() -> Sought:
    return sought([MARK], [ADDRESS], Traces.of(()))


def mended(root: Path, names: list[str], wanted: Sought) -> Mended:
    eraser = Eraser(Orders(suppressed=frozenset({MARK})), wanted.traces)
    return mend(root, names, eraser, wanted, ())


@pytest.mark.parametrize("name", ["page.html", "run.log", "executed.ipynb"])
def test_a_page_a_log_and_a_notebook_are_removed(tmp_path: Path, wanted: Sought, name: str) -> None:
    (tmp_path / name).write_text(f"<p>{ADDRESS}</p>")

    assert Mended((), (name,)) == mended(tmp_path, [name], wanted)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "name", ["manifest.json", "index.json", "trainer_state.json", "_SUCCESS", "rules.yaml"]
)
def test_whatever_is_read_again_stays_and_is_named(tmp_path: Path, wanted: Sought, name: str) -> None:
    (tmp_path / name).write_text(f'{{"{ADDRESS}": 3}}')

    assert Mended((), ()) == mended(tmp_path, [name], wanted)
    assert {name: 1} == scan(tmp_path, wanted).hits


def test_a_page_of_somebody_else_stays(tmp_path: Path, wanted: Sought) -> None:
    (tmp_path / "page.html").write_text(f"<p>{MARK} jo{ADDRESS}</p>")

    assert Mended(("page.html",), ()) == mended(tmp_path, ["page.html"], wanted)
    assert f"<p>[EMAIL_00000000] jo{ADDRESS}</p>" == (tmp_path / "page.html").read_text()

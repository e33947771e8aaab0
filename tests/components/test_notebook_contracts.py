"""Every notebook in notebooks/ keeps the notebook contract."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.contract import read_contract, source_of

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").rglob("*.ipynb"))

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_declares_parameters_with_help(path: Path) -> None:
    contract = read_contract(path)

    assert contract.description
    assert [item.name for item in contract.parameters if not item.help] == []
    assert [item.name for item in contract.parameters if item.required] == [], "it must run with its defaults"


def test_writes_below_the_workspace_by_default(path: Path) -> None:
    written = [item for item in read_contract(path).parameters if item.kind in ("output", "result")]

    assert written
    assert all(str(item.default).startswith(".mailroom/") for item in written)


def test_keeps_no_outputs(path: Path) -> None:
    assert [cell["outputs"] for cell in code_cells(path) if cell["outputs"] or cell["execution_count"]] == []


def test_defines_no_functions_and_installs_nothing(path: Path) -> None:
    for cell in code_cells(path):
        source = source_of(cell)
        assert not re.search(r"^\s*[%!]", source, re.MULTILINE), "magics and shell lines stay out"
        kinds = {type(node) for node in ast.walk(ast.parse(source))}
        assert kinds.isdisjoint({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef})

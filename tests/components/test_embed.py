from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.contract import ContractError
from components.embed import embed, stripped, unpack

SOURCE = 'print("$$ $(HOME) {{workflow.name}} ü 字")\n' * 30


def notebook(path: Path, **code_cell: object) -> Path:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": SOURCE, "outputs": [], **code_cell}
    path.write_text(json.dumps({"cells": [cell], "metadata": {"signature": "x"}, "nbformat": 4}))
    return path


def test_comes_back_as_it_went_in(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb")

    assert unpack(embed(path)) == stripped(json.loads(path.read_text()))
    assert unpack(embed(path))["cells"][0]["source"] == SOURCE


def test_is_the_same_text_whatever_was_run(tmp_path: Path) -> None:
    clean = notebook(tmp_path / "a.ipynb")
    run = notebook(
        tmp_path / "b.ipynb",
        outputs=[{"output_type": "stream", "name": "stdout", "text": "seen"}],
        execution_count=7,
        metadata={"execution": {"iopub": "2026"}},
    )

    assert embed(clean) == embed(run)


def test_uses_no_character_that_kubernetes_argo_or_kubeflow_would_read() -> None:
    notebooks = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

    assert notebooks
    for path in notebooks:
        assert set(embed(path)).isdisjoint("${}'\"\\ \n")


@pytest.mark.parametrize("payload", ["", "abc", "~~~~~"])
def test_refuses_a_damaged_payload(payload: str) -> None:
    with pytest.raises(ContractError, match="damaged"):
        unpack(payload)

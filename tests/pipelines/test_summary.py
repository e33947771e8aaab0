from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.run import Produced
from pipelines.summary import show


def produced(root: Path) -> Produced:
    return Produced(
        run="r",
        log=root / "log",
        prepared=root / "p",
        evaluation=root / "e",
        release=root / "r",
        bundle=root / "b",
    )


def shown(root: Path) -> str:
    console = Console(file=io.StringIO(), width=60)
    show(produced(root), console)
    return console.file.getvalue()


def test_says_what_was_produced_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    root = tmp_path / ("a-long-folder-name-" * 5)
    counts = {"read": 1200, "kept": 1000, "duplicates": 150, "rejects": 50}
    files = {
        "p/manifest.json": {"counts": counts, "reasons": {"no_text": 50}},
        "e/gate.json": {
            "outcome": "hold",
            "reasons": ["recall of harassment not shown", "[red]"],
            "challenger": {"classifier_version": 3, "embedder_version": 4},
        },
        "b/deploy.json": {"engine": "vllm", "parity": {"classifier": 1.2e-7}},
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    (root / "e" / "eval_report.html").touch()

    text = shown(root)

    assert "1,200 read = 1,000 kept + 150 duplicates + 50 rejects" in text
    assert "50 no_text" in text
    assert "hold: recall of harassment not shown" in text
    assert "[red]" in text
    assert "mailroom-classifier version 3, mailroom-embedder version 4" in text
    assert "classifier 1.2e-07" in text
    assert str(root / "e" / "eval_report.html") in text, "a path must survive being copied"
    assert "http://mlflow:5000" in text


def test_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "gate.json").write_text("{broken")

    text = shown(tmp_path)

    assert "verdict" not in text
    assert str(tmp_path / "log") in text

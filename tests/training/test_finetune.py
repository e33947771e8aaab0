from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.workspace import UserError
from tests.training.made_encoders import write_encoder
from training.classifier import fit
from training.finetune import Examples, Finetuned
from training.predict import score
from training.recipe import ClassifierRecipe, load_recipe

LABELS = ("off_channel", "ordinary", "spam")
TEXTS = ("the private phone tonight", "the canteen serves soup and bread", "claim the prize now")
TRAIN = Examples(tuple(f"{text} {number}" for number in range(8) for text in TEXTS), LABELS * 8)
VALID = Examples(TEXTS * 3, LABELS * 3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(
        "bert", tmp_path_factory.mktemp("encoder"), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )


def test_parts_of_a_batch_move_the_weights_as_the_whole_batch(encoder: Path) -> None:
    whole = train(recipe_of(encoder, batch_size=12, accumulate=1))
    parts = train(recipe_of(encoder, batch_size=4, accumulate=3))

    assert np.abs(whole.scores.probabilities - parts.scores.probabilities).max() < 1e-5
    assert [epoch.step for epoch in whole.history] == [epoch.step for epoch in parts.history]
    for one, other in zip(whole.history[1:], parts.history[1:], strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(encoder: Path) -> None:
    recipe = recipe_of(encoder, batch_size=8)

    one, same, other = (train(recipe, seed=seed).scores.probabilities for seed in (7, 7, 8))

    assert (one == same).all()
    assert not (one == other).all()


def test_effort_counts_tokens_and_padding(encoder: Path) -> None:
    effort = train(recipe_of(encoder, batch_size=8)).effort

    assert effort.tokens_per_second > 0
    tokens, positions = 16 * 7 + 8 * 9, 16 * 8 + 8 * 16  # two texts of 7 tokens, one of 9; widths 8 and 16
    assert effort.padding_share == pytest.approx(1 - tokens / positions)
    assert effort.resumed_at_step == 0


def test_texts_longer_than_the_base_model_reads_are_refused_beforehand(encoder: Path) -> None:
    with pytest.raises(UserError, match=r"max_length is 128, .* reads 64 tokens at most; lower it"):
        train(recipe_of(encoder, max_length=128))


def train(recipe: ClassifierRecipe, *, seed: int = 7) -> Finetuned:
    tuned, _ = fit(TRAIN, VALID, LABELS, recipe, seed=seed)
    return tuned


def recipe_of(encoder: Path, **changes: object) -> ClassifierRecipe:
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ("all-linear",)}
    fields = load_recipe("smoke").classifier.model_dump() | {"base_model": str(encoder), "lora": lora}
    return ClassifierRecipe.model_validate(fields | {"epochs": 2, "patience": 5} | changes)


SETS = Examples(
    tuple(f"{text} {number}" for number in range(8) for text in (*TEXTS, f"{TEXTS[0]} {TEXTS[2]}")),
    (*LABELS, "off_channel|spam") * 8,
)


def test_several_labels_of_a_text_are_learned_and_given(encoder: Path) -> None:
    recipe = recipe_of(encoder, batch_size=8, warm_start_strength=1.0)

    tuned, tokenizer = fit(SETS, SETS, LABELS, recipe, seed=7)

    said = score(tuned.model, tokenizer, SETS.texts, 64, LABELS)
    assert tuned.model.config.problem_type == "multi_label_classification"
    assert (said.thresholds, said.best()) == (tuned.scores.thresholds, tuned.scores.best())
    assert tuned.best.valid.macro_f1 > 0.9
    assert "off_channel|spam" in said.best()
    assert said.probabilities.sum(axis=1).max() > 1.2


def test_parts_of_a_batch_of_sets_move_the_weights_as_the_whole_batch(encoder: Path) -> None:
    whole, parts = (
        fit(SETS, SETS, LABELS, recipe_of(encoder, **sizes), seed=7)[0]
        for sizes in ({"batch_size": 12, "accumulate": 1}, {"batch_size": 4, "accumulate": 3})
    )

    assert np.abs(whole.scores.probabilities - parts.scores.probabilities).max() < 1e-5


def test_one_label_a_text_may_be_learned_as_each_by_itself(encoder: Path) -> None:
    tuned, _ = fit(TRAIN, VALID, LABELS, recipe_of(encoder, task="multi"), seed=7)

    assert tuned.scores.thresholds is not None
    assert train(recipe_of(encoder)).scores.thresholds is None


def test_sets_under_a_recipe_for_one_label_are_refused_in_one_line(encoder: Path) -> None:
    with pytest.raises(UserError, match=r"8 messages have several labels .* set classifier.task: multi"):
        fit(SETS, VALID, LABELS, recipe_of(encoder, task="single"), seed=7)

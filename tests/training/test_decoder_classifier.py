"""Decoders as classifiers: the last token, a head without bias, warmed up, trained, merged and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.made_decoders import write_decoder
from training.architecture import base_model
from training.classifier import fit, predict_proba, save_merged
from training.encode import pad, tokenise
from training.finetune import Examples, add_lora, warm_start
from training.predict import score
from training.recipe import ClassifierRecipe, load_recipe

LABELS = ("off_channel", "ordinary", "spam")
TEXTS = (
    "the private phone tonight, number 3",
    "the canteen serves soup and bread",
    "claim the prize now",
) * 8
EXAMPLES = Examples(TEXTS, LABELS * 8)


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def decoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_decoder(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def recipe(decoder: Path) -> ClassifierRecipe:
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ("all-linear",)}
    fields = load_recipe("smoke").classifier.model_dump() | {"base_model": str(decoder), "lora": lora}
    changes = {"epochs": 3, "max_steps": 6, "batch_size": 8, "warm_start_strength": 0.002}
    return ClassifierRecipe.model_validate(fields | changes)


def test_the_warm_start_gives_the_probabilities_of_a_logistic_regression_on_the_last_token(
    decoder: Path, recipe: ClassifierRecipe
) -> None:
    from sklearn.linear_model import LogisticRegression

    model, tokenizer = base_model(str(decoder), LABELS)
    batch = pad(tokenise(tokenizer, TEXTS, 64), tokenizer.pad_token_id, torch.device("cpu"), longest=64)

    warm_start(model, tokenizer, EXAMPLES, LABELS, recipe)
    said = score(model, tokenizer, TEXTS, 64, LABELS)

    with torch.inference_mode():
        states = model.model(**batch).last_hidden_state
    vectors = states[range(len(TEXTS)), batch["attention_mask"].sum(dim=1) - 1].numpy()
    scaled = vectors / (vectors.std(axis=0) + 1e-6)
    plain = LogisticRegression(
        C=recipe.warm_start_strength, class_weight="balanced", max_iter=300, tol=1e-3, fit_intercept=False
    )
    expected = plain.fit(scaled, EXAMPLES.labels).predict_proba(scaled)
    assert list(EXAMPLES.labels) == said.best()
    assert np.abs(expected - said.probabilities).max() < 5e-3


def test_merged_model_and_adapter_read_back_say_what_was_trained(
    decoder: Path, recipe: ClassifierRecipe, tmp_path: Path
) -> None:
    from peft import PeftModel

    tuned, tokenizer = fit(EXAMPLES, EXAMPLES, LABELS, recipe, seed=7)
    save_merged(tuned, tokenizer, tmp_path / "it")

    trained = score(tuned.model, tokenizer, TEXTS, 64, LABELS).probabilities
    base, _ = base_model(str(decoder), LABELS)
    adapted = PeftModel.from_pretrained(base, tmp_path / "it" / "adapter").eval()
    assert tuned.history[-1].valid.log_loss < tuned.history[0].valid.log_loss
    assert np.abs(trained - predict_proba(tmp_path / "it", TEXTS, max_length=64).probabilities).max() < 1e-5
    assert np.abs(trained - score(adapted, tokenizer, TEXTS, 64, LABELS).probabilities).max() < 1e-5


def test_lora_goes_into_every_linear_layer_of_the_blocks_and_the_head_is_trained(
    decoder: Path, recipe: ClassifierRecipe
) -> None:
    model, _ = base_model(str(decoder), LABELS)

    trained = [n for n, weight in add_lora(model, recipe).named_parameters() if weight.requires_grad]

    assert 2 * 7 * 2 == sum("lora_" in name for name in trained)
    (head,) = [name for name in trained if "lora_" not in name]
    assert "score" in head


def test_a_base_without_padding_is_padded_with_its_end(tmp_path: Path, recipe: ClassifierRecipe) -> None:
    from transformers import AutoTokenizer

    folder = write_decoder("llama", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)

    model, known = base_model(str(folder), LABELS)

    assert known.eos_token_id == known.pad_token_id == model.config.pad_token_id

"""Every kind of encoder that the engines serve: warmed up, trained, merged and read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data.model_input import tokens_read
from data.workspace import UserError
from serving.launch import engine_model
from tests.training.made_encoders import write_encoder
from training.architecture import ENCODERS, architecture_of, base_model
from training.classifier import fit, predict_proba, save_merged
from training.encode import pad, tokenise
from training.finetune import Examples, add_lora, finetune, warm_start
from training.lora import adapted_layers
from training.predict import score
from training.recipe import ClassifierRecipe, load_recipe

LABELS = ("off_channel", "ordinary", "spam")
TEXTS = ("the private phone tonight", "the canteen serves soup and bread", "claim the prize now") * 8
EXAMPLES = Examples(TEXTS, LABELS * 8)


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def recipe(encoder: Path) -> ClassifierRecipe:
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ("all-linear",)}
    fields = load_recipe("smoke").classifier.model_dump() | {"base_model": str(encoder), "lora": lora}
    return ClassifierRecipe.model_validate(fields | {"epochs": 3, "max_steps": 6, "batch_size": 8})


def test_the_head_reads_the_mean_of_all_tokens(encoder: Path, recipe: ClassifierRecipe) -> None:
    from transformers import AutoModel

    model, tokenizer = base_model(str(encoder), LABELS)
    batch = pad(tokenise(tokenizer, TEXTS, 64), tokenizer.pad_token_id, torch.device("cpu"), longest=64)
    read = []
    dense = model.eval().get_submodule(architecture_of(model).dense)
    dense.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))

    with torch.inference_mode():
        model(**batch)
        tokens = AutoModel.from_pretrained(encoder).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    means = (tokens * mask).sum(dim=1) / mask.sum(dim=1)

    centred = means - means.mean(dim=1, keepdim=True)
    assert torch.cosine_similarity(read[0] - read[0].mean(dim=1, keepdim=True), centred).min() > 0.99


def test_the_warm_start_gives_the_probabilities_of_a_logistic_regression(
    encoder: Path, recipe: ClassifierRecipe
) -> None:
    from sklearn.linear_model import LogisticRegression

    model, tokenizer = base_model(str(encoder), LABELS)
    strong = recipe.model_copy(update={"warm_start_strength": 1.0})

    warm_start(model, tokenizer, EXAMPLES, LABELS, strong)
    said = score(model, tokenizer, TEXTS, 64, LABELS)

    read = []
    output = model.get_submodule(architecture_of(model).output)
    output.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    batch = pad(tokenise(tokenizer, TEXTS, 64), tokenizer.pad_token_id, torch.device("cpu"), longest=64)
    with torch.inference_mode():
        model(**batch)
    vectors = read[0].numpy()
    scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    fitted = LogisticRegression(class_weight="balanced", max_iter=300, tol=1e-3).fit(scaled, EXAMPLES.labels)
    assert list(EXAMPLES.labels) == said.best()
    assert np.abs(fitted.predict_proba(scaled) - said.probabilities).max() < 5e-3


@pytest.mark.parametrize(("positions", "max_length", "read"), [(64, 64, 64), (512, 64, 256), (512, 384, 384)])
def test_a_text_is_read_as_far_as_the_recipe_says_and_the_engine_is_told_so(
    positions: int, max_length: int, read: int, tmp_path: Path
) -> None:
    base = write_encoder("bert", tmp_path / "base", positions=positions)
    fields = load_recipe("smoke").classifier.model_dump() | {
        "base_model": str(base),
        "max_length": max_length,
    }
    recipe = ClassifierRecipe.model_validate(fields | {"max_steps": 1})
    long = "soup and bread " * 100

    save_merged(*fit(EXAMPLES, EXAMPLES, LABELS, recipe, seed=7), tmp_path / "trained")
    merged = tmp_path / "trained" / "merged"
    early, late = predict_proba(merged, [f"{long} soup", f"{long} prize"]).probabilities

    assert read == tokens_read(merged) == engine_model("classifier", merged).longest_input
    assert (read > 300) == (np.abs(early - late).max() > 1e-6)


def test_merged_model_and_adapter_read_back_say_what_was_trained(
    encoder: Path, recipe: ClassifierRecipe, tmp_path: Path
) -> None:
    from peft import PeftModel

    torch.manual_seed(7)
    model, tokenizer = base_model(str(encoder), LABELS)

    tuned = finetune(model, tokenizer, EXAMPLES, EXAMPLES, recipe, seed=7)
    save_merged(tuned, tokenizer, tmp_path / "classifier")

    trained = score(tuned.model, tokenizer, TEXTS, 64, LABELS).probabilities
    base, _ = base_model(str(encoder), LABELS)
    adapted = PeftModel.from_pretrained(base, tmp_path / "classifier" / "adapter").eval()
    assert tuned.history[-1].step == 6
    assert tuned.history[-1].valid.log_loss < tuned.history[0].valid.log_loss
    assert (
        np.abs(trained - predict_proba(tmp_path / "classifier", TEXTS, max_length=64).probabilities).max()
        < 1e-5
    )
    assert np.abs(trained - score(adapted, tokenizer, TEXTS, 64, LABELS).probabilities).max() < 1e-5
    config = json.loads((tmp_path / "classifier" / "merged" / "config.json").read_text())
    assert config["architectures"][0].endswith("ForSequenceClassification")
    assert config["dtype"] == "float32"


def test_lora_goes_into_every_block_and_of_the_head_only_the_logits_are_trained(
    encoder: Path, recipe: ClassifierRecipe
) -> None:
    model, _ = base_model(str(encoder), LABELS)
    output = architecture_of(model).output.split(".")

    trained = [n for n, weight in add_lora(model, recipe).named_parameters() if weight.requires_grad]

    blocks = model.config.num_hidden_layers
    layers = 4 if model.config.model_type == "modernbert" else 6
    assert blocks * layers * 2 == sum("lora_" in name for name in trained)
    head = [name for name in trained if "lora_" not in name]
    assert all(part in name for name in head for part in output)
    assert {"weight", "bias"} == {name.rpartition(".")[2] for name in head}


def test_a_target_that_the_encoder_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    model, _ = base_model(str(write_encoder("modernbert", tmp_path)), LABELS)
    lora = load_recipe("smoke").classifier.lora.model_copy(update={"targets": ("query", "Wo")})

    with pytest.raises(UserError, match="name query, and the base model's layers are Wi, Wo, Wqkv"):
        adapted_layers(model, lora)


def test_a_kind_that_no_engine_serves_is_refused_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "distilbert"}')

    with pytest.raises(UserError, match=r"'distilbert'; .* roberta, xlm-roberta, modernbert, llama, qwen3"):
        base_model(str(tmp_path), LABELS)

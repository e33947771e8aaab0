"""The recipes in docs/recipes load, train a tiny model of their kind, and give what the engines serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from serving.launch import engine_model
from tests.training.made_decoders import write_decoder
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import messages_table, read_json, thread_rows
from training.architecture import ARCHITECTURES, ENCODERS
from training.classifier import fit, predict_proba, save_merged
from training.contrast import base_model, check_dimensions, encode, fit_embedder
from training.finetune import Examples
from training.pairs import training_pairs
from training.recipe import ClassifierRecipe, EmbedderRecipe, GeneratorRecipe, LoraRecipe, Recipe, load_recipe

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "recipes").glob("*.yaml"))
LABELS = ("off_channel", "ordinary", "spam")
TEXTS = ("the private phone tonight", "the canteen serves soup and bread", "claim the prize now") * 8
SMALL = {"max_steps": 2, "batch_size": 12, "max_length": 32}


def test_there_is_an_example_for_every_kind_but_the_embedded_one() -> None:
    served = set(ARCHITECTURES) - {"bert", "llama"}  # Llama is written as Qwen3 is

    assert served == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains_a_classifier_that_engines_serve(path: Path, tmp_path: Path) -> None:
    kind, recipe = path.stem, load_recipe(str(path)).classifier
    if kind in ENCODERS:
        base = write_encoder(kind, tmp_path / "base")
    else:
        base = write_decoder(kind, tmp_path / "base")
    small = recipe.model_copy(update={**SMALL, "base_model": str(base)})

    tuned, tokenizer = fit(Examples(TEXTS, LABELS * 8), Examples(TEXTS, LABELS * 8), LABELS, small, seed=7)
    save_merged(tuned, tokenizer, tmp_path / "trained")

    served = engine_model("classifier", tmp_path / "trained" / "merged")
    assert served.architecture.casefold() == f"{kind.replace('-', '')}forsequenceclassification"
    assert (24, 3) == predict_proba(tmp_path / "trained", TEXTS).probabilities.shape


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem in ENCODERS], ids=lambda path: path.stem
)
def test_an_example_trains_an_embedder_that_engines_serve(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(path)).embedder
    base = write_encoder(path.stem, tmp_path / "base", positions=256, hidden_size=1024)
    small = recipe.model_copy(update={**SMALL, "base_model": str(base)})
    pairs = training_pairs(messages_table(thread_rows(60)), max_per_kind=60)
    model = base_model(str(base))
    before = encode(model, TEXTS[:3])

    check_dimensions(model, small)
    tuned = fit_embedder(model, pairs, small, seed=7)
    after = encode(model, TEXTS[:3])
    model[0].model = model[0].model.merge_and_unload()
    model.save(str(tmp_path / "merged"), create_model_card=False)
    config = read_json(tmp_path / "merged" / "config.json")

    assert 2 == len(tuned.losses)
    assert not np.allclose(before, after, atol=1e-6)
    assert engine_model("embedder", tmp_path / "merged").architecture.endswith("Model")
    assert ("roberta" in path.stem) == (config.get("position_embedding_type") == "absolute")


def test_every_key_of_a_recipe_is_in_the_table_of_the_operations() -> None:
    told = (DOCS / "training.md").read_text(encoding="utf-8")
    table = told[told.index("## Recipes") :].split("\n## ", 2)[0]
    parts: tuple[type[BaseModel], ...] = (
        Recipe,
        LoraRecipe,
        ClassifierRecipe,
        EmbedderRecipe,
        GeneratorRecipe,
    )
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]

    documented = {key for row in rows for key in row.split("`")[1::2]}

    assert {key for part in parts for key in part.model_fields} == documented

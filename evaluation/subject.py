"""What is judged, as it was handed in: dataset, models, index, and what each says it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.dataset import read_manifest
from data.workspace import locate, model_path
from evaluation.answer_loss import generator_section
from evaluation.candidate import Adapter, Candidate, read_adapter, read_candidate
from serving.adapter import DIGEST, NONE, check_adapter
from serving.digest import file_digest


@dataclass(frozen=True, slots=True)
class Subject:
    """The parts of a release before it is one; ``parts`` names the dataset each part was made of."""

    prepared: Path
    index: Path
    classifier: Candidate
    embedder: Candidate
    adapter: Adapter | None
    parts: Mapping[str, str]
    details: Mapping[str, str]
    dataset: str
    recipe: str
    seed: int


def read_subject(
    prepared: str | Path,
    classifier: str | Path,
    embedder: str | Path,
    index: str | Path,
    *,
    recipe: str,
    seed: int,
    adapter: str | Path = "",
) -> Subject:
    """Read all parts.

    Raises:
        UserError: one of them is missing or incomplete.
    """
    from serving.index import read_index

    manifest, built = read_manifest(prepared), read_index(index)
    models = (read_candidate(classifier), read_candidate(embedder))
    tuned = read_adapter(adapter)
    if tuned:
        check_adapter(tuned.folder, model_path(generator_section(recipe).base_model))
    return Subject(
        locate(prepared),
        locate(index),
        *models,
        tuned,
        parts={
            "classifier": models[0].dataset_digest,
            "embedder": models[1].dataset_digest,
            "index": built.dataset_digest,
            **({DIGEST: tuned.dataset_digest} if tuned else {}),
        },
        details={
            "classifier weights": models[0].weights_digest,
            "embedder weights": models[1].weights_digest,
            DIGEST: tuned.digest if tuned else NONE,
            "temperature": str(models[0].temperature),
            "index": file_digest(locate(index) / "index.json"),
            "recipe digest": models[0].recipe_digest,
            "package lock": models[0].lock_digest,
            "commit": models[0].commit,
            "parser": str(manifest.parser),
        },
        dataset=manifest.digest,
        recipe=recipe,
        seed=seed,
    )

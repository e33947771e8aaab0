"""A model made again from what its run recorded: the same weights, or how far from them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from data.dataset import read_manifest, read_messages
from data.model_input import classifier_input
from data.rows import rows_digest
from data.workspace import UserError, locate
from pipelines.lineage.datasets import folders_of
from pipelines.lineage.models import NAMES, find_version, recorded_recipe, run_id_of
from pipelines.run import ENVIRONMENT
from serving.champion import download_model
from training.recipe import Recipe, recipe_digest
from training.retrain import retrain
from training.tracking import Role, commit, device, lock_digest, weights_digest, weights_tag

AGREEMENT = 0.999  # least share of texts with the same label, or the same nearest text


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a version's run says that it was made of."""

    role: Role
    version: str
    recipe: Recipe
    seed: int
    dataset_digest: str
    rows_digest: str
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{NAMES[self.role]}/{self.version}"


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two models are from each other on the messages of the test split."""

    messages: int
    largest: float
    equal: float


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A version and the model that was trained again; of identical weights there is no ``difference``."""

    name: str
    registered_weights: str
    weights: str
    warnings: tuple[str, ...]
    tolerance: float
    difference: Difference | None

    @property
    def is_reproduced(self) -> bool:
        found = self.difference
        if found is None:
            return True
        return found.messages > 0 and found.largest <= self.tolerance and found.equal >= AGREEMENT

    def __str__(self) -> str:
        lines = [f"warning: {each}" for each in self.warnings]
        verdict = "REPRODUCED" if self.is_reproduced else "NOT REPRODUCED"
        if self.difference is None:
            return "\n".join([*lines, f"{self.name}: {verdict}, identical weights {self.weights}"])
        found = self.difference
        return "\n".join(
            [
                *lines,
                f"{self.name}: {verdict}, other weights: {self.weights} instead of {self.registered_weights}",
                f"largest difference {found.largest:.2g} (tolerance {self.tolerance:g}), equal results for "
                f"{found.equal:.2%} of {found.messages:,} test messages (at least {AGREEMENT:.1%})",
            ]
        )


def recorded(role: Role, version: str) -> Recorded:
    """Read what a version's run recorded.

    Raises:
        UserError: no such version, or its run does not say enough to train it again.
    """
    import mlflow

    found = find_version(role, version)
    run = mlflow.get_run(run_id_of(found))
    tags = run.data.tags
    name = f"{NAMES[role]}/{found.version}"
    recipe = recorded_recipe(run.info.run_id, role)
    if recipe is None or not {"mailroom.seed", "mailroom.dataset_digest"} <= tags.keys():
        raise UserError(
            f"the run of {name} did not keep its recipe, seed and dataset digest: it is older than these "
            "records, and cannot be made again; train a new version: mailroom run"
        )
    if recipe_digest(recipe) != tags.get("mailroom.recipe_digest"):
        raise UserError(f"the recipe that the run of {name} kept has another digest than it recorded")
    return Recorded(
        role,
        str(found.version),
        recipe,
        int(tags["mailroom.seed"]),
        tags["mailroom.dataset_digest"],
        tags.get("mailroom.rows_digest", ""),
        tags,
    )


def reproduce(role: Role, version: str, *, prepared: str = "", tolerance: float) -> Reproduction:
    """Train a version again from its record in a fresh process and compare; nothing is registered.

    ``version`` is a number or an alias, ``prepared`` the dataset where it is not in the workspace,
    ``tolerance`` the largest difference of a probability, or of two vectors' cosine from 1.

    Raises:
        UserError: no such version, its record is incomplete, or the dataset is not that one.
        RuntimeError: the training failed.
    """
    record = recorded(role, version)
    dataset = _dataset(record, prepared)
    with tempfile.TemporaryDirectory(prefix="mailroom-") as temporary:
        scratch = Path(temporary)
        recipe = scratch / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(record.recipe.model_dump(mode="json")), encoding="utf-8")
        made = retrain(role, dataset, recipe, seed=record.seed, scratch=scratch, environment=ENVIRONMENT)
        registered = download_model(NAMES[role], record.version, scratch / "registered")
        digests = weights_digest(registered), weights_digest(made / "merged")
        difference = None if digests[0] == digests[1] else _difference(role, registered, made, dataset)
    return Reproduction(record.name, *digests, _warnings(record, digests[0]), tolerance, difference)


def _dataset(record: Recorded, prepared: str) -> Path:
    """Return the dataset that the version was trained on.

    Raises:
        UserError: it is not at hand, or its rows are others by now.
    """
    wanted = record.dataset_digest
    folders = [locate(prepared)] if prepared else folders_of(wanted)
    for folder in folders:
        if read_manifest(folder).digest != wanted:
            continue
        if record.rows_digest and rows_digest(folder) != record.rows_digest:
            raise UserError(f"the rows of {folder} were changed since {record.name} was trained on them")
        return folder
    place = prepared or "this workspace"
    raise UserError(
        f"no dataset with digest {wanted[:16]} in {place}, on which {record.name} was trained; "
        "prepare its archive again, or give the folder: --prepared DIR"
    )


def _warnings(record: Recorded, registered: str) -> tuple[str, ...]:
    """Return what is not here as it was in training."""
    here = {
        "mailroom.lock_digest": ("package lock", lock_digest()),
        "mailroom.commit": ("git commit", commit()),
        "mailroom.device": ("device", device()),
        weights_tag(record.role): ("digest of the weights", registered),
    }
    return tuple(
        f"the {name} is {now or 'unknown'} here, the run recorded {record.tags.get(tag) or 'none'}"
        for tag, (name, now) in here.items()
        if now != record.tags.get(tag)
    )


def _difference(role: Role, registered: Path, made: Path, dataset: Path) -> Difference:
    rows = read_messages(dataset, columns=["subject", "text"], split="test").to_pylist()
    texts = [classifier_input(row["subject"] or "", row["text"] or "") for row in rows]
    if not texts:
        return Difference(0, float("inf"), 0.0)
    measure = _of_probabilities if role == "classifier" else _of_vectors
    return measure(registered, made, texts)


def _of_probabilities(registered: Path, made: Path, texts: list[str]) -> Difference:
    from training.classifier import predict_proba

    before, now = predict_proba(registered, texts), predict_proba(made, texts)
    if before.labels != now.labels:
        return Difference(len(texts), float("inf"), 0.0)
    largest = float(np.abs(before.probabilities - now.probabilities).max())
    return Difference(len(texts), largest, _share(before.best(), now.best()))


def _of_vectors(registered: Path, made: Path, texts: list[str]) -> Difference:
    from training.embedder import embed

    before, now = embed(registered, texts), embed(made, texts)
    if before.shape != now.shape:
        return Difference(len(texts), float("inf"), 0.0)
    cosines = (before * now).sum(axis=1)
    return Difference(len(texts), float(1 - cosines.min()), _share(_nearest(before), _nearest(now)))


def _nearest(vectors: NDArray[np.float32]) -> list[int]:
    """Return the position of every vector's nearest other."""
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -2)
    return [int(place) for place in likeness.argmax(axis=1)]


def _share(before: Sequence[object], now: Sequence[object]) -> float:
    return sum(one == other for one, other in zip(before, now, strict=True)) / len(before)

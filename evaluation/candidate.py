"""The trained folders under judgement: what they say of themselves, and how large they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from data.workspace import UserError, locate, tracking
from serving.adapter import check_adapter, origin_of
from serving.digest import folder_digest
from serving.generator import generator_path
from training.tracking import weights_digest, weights_tag


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trained model as 02 or 03 left it."""

    folder: Path
    dataset_digest: str
    recipe: str
    recipe_digest: str
    seed: int
    commit: str
    lock_digest: str
    weights_digest: str
    run_id: str
    model_id: str
    temperature: float
    adapter_megabytes: float
    model_megabytes: float

    @property
    def merged(self) -> Path:
        """The folder with the plain weights."""
        return self.folder / "merged"


def read_candidate(folder: str | Path) -> Candidate:
    """Read ``training.json`` of a trained model.

    Raises:
        UserError: the folder holds no finished training.
    """
    place = locate(folder)
    try:
        written = json.loads((place / "training.json").read_text(encoding="utf-8"))
        return Candidate(
            place,
            written["dataset_digest"],
            written["recipe"],
            written["recipe_digest"],
            int(written["seed"]),
            written.get("commit", ""),
            written.get("lock_digest", ""),
            written["weights_digest"],
            written["mlflow_run_id"],
            written["model_id"],
            float(written.get("temperature", 1.0)),
            _megabytes(place / "adapter"),
            _megabytes(place / "merged"),
        )
    except FileNotFoundError:
        raise UserError(f"no trained model in {place}; run notebooks 02 and 03, or: mailroom run") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place / 'training.json'} is damaged ({error}); train the model again") from error


@dataclass(frozen=True, slots=True)
class Adapter:
    """The generator's adapter as train_generator left it."""

    folder: Path
    digest: str  # of all its files
    dataset_digest: str
    run_id: str
    megabytes: float


def read_adapter(folder: str | Path) -> Adapter | None:
    """Read an adapter, and compare it with what the run that trained it recorded; "" is none.

    Raises:
        UserError: the folder holds no adapter that can be served, or its run says otherwise.
    """
    import mlflow

    if not folder:
        return None
    place = locate(folder)
    check_adapter(place, generator_path())
    origin = origin_of(place)
    try:
        tracking()
        tags = mlflow.get_run(str(origin["run"])).data.tags
        recorded = tags[weights_tag("generator")], tags["mailroom.dataset_digest"]
    except (KeyError, mlflow.MlflowException) as error:
        raise UserError(f"MLflow has no run that trained the adapter {place}; train it again") from error
    if recorded != (weights_digest(place), origin["dataset"]):
        raise UserError(f"the run {origin['run']} trained another adapter than {place}; train it again")
    return Adapter(place, folder_digest(place), origin["dataset"], origin["run"], _megabytes(place))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6

"""Weights in MLflow that no release names: their files go, by MLflow's own hand; runs and versions stay.

MLflow's ``gc`` would take whatever anybody has deleted, with figures and evidence. So a model is deleted as
MLflow deletes it, and its files are removed through the store that MLflow keeps them in: what was measured
and executed is there as before. What lies outside this workspace is left alone: a server's models may be
another workspace's, whose decisions nobody reads here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from data.workspace import UserError, home, tracking
from evaluation import decision
from evaluation.registry import model_id_of
from serving.champion import CLASSIFIER, EMBEDDER

OURS = (CLASSIFIER, EMBEDDER)
ADAPTERS = ("classifier_adapter", "embedder_adapter")  # in the runs that trained; merged into the weights
PRUNED = "mailroom.pruned"
COPIED = re.compile(r"models:/([^/]+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that MLflow keeps the files of; ``adapters`` says whether those of its run go, too."""

    model_id: str
    run_id: str
    made: float  # seconds since 1970
    size: int
    adapters: bool


def unneeded_weights(*, before: float, waiting: Collection[str]) -> tuple[Weights, ...]:
    """Return the models in this workspace that nothing needs, made before then.

    Needed is what any release of the decision log names, decided or not: ``mailroom review verify`` reads
    it, and a rollback leads there. So is what any alias stands on, what somebody has registered under
    another name, and ``waiting``: models that were trained and may still be judged.

    Raises:
        UserError: MLflow does not answer, or the decision log is damaged.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (home() / "mlflow.db").exists():
        return ()  # nothing was ever logged
    import mlflow

    try:
        return tuple(_unneeded(before, waiting))
    except mlflow.MlflowException as error:
        raise UserError(
            f"MLflow does not say what it keeps ({type(error).__name__}); nothing is planned without it"
        ) from error


def _unneeded(before: float, waiting: Collection[str]) -> Iterator[Weights]:
    import mlflow

    tracking()
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("mailroom")
    models = list(_logged(client, experiment.experiment_id)) if experiment else []
    needed = {*waiting, *_named(client)}
    needed_runs = {model.source_run_id for model in models if model.model_id in needed}
    for model in models:
        made, run_id = model.creation_timestamp / 1_000, model.source_run_id or ""
        if model.model_id in needed or made > before or not _is_here(model.artifact_location):
            continue
        size = _size(_files_of(model.artifact_location))
        yield Weights(model.model_id, run_id, made, size, adapters=run_id not in {"", *needed_runs})


def remove_weights(weights: Sequence[Weights]) -> None:
    """Remove the files of models, then delete the models: what an interruption leaves is found again."""
    import mlflow

    if not weights:
        return
    tracking()
    client = mlflow.MlflowClient()
    gone = {each.model_id for each in weights}
    for each in weights:
        _files_of(client.get_logged_model(each.model_id).artifact_location).delete_artifacts()
        if each.adapters:
            run = _files_of(client.get_run(each.run_id).info.artifact_uri)
            for name in ADAPTERS:
                if any(file.path == name for file in run.list_artifacts()):
                    run.delete_artifacts(name)
    for version in _pages(client.search_model_versions):
        if version.name in OURS and model_id_of(version) in gone:
            client.set_model_version_tag(version.name, version.version, PRUNED, "the files are gone")
    for model_id in gone:
        client.delete_logged_model(model_id)


def _is_here(uri: str) -> bool:
    place = urlparse(uri)
    path = Path(url2pathname(place.path)).resolve()
    return place.scheme in ("file", "") and path.is_relative_to(home().resolve())


def _logged(client: Any, experiment_id: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_logged_models([experiment_id], page_token=token)
        yield from page
        if not (token := page.token):
            return


def _named(client: Any) -> Iterator[str]:
    """Yield the models that a release, an alias or somebody else's registered model names."""
    named = {
        version
        for release in decision.releases().values()
        for version in ((CLASSIFIER, release.classifier_version), (EMBEDDER, release.embedder_version))
    }
    for registered in _pages(client.search_registered_models):
        named |= {(registered.name, str(number)) for number in registered.aliases.values()}
    for version in _pages(client.search_model_versions):
        if version.name not in OURS or (version.name, str(version.version)) in named:
            yield _model_below(client, version)


def _model_below(client: Any, version: Any) -> str:
    """Return the logged model of a version; a copy names the version that it was copied from.

    Raises:
        MlflowException: that version is gone, and with it which model it was.
    """
    source = COPIED.fullmatch(str(version.source))
    return (
        _model_below(client, client.get_model_version(*source.groups())) if source else model_id_of(version)
    )


def _pages(search: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(page_token=token)
        yield from page
        if not (token := page.token):
            return


def _files_of(uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)


def _size(files: Any, path: str | None = None) -> int:
    return sum(
        _size(files, each.path) if each.is_dir else (each.file_size or 0)
        for each in files.list_artifacts(path)
    )

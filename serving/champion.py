"""The champion as the decision log knows it, and its models out of MLflow's registry."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import ledger
from data.workspace import UserError, home, locate, tracking
from serving.digest import file_digest

CLASSIFIER = "mailroom-classifier"
EMBEDDER = "mailroom-embedder"
ALIAS = "champion"
MADE_LIVE = ("approved", "rolled_back")


@dataclass(frozen=True, slots=True)
class Champion:
    """The release that was decided to be live."""

    id: str
    classifier_version: str
    embedder_version: str
    index: str
    index_digest: str


@dataclass(frozen=True, slots=True)
class ChampionModels:
    """Plain model folders, and the temperature that was fitted on the validation split."""

    classifier: Path
    embedder: Path
    temperature: float


def read_champion(release: str | Path) -> Champion:
    """Return the live release after verifying the decision log and comparing the aliases with it.

    Before anything was ever live it is the proposed release: its bundle can be proved, so that the
    reviewer knows how it serves, but it does not go live.

    Raises:
        UserError: there is no release, the log does not verify, or log and aliases disagree.
    """
    folder = locate(release)
    try:
        stated = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"no release in {folder}; run notebook 06_promote, or: mailroom run") from None
    champion = decided_champion()
    if champion is None:
        return Champion(**{name: str(stated[name]) for name in Champion.__dataclass_fields__})
    _check_aliases(champion)
    return champion


def decided_champion() -> Champion | None:
    """Return what the verified decision log says is live."""
    made_live = _made_live()
    if not made_live:
        return None
    return Champion(**{name: str(made_live[-1][name]) for name in Champion.__dataclass_fields__})


def check_decided(release_id: str) -> None:
    """Make sure that somebody decided to make the release live; plain folders belong to no release.

    Raises:
        UserError: the decision log does not verify, or does not know the release.
    """
    if not is_decided(release_id):
        raise UserError(
            f"no decision made release {release_id} live; it is not served: see mailroom review list"
        )


def is_decided(release_id: str) -> bool:
    """Say whether a decision ever made the release live; plain folders belong to no release."""
    return not release_id or release_id in {release["id"] for release in _made_live()}


def champion_index(champion: Champion) -> Path:
    """Return the index that was decided on: where it was made, or in a bundle that was deployed.

    Raises:
        UserError: it was overwritten and no bundle holds it.
    """
    kept = sorted((home() / "bundles").glob("*/index"))
    for folder in (locate(champion.index), *kept):
        marker = folder / "index.json"
        if marker.exists() and file_digest(marker) == champion.index_digest:
            return folder
    raise UserError(f"the index of release {champion.id} is gone from {champion.index}; run: mailroom run")


@contextmanager
def champion_models(champion: Champion) -> Iterator[ChampionModels]:
    """Yield the registered models as plain folders, deleted afterwards."""
    import mlflow

    tracking()
    with tempfile.TemporaryDirectory(prefix="mailroom-champion-") as scratch:
        yield ChampionModels(
            classifier=download_model(CLASSIFIER, champion.classifier_version, Path(scratch)),
            embedder=download_model(EMBEDDER, champion.embedder_version, Path(scratch)),
            temperature=_temperature(mlflow.MlflowClient(), champion.classifier_version),
        )


def _made_live() -> list[dict[str, Any]]:
    """Return every release that was ever made live, oldest first, from the verified log."""
    path = home() / "decisions.jsonl"
    try:
        entries = ledger.verify(path)
    except ledger.LedgerError as error:
        raise UserError(f"the decision log {path} does not verify: {error}; nothing is served") from error
    return [dict(entry.event["release"]) for entry in entries if entry.event["kind"] in MADE_LIVE]


def _check_aliases(champion: Champion) -> None:
    import mlflow

    tracking()
    client = mlflow.MlflowClient()
    for name, decided in ((CLASSIFIER, champion.classifier_version), (EMBEDDER, champion.embedder_version)):
        try:
            found = str(client.get_model_version_by_alias(name, ALIAS).version)
        except mlflow.MlflowException:
            found = "none"
        if found != decided:
            raise UserError(
                f"{name}: the alias {ALIAS} stands on version {found}, the decision log says {decided}; "
                "it was moved without a decision, nothing is deployed"
            )


def download_model(name: str, version: str, scratch: Path) -> Path:
    """Return the folder with a registered version's weights and, as transformers expects it, the tokenizer.

    Raises:
        UserError: the version cannot be read, or holds no model.
    """
    import mlflow

    try:
        copy = Path(
            mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(scratch / name))
        )
    except (mlflow.MlflowException, OSError) as error:
        raise UserError(f"version {version} of {name} cannot be read from MLflow; train again") from error
    packed = next((path.parent for path in sorted(copy.rglob("modules.json"))), None)
    if packed is not None:
        return packed
    weights = next((path.parent for path in sorted(copy.rglob("config.json"))), None)
    if weights is None:
        raise UserError(f"version {version} of {name} holds no model; train again")
    for tokenizer in sorted(copy.rglob("tokenizer_config.json")):
        if tokenizer.parent != weights:
            shutil.copytree(tokenizer.parent, weights, dirs_exist_ok=True)
    return weights


def _temperature(client: Any, version: str) -> float:
    model_id = str(client.get_model_version(CLASSIFIER, version).source).rstrip("/").split("/")[-1]
    logged = client.get_logged_model(model_id)
    for metric in logged.metrics or []:
        if metric.key == "temperature":
            return float(metric.value)
    return 1.0

"""The champion as the decision log knows it, and its models out of MLflow's registry."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.ledger import Entry
from data.workspace import UserError, home, locate, tracking
from serving.decisions import bundles_of, deployed_bundle, made_live, statuses, verified
from serving.digest import file_digest
from serving.judged import check_evidence, copy_problem
from serving.kept import kept_path

CLASSIFIER = "mailroom-classifier"
EMBEDDER = "mailroom-embedder"
ALIAS = "champion"


@dataclass(frozen=True, slots=True)
class Champion:
    """The release that was decided to be live."""

    id: str
    classifier_version: str
    embedder_version: str
    index: str
    index_digest: str
    evaluation: str
    run_id: str
    evidence: Mapping[str, str]
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChampionModels:
    """Plain model folders, and the temperature that was fitted on the validation split."""

    classifier: Path
    embedder: Path
    temperature: float


def champion_of(release: Mapping[str, Any]) -> Champion:
    """Return the champion out of a release as the log holds it."""
    return Champion(**{name: release[name] for name in Champion.__dataclass_fields__})


def release_to_prove(release: str | Path) -> Champion:
    """Return the release that a bundle is to be made of, after verifying log, aliases and evidence.

    That is the champion. Once it is live, or before there is one, it is the proposed release while that
    waits for a decision: its bundle is proved, so that the reviewer knows how it serves, but it does not
    go live.

    Raises:
        UserError: there is no release, the log does not verify, log and aliases disagree, or the
            evidence is not what it was decided on.
    """
    folder = locate(release)
    try:
        stated = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"no release in {folder}; run notebook 06_promote, or: mailroom run") from None
    champion = decided_champion()
    if champion is None:
        return champion_of(stated)
    _check_aliases(champion)
    check_evidence(champion)
    entries = verified()
    if not (_is_live(champion, entries) and _waits(stated["id"], champion, entries)):
        return champion
    proposed = champion_of(stated)
    check_evidence(proposed)
    return proposed


def _is_live(champion: Champion, entries: Sequence[Entry]) -> bool:
    return (home() / "live").exists() and deployed_bundle(entries) in bundles_of(entries, champion.id)


def _waits(release_id: str, champion: Champion, entries: Sequence[Entry]) -> bool:
    """Say whether a reviewer may still approve a release in the champion's place."""
    release, status = statuses(entries).get(release_id, ({}, ""))
    judged_against = release.get("challenged") in (None, champion.id)
    return status == "pending" and release["outcome"] != "reject" and judged_against


def decided_champion() -> Champion | None:
    """Return what the verified decision log says is live."""
    lived = made_live()
    return champion_of(lived[-1]) if lived else None


def is_decided(release_id: str) -> bool:
    """Say whether the last decision made the release live; plain folders belong to no release."""
    return [release_id] == [release["id"] for release in made_live()[-1:]]


def champion_index(champion: Champion) -> Path:
    """Return the index that was decided on: where it was made or is kept, or in a bundle that was deployed.

    Raises:
        UserError: it was overwritten and nothing else holds it.
    """
    deployed = sorted((home() / "bundles").glob("*/index"))
    for folder in (locate(champion.index), kept_path("index", champion.index_digest), *deployed):
        marker = folder / "index.json"
        if marker.exists() and file_digest(marker) == champion.index_digest:
            return folder
    raise UserError(f"the index of release {champion.id} is gone from {champion.index}; run: mailroom run")


@contextmanager
def champion_models(champion: Champion) -> Iterator[ChampionModels]:
    """Yield the registered models as plain folders, deleted afterwards.

    Raises:
        UserError: a copy cannot be read, or is not the one that was judged.
    """
    tracking()
    with tempfile.TemporaryDirectory(prefix="mailroom-champion-") as scratch:
        classifier = download_model(CLASSIFIER, champion.classifier_version, Path(scratch))
        embedder = download_model(EMBEDDER, champion.embedder_version, Path(scratch))
        for model, folder in (("classifier", classifier), ("embedder", embedder)):
            if problem := copy_problem(champion, model, folder):
                raise UserError(problem)
        yield ChampionModels(classifier, embedder, float(champion.digests["temperature"]))


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

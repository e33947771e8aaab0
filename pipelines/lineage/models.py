"""A model version: its weights, the run that trained them, and what that run was made of."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.workspace import UserError, tracking
from evaluation.registry import model_id_of
from pipelines.lineage.datasets import dataset_line
from pipelines.lineage.line import Line, Walk
from pipelines.lineage.notebooks import NO_NOTEBOOK, notebook_line
from pipelines.prune_weights import PRUNED
from serving.adapter import DIGEST, NONE, find_adapter, origin_of
from serving.champion import CLASSIFIER, EMBEDDER, download_model
from serving.judged import fetch
from training.recipe import Recipe, load_recipe, recipe_digest
from training.tracking import Role, commit, lock_digest, recipe_artifact, weights_digest, weights_tag

NAMES: dict[Role, str] = {"classifier": CLASSIFIER, "embedder": EMBEDDER}


def find_version(role: Role, version: str) -> Any:
    """Return MLflow's record of a version, given by its number or by an alias.

    Raises:
        UserError: MLflow has no such version.
    """
    import mlflow

    tracking()
    client, name = mlflow.MlflowClient(), NAMES[role]
    try:
        if version.isdecimal():
            return client.get_model_version(name, version)
        return client.get_model_version_by_alias(name, version)
    except mlflow.MlflowException:
        raise UserError(f"MLflow knows no {name} {version}; see its page of registered models") from None


def version_line(walk: Walk, role: Role, version: str, signed: Mapping[str, str] | None = None) -> Line:
    """Return a version; ``signed`` are the digests of the decision that made it live, if there is one."""
    import mlflow

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    name = f"{NAMES[role]}/{version}"
    try:
        found = find_version(role, version)
        run = mlflow.get_run(run_id_of(found))
    except (UserError, mlflow.MlflowException):
        return Line(
            role, name, note="MLflow holds this version or its run no more", holds=walk.holds(lambda: False)
        )
    below = (
        Line("logged model", model_id_of(found)),
        _weights_line(walk, role, found, run.data.tags, signed or {}),
        _run_line(walk, role, run, signed or {}),
    )
    aliases = ", ".join(found.aliases)
    return Line(role, f"{NAMES[role]}/{found.version}", f"alias {aliases}" if aliases else "", below=below)


def adapter_line(walk: Walk, signed: Mapping[str, str]) -> Line:
    """Return the generator's adapter that a decision names, or that the base went live alone."""
    import mlflow

    digest = signed.get(DIGEST, "")
    if digest in ("", NONE):
        return Line("generator", "the base alone" if digest else "", "" if digest else "not recorded")
    try:
        folder = find_adapter(digest)
        run = mlflow.get_run(str(origin_of(folder)["run"]))
    except (UserError, mlflow.MlflowException):
        note = "the workspace holds this adapter, or MLflow its run, no more"
        return Line("generator", digest, note, holds=walk.holds(lambda: False))
    recorded = run.data.tags.get(weights_tag("generator"))
    holds = walk.holds(lambda: recorded == weights_digest(folder))
    below = (Line("folder", str(folder)), _run_line(walk, "generator", run, {}))
    return Line("generator", digest, "adapter, as signed in the decision", holds, below)


def run_id_of(version: Any) -> str:
    """Return the run that logged a version's model."""
    import mlflow

    return str(version.run_id or mlflow.get_logged_model(model_id_of(version)).source_run_id)


def recorded_recipe(run_id: str, role: Role) -> Recipe | None:
    """Return the recipe that a run kept whole, or None: runs of earlier days kept its name and digest.

    Raises:
        UserError: what was kept is no recipe any more.
    """
    import mlflow

    with tempfile.TemporaryDirectory(prefix="mailroom-") as scratch:
        try:
            kept = fetch(Path(scratch), run_id=run_id, artifact_path=recipe_artifact(role))
        except (OSError, mlflow.MlflowException):
            return None
        return load_recipe(str(kept))


def _weights_line(
    walk: Walk, role: Role, version: Any, tags: Mapping[str, str], signed: Mapping[str, str]
) -> Line:
    decided = signed.get(f"{role} weights", "")
    recorded = tags.get(weights_tag(role), "") or decided
    if not recorded:
        return Line("weights", note="neither the run nor a decision names their digest")
    if PRUNED in version.tags:
        return Line("weights", recorded, "pruned: no release names them")
    holds = walk.holds(lambda: recorded == _registered_weights(role, version) and decided in ("", recorded))
    return Line("weights", recorded, "as signed in the decision" if decided else "", holds)


def _registered_weights(role: Role, version: Any) -> str:
    with tempfile.TemporaryDirectory(prefix="mailroom-") as scratch:
        try:
            return weights_digest(download_model(NAMES[role], str(version.version), Path(scratch)))
        except UserError:
            return "gone"


def _run_line(walk: Walk, role: Role, run: Any, signed: Mapping[str, str]) -> Line:
    tags, run_id = run.data.tags, str(run.info.run_id)
    dataset, rows = tags.get("mailroom.dataset_digest", ""), tags.get("mailroom.rows_digest", "")
    step = tags.get("mailroom.step", "")
    below = (
        Line("author", tags.get("mailroom.author", "")),
        _recipe_line(walk, role, run_id, tags, signed if role == "classifier" else {}),
        Line("seed", tags.get("mailroom.seed", "")),
        Line("git commit", tags.get("mailroom.commit", ""), _differs(tags.get("mailroom.commit"), commit())),
        Line(
            "package lock",
            tags.get("mailroom.lock_digest", ""),
            _differs(tags.get("mailroom.lock_digest"), lock_digest()),
        ),
        Line("device", tags.get("mailroom.device", "")),
        Line("notebook's code", tags.get("mailroom.notebook_sha256", ""), step or NO_NOTEBOOK),
        notebook_line(walk, run),
        dataset_line(walk, dataset, rows),
    )
    return Line("training run", run_id, str(run.info.status).lower(), below=below)


def _recipe_line(
    walk: Walk, role: Role, run_id: str, tags: Mapping[str, str], signed: Mapping[str, str]
) -> Line:
    digest, kept = tags.get("mailroom.recipe_digest", ""), recorded_recipe(run_id, role)
    decided = signed.get("recipe digest", "")
    holds = walk.holds(lambda: recipe_digest(kept) == digest and decided in ("", digest)) if kept else None
    below = (
        Line("digest", digest, "as signed in the decision" if decided else "", holds),
        Line("contents", f"{recipe_artifact(role)} of the run" if kept else ""),
    )
    return Line("recipe", tags.get("mailroom.recipe", ""), below=below)


def _differs(recorded: str | None, here: str) -> str:
    return f"here it is {here or 'unknown'}" if recorded and recorded != here else ""

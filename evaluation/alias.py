"""The alias ``champion`` in MLflow, which follows the decision log and never leads it."""

from __future__ import annotations

from data.workspace import tracking
from evaluation.release import Release
from serving.champion import ALIAS, CLASSIFIER, EMBEDDER


def move_alias(release: Release) -> None:
    """Set the alias of both models to the versions of the release."""
    import mlflow

    tracking()
    client = mlflow.MlflowClient()
    for name, version in ((CLASSIFIER, release.classifier_version), (EMBEDDER, release.embedder_version)):
        if _version_at(name) != version:
            client.set_registered_model_alias(name, ALIAS, version)


def alias_problems(release: Release | None) -> tuple[str, ...]:
    """Return where the aliases differ from the live release; an alias without one is a problem too."""
    tracking()
    problems = []
    for name, decided in (
        (CLASSIFIER, release.classifier_version if release else None),
        (EMBEDDER, release.embedder_version if release else None),
    ):
        found = _version_at(name)
        if found != decided:
            problems.append(
                f"{name}: the alias {ALIAS} stands on version {found or 'none'}, the decision log says "
                f"{decided or 'none'}; it was moved without a decision, or a move was interrupted"
            )
    return tuple(problems)


def _version_at(name: str) -> str | None:
    import mlflow

    try:
        return str(mlflow.MlflowClient().get_model_version_by_alias(name, ALIAS).version)
    except mlflow.MlflowException:
        return None

"""What a release was made of, from where it is recorded: signed log, evidence, training runs, dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from data.dataset import read_manifest
from data.label_sets import members
from data.workspace import UserError
from evaluation.changes import DatasetCounts, Origin
from evaluation.release import Release
from evaluation.subject import Subject
from serving.adapter import decided_adapter, origin_of
from serving.champion import CLASSIFIER, EMBEDDER
from serving.judged import read_gate

RECIPE_PARTS = ("classifier.", "embedder.", "generator.")


def dataset_counts(prepared: str | Path) -> DatasetCounts:
    """Return how many messages the dataset has, by split and by label; one with several counts for each."""
    manifest = read_manifest(prepared)
    labels = Counter[str]()
    for label, count in manifest.labels.items():
        labels.update(dict.fromkeys(members(label), count))
    return DatasetCounts(manifest.counts.kept, manifest.splits, dict(labels))


def origin_of_challenger(subject: Subject, rules_digest: str) -> Origin:
    """Return what the models under judgement were made of."""
    digests = {**subject.details, "dataset": subject.dataset, "gate": rules_digest}
    parts = (subject.classifier, subject.embedder, subject.adapter)
    return Origin(
        digests, _recipe_of(part.run_id for part in parts if part), dataset_counts(subject.prepared)
    )


def origin_of_champion(release: Release) -> Origin:
    """Return what is recorded of the champion: digests in the signed log, counts in its evidence."""
    return Origin(release.digests, _recipe_of(_training_runs(release)), _recorded_counts(release))


def _recorded_counts(release: Release) -> DatasetCounts | None:
    """Return the counts of the champion's gate.json; None if it is gone, changed, or older than they are."""
    try:
        written = read_gate(release)["findings"]["dataset"]
        return DatasetCounts(written["messages"], written["splits"], written["labels"])
    except (UserError, KeyError, TypeError):
        return None


def _training_runs(release: Release) -> tuple[str, ...]:
    import mlflow

    client, found = mlflow.MlflowClient(), []
    for name, version in ((CLASSIFIER, release.classifier_version), (EMBEDDER, release.embedder_version)):
        try:
            found.append(str(client.get_model_version(name, version).run_id or ""))
        except mlflow.MlflowException:
            continue  # what is gone from the registry is "not recorded"
    with suppress(UserError):
        if adapter := decided_adapter(release.digests):
            found.append(origin_of(adapter)["run"])
    return tuple(found)


def _recipe_of(run_ids: Iterable[str]) -> Mapping[str, str]:
    """Return the recipe's fields as training logged them; classifier and embedder may share a run."""
    import mlflow

    client = mlflow.MlflowClient()
    fields: dict[str, str] = {}
    for run_id in dict.fromkeys(run_ids):
        try:
            logged = client.get_run(run_id).data.params
        except mlflow.MlflowException:
            continue
        fields |= {name: value for name, value in logged.items() if name.startswith(RECIPE_PARTS)}
    return fields

"""Which models were made of a dataset: they may have learnt from what has been erased since."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data.workspace import tracking
from serving.adapter import kept_adapters, origin_of
from serving.champion import CLASSIFIER, EMBEDDER

TAG = "mailroom.dataset_digest"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A run that trained on a dataset, and the registered versions that came of it."""

    run_id: str
    dataset_digest: str
    versions: tuple[str, ...]  # and, of a generator, where its adapter lies

    def __str__(self) -> str:
        return f"run {self.run_id}: {', '.join(self.versions) or 'no registered version'}"


def models_trained_on(dataset_digests: Collection[str]) -> tuple[TrainedModel, ...]:
    """Return the runs of all experiments whose training data had one of the digests, newest first."""
    import mlflow

    tracking()
    client = mlflow.MlflowClient()
    versions = [
        version
        for name in (CLASSIFIER, EMBEDDER)
        for version in client.search_model_versions(f"name='{name}'")
    ]
    adapters = kept_adapters()
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = []
    for digest in sorted(dataset_digests):
        for run in client.search_runs(experiments, filter_string=f"tags.`{TAG}` = '{digest}'"):
            run_id = run.info.run_id
            made = [f"{each.name} {each.version}" for each in versions if each.run_id == run_id]
            made += [
                f"the generator's adapter {each}" for each in adapters if origin_of(each)["run"] == run_id
            ]
            found.append(TrainedModel(run.info.run_id, digest, tuple(sorted(made))))
    return tuple(found)

"""A version is made again from its record alone, and a record that says something else is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.workspace import UserError, tracking
from evaluation.candidate import read_candidate
from evaluation.registry import Version, register
from pipelines.lineage.command import TOLERANCE
from pipelines.reproduce import Difference, Reproduction, recorded, reproduce
from serving.champion import CLASSIFIER, EMBEDDER
from tests.training.made_messages import thread_rows, write_prepared
from training.classifier import train_classifier
from training.embedder import train_embedder

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("difference", "is_reproduced"),
    [
        (None, True),
        (Difference(100, 0.0009, 1.0), True),
        (Difference(100, 0.002, 1.0), False),
        (Difference(100, 0.0001, 0.99), False),
        (Difference(0, float("inf"), 0.0), False),
        (Difference(100, float("nan"), 1.0), False),
    ],
)
def test_the_verdict_follows_from_the_difference(difference: Difference | None, is_reproduced: bool) -> None:
    found = Reproduction("mailroom-classifier/3", "a" * 64, "b" * 64, ("the lock",), TOLERANCE, difference)

    assert is_reproduced is found.is_reproduced
    assert is_reproduced is ("NOT REPRODUCED" not in str(found))
    assert "warning: the lock" in str(found)


@pytest.fixture(scope="module")
def version(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("reproduce") / "classifier"
    train_classifier(small_dataset, folder, recipe="smoke")
    return register(read_candidate(folder), CLASSIFIER)


@pytest.fixture
def tags(version: Version) -> Iterator[dict[str, str]]:
    """The tags of the version's run, put back after the test."""
    import mlflow

    run = mlflow.get_run(mlflow.MlflowClient().get_model_version(CLASSIFIER, version.version).run_id)
    before = {name: value for name, value in run.data.tags.items() if name.startswith("mailroom.")}
    yield before | {"run": run.info.run_id}
    for name, value in before.items():
        mlflow.MlflowClient().set_tag(run.info.run_id, name, value)


def traces() -> tuple[int, int]:
    """Return how many runs and registered versions MLflow holds."""
    import mlflow

    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return len(runs), len(mlflow.MlflowClient().search_model_versions())


@slow
def test_the_recorded_run_gives_the_same_weights_and_leaves_no_trace(
    version: Version, small_dataset: Path
) -> None:
    tracking()
    before = traces()

    found = reproduce("classifier", version.version, prepared=str(small_dataset), tolerance=TOLERANCE)

    assert found.difference is None, str(found)
    assert found.registered_weights == found.weights
    assert before == traces()


@slow
def test_an_embedder_is_made_again(small_dataset: Path, tmp_path: Path) -> None:
    train_embedder(small_dataset, tmp_path / "embedder", recipe="smoke")
    made = register(read_candidate(tmp_path / "embedder"), EMBEDDER)

    found = reproduce("embedder", made.version, prepared=str(small_dataset), tolerance=TOLERANCE)

    assert found.difference is None, str(found)


@slow
def test_a_changed_seed_in_the_record_is_noticed(
    version: Version, small_dataset: Path, tags: dict[str, str]
) -> None:
    import mlflow

    mlflow.MlflowClient().set_tag(tags["run"], "mailroom.seed", "8")

    found = reproduce("classifier", version.version, prepared=str(small_dataset), tolerance=TOLERANCE)

    assert not found.is_reproduced, str(found)
    assert "NOT REPRODUCED" in str(found)


@slow
@pytest.mark.parametrize(("row", "said"), [({"split": "test"}, "rows of"), ({}, "no dataset with digest")])
def test_another_dataset_is_refused(
    version: Version, tags: dict[str, str], tmp_path: Path, row: dict[str, str], said: str
) -> None:
    import mlflow

    first, *rest = thread_rows(60)
    other = write_prepared(tmp_path / "prepared", [first | row, *rest])
    if not row:
        mlflow.MlflowClient().set_tag(tags["run"], "mailroom.dataset_digest", "e" * 64)

    with pytest.raises(UserError, match=said):
        reproduce("classifier", version.version, prepared=str(other), tolerance=TOLERANCE)


@slow
def test_a_recipe_that_is_not_the_recorded_one_is_refused(version: Version, tags: dict[str, str]) -> None:
    import mlflow

    mlflow.MlflowClient().set_tag(tags["run"], "mailroom.recipe_digest", "e" * 64)

    with pytest.raises(UserError, match="another digest"):
        recorded("classifier", version.version)

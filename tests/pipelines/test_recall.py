"""What ``mailroom review recall`` prints, from the evidence that reviewers read in MLflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data.workspace import UserError, tracking
from evaluation.archive_recall import FLAGGED, NEAR, REST, ArchiveRecall, Stratum, estimate_recall, labels_for
from evaluation.planning_record import archive_recall_of
from pipelines.recall import described, show_recall


@pytest.fixture(scope="module")
def estimate() -> ArchiveRecall:
    strata = [Stratum(FLAGGED, 400, 100, 50), Stratum(NEAR, 1000, 100, 5), Stratum(REST, 20_000, 1000, 2)]
    return estimate_recall(strata)


def test_says_recall_strata_and_labels_to_give(estimate: ArchiveRecall) -> None:
    text = described(estimate, 0.05)

    more = {each.stratum: each.more for each in labels_for(estimate, 0.05)}
    rest = next(line for line in text.splitlines() if line.startswith(REST))
    assert rest.split()[-4:] == ["20,000", "1,000", "2", f"{more[REST]:,}"]
    assert text.startswith(f"recall {estimate.recall};")
    assert "290" in text
    assert text.endswith("whole threads at a time")


def test_a_stratum_without_labels_gets_its_first_hundred(estimate: ArchiveRecall) -> None:
    blind = estimate_recall([*estimate.strata[:2], Stratum(REST, 20_000, 0, 0)])

    text = described(blind, 0.05)

    assert text.startswith("recall unknown")
    assert text.splitlines()[-2].split()[-1] == "100"


def test_doubts_are_told(estimate: ArchiveRecall) -> None:
    assert f"do not score like the others: {NEAR}" in described(replace(estimate, doubts=(NEAR,)), 0.05)


@pytest.mark.slow
def test_reads_the_latest_evaluation(workspace: Path, estimate: ArchiveRecall, tmp_path: Path) -> None:
    from dataclasses import asdict

    import mlflow

    with pytest.raises(UserError, match="nothing was evaluated yet"):
        show_recall(0.05)
    tracking()
    gate = tmp_path / "gate.json"
    for archive in (None, asdict(estimate)):
        gate.write_text(json.dumps({"findings": {"planning": {"archive": archive}}}))
        with mlflow.start_run():
            mlflow.log_artifact(str(gate), "report")
            mlflow.set_tag("mailroom.evaluation", "hold")
    with mlflow.start_run():
        mlflow.set_tag("mailroom.evaluation", "declared")  # one that never came to an end

    assert show_recall(0.1) == described(estimate, 0.1)


def test_an_evaluation_without_an_estimate_is_told() -> None:
    assert archive_recall_of({"findings": {"planning": None}}) is None
    assert archive_recall_of({}) is None


@pytest.mark.parametrize("within", [0.0, 5.0])
def test_a_precision_that_is_no_share_is_refused(within: float) -> None:
    with pytest.raises(UserError, match="is no share"):
        show_recall(within)

"""What MLflow keeps of an evaluation, and how a reviewer gets from a version to the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.candidate import Candidate
from evaluation.findings import Findings
from evaluation.registry import Version
from evaluation.rules import Rules
from evaluation.verdict import Verdict
from training.tracking import log_dataset

FOLDER = "report"
WORD = {"promote": "PASS", "hold": "HOLD", "reject": "FAIL"}  # the versions list shows 28 plain characters


def declare(rules: Rules, dataset: Any, *, seed: int) -> None:
    """Write the rules' hash and the dataset into the open run, before anything is measured."""
    import mlflow

    mlflow.set_tags({"mailroom.gate_digest": rules.digest, "mailroom.evaluation": "declared"})
    mlflow.log_params(
        {"gate.digest": rules.digest, "gate.benign": ", ".join(rules.benign), "evaluation.seed": seed}
    )
    log_dataset(dataset, "test")


def report_link(run: Any) -> str:
    """Return the relative address that opens the report inside MLflow's pages."""
    return (
        f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{FOLDER}/eval_report.html"
    )


def headline(findings: Findings) -> str:
    """Return the result in one line."""
    if findings.challenger is None:
        return "the challenger could not be measured"
    others = ", ".join(f"{other.name} {other.macro_f1.value:.3f}" for other in findings.others)
    return f"macro-F1 {findings.challenger.macro_f1} on {findings.messages:,} messages; {others}"


def headline_metrics(findings: Findings) -> dict[str, float]:
    """Return the figures of the classifier that MLflow's version comparison shows."""
    return dict(_metrics(findings))


def _metrics(findings: Findings) -> Iterator[tuple[str, float]]:
    if findings.challenger:
        yield "test_macro_f1", findings.challenger.macro_f1.value
        yield "test_macro_f1_low", findings.challenger.macro_f1.low
        yield "test_macro_f1_high", findings.challenger.macro_f1.high
        yield "test_accuracy", findings.challenger.accuracy.value
        for result in findings.challenger.classes:
            yield f"test_recall_{result.label}", result.recall.value
    if findings.calibration:
        yield "test_calibration_error", findings.calibration.error.value
    for other in findings.others:
        yield f"test_macro_f1_{other.name.split()[0].lower()}", other.macro_f1.value


def search_metrics(findings: Findings) -> dict[str, float]:
    """Return the figures of the embedder."""
    found = {
        f"test_{result.mode}_{name}": figure.value
        for result in (findings.retrieval.results if findings.retrieval else ())
        for name, figure in (("recall_at_10", result.recall_at_10), ("mrr", result.reciprocal_rank))
    }
    for metric in findings.answers.metrics if findings.answers else ():
        found[f"test_answers_{metric.name.replace(' ', '_').lower()}"] = metric.mean.value
    return found


def keep(
    folder: Path,
    findings: Findings,
    verdict: Verdict,
    *,
    run: Any,
    dataset: Any,
    models: tuple[tuple[Candidate, Version], tuple[Candidate, Version]],
) -> None:
    """Log evidence and figures: to the gate's run, and to the training runs beside their models."""
    import mlflow

    client = mlflow.MlflowClient()
    mlflow.log_artifacts(str(folder), FOLDER)
    figures = (headline_metrics(findings), search_metrics(findings))
    mlflow.log_metrics(_finite(figures[0] | figures[1]))
    note = f"{WORD[verdict.outcome]} - {headline(findings)}\n\n[Open the report]({report_link(run)})\n\n"
    note += "\n".join(f"- {reason}" for reason in verdict.reasons)
    mlflow.set_tags({"mlflow.note.content": note, "mailroom.evaluation": verdict.outcome})
    for (candidate, version), metrics in zip(models, figures, strict=True):
        if finite := _finite(metrics):
            mlflow.log_metrics(finite, run_id=candidate.run_id, model_id=candidate.model_id, dataset=dataset)
        client.update_model_version(version.name, version.version, note)
        client.set_model_version_tag(version.name, version.version, "mailroom.outcome", verdict.outcome)
        client.set_model_version_tag(version.name, version.version, "mailroom.gate_run", run.info.run_id)
        client.set_registered_model_alias(version.name, "challenger", version.version)


@dataclass(frozen=True, slots=True)
class Trainers:
    """Who trained: their names, and the accounts that did it or had a cluster do it."""

    names: tuple[str, ...]
    accounts: tuple[str, ...]


def trainers_of(run_ids: Sequence[str]) -> Trainers:
    """Return who trained: as tagged by MAILROOM_AUTHOR at training, else the run's system user."""
    import mlflow

    client = mlflow.MlflowClient()
    runs = [client.get_run(run_id).data.tags for run_id in run_ids]
    names = [_person(tags, "mailroom.author") for tags in runs]
    accounts = [_person(tags, "mailroom.account") for tags in runs]
    submitters = [tags["mailroom.submitter"] for tags in runs if tags.get("mailroom.submitter")]
    return Trainers(tuple(dict.fromkeys(names)), tuple(dict.fromkeys([*accounts, *submitters])))


def _person(tags: Mapping[str, str], tag: str) -> str:
    return tags.get(tag) or tags.get("mlflow.user") or "unknown"


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """Leave out what is no number: MLflow would store it as a figure."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}

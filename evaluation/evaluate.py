"""Judge a challenger: declare the rules, measure, compare, register, decide, report."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.at_rest import at_work
from data.workspace import locate, tracking, write_atomically
from evaluation import record
from evaluation.case import Case, read_case
from evaluation.collect import collect, findings_of
from evaluation.explain import explain_errors
from evaluation.findings import Findings
from evaluation.gate import judge
from evaluation.gate_table import Challenger, ChampionNamed, GateTable, write_gate_table
from evaluation.judge import configured_judge
from evaluation.metrics import ANOTHER, Predictions, called, truly_called
from evaluation.registry import Version, register
from evaluation.release import Release
from evaluation.report import write_report
from evaluation.rules import load_rules
from evaluation.subject import read_subject
from evaluation.verdict import Check, Outcome
from serving.champion import CLASSIFIER, EMBEDDER
from serving.digest import file_digest
from serving.judged import COPIES
from training.tracking import dataset_input


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out: the verdict, the gate's table and where the report lies; never a message."""

    outcome: Outcome
    headline: str
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    folder: str
    report: str
    run_id: str
    classifier_version: str
    embedder_version: str

    def __str__(self) -> str:
        failed = [check for check in self.checks if not check.passed]
        lines = [f"{self.outcome}: {self.headline}", *(f"  {reason}" for reason in self.reasons)]
        lines.append(
            f"  {len(self.checks) - len(failed)} of {len(self.checks)} checks passed; report: {self.folder}"
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(check.name)}</td><td>{escape(check.figure)}</td><td>{escape(check.rule)}</td>"
            f"<td>{'passed' if check.passed else check.effect}</td></tr>"
            for check in self.checks
        )
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in self.reasons)
        return (
            f"<p><b>{self.outcome}</b>: {escape(self.headline)}</p><ul>{reasons}</ul>"
            f"<table><tr><th>check</th><th>measured</th><th>rule</th><th></th></tr>{rows}</table>"
        )


@at_work()
def evaluate(
    prepared: str | Path,
    classifier: str | Path,
    embedder: str | Path,
    index: str | Path,
    evaluation: str | Path,
    *,
    recipe: str = "laptop",
    adapter: str | Path = "",
    gate: str | Path = "",
    seed: int = 7,
) -> Evaluation:
    """Judge both models, and the generator's adapter if there is one, on the test split.

    The folder ``evaluation`` then holds ``eval_report.html``, ``gate.json``, ``predictions.parquet``, the
    rules as they were declared (``gate.yaml``), ``drift.html`` and ``reference.npz`` (numbers about the
    training data, for the next comparison). Both models become registered versions, ``challenger``;
    ``champion`` is never moved here.

    Raises:
        UserError: a part is missing or incomplete, nothing is labelled, the rules are not valid, a judge is
            half configured.
    """
    import mlflow

    rules, model_judge = load_rules(gate), configured_judge(os.environ)
    subject = read_subject(prepared, classifier, embedder, index, recipe=recipe, seed=seed, adapter=adapter)
    case = read_case(subject.prepared)
    tracking()
    with mlflow.start_run() as run, write_atomically(locate(evaluation)) as folder:
        folder.mkdir()
        dataset = dataset_input(subject.prepared, subject.dataset)
        record.declare(rules, dataset, seed=seed)
        versions = (register(subject.classifier, CLASSIFIER), register(subject.embedder, EMBEDDER))
        collected = collect(subject, case, rules, versions, folder, judge=model_judge)
        findings = findings_of(subject, case, rules, collected)
        model, temperature = subject.classifier.merged, subject.classifier.temperature
        explained = explain_errors(findings.errors, subject.prepared, model, temperature=temperature)
        findings = replace(findings, errors=explained)
        verdict = judge(findings, rules)
        _write_predictions(folder / "predictions.parquet", case, collected.challenger)
        (folder / "gate.yaml").write_bytes(rules.source)
        trained = [part.run_id for part in (subject.classifier, subject.embedder, subject.adapter) if part]
        table = GateTable(
            schema_version=3,
            outcome=verdict.outcome,
            headline=record.headline(findings),
            reasons=verdict.reasons,
            checks=verdict.checks,
            challenger=_challenger(versions, record.trainers_of(trained)),
            champion=_named(collected.champion),
            digests=_digests(folder, findings),
            run_id=run.info.run_id,
            report=record.report_link(run),
            rules=rules,
            findings=findings,
        )
        write_gate_table(folder / "gate.json", table)
        write_report(folder / "eval_report.html", findings, verdict, rules, run_id=run.info.run_id)
        models = ((subject.classifier, versions[0]), (subject.embedder, versions[1]))
        record.keep(folder, findings, verdict, run=run, dataset=dataset, models=models)
    return Evaluation(
        verdict.outcome,
        record.headline(findings),
        verdict.reasons,
        verdict.checks,
        str(locate(evaluation)),
        record.report_link(run),
        run.info.run_id,
        versions[0].version,
        versions[1].version,
    )


def _write_predictions(path: Path, case: Case, challenger: Predictions) -> None:
    """Write the challenger's probabilities message by message, without any text."""
    names = case.test.labels
    columns: dict[str, Any] = {
        "message_id": list(case.messages.message_ids),
        "thread_id": list(case.messages.threads),
        "label": truly_called(case.test),
        "predicted": [None if said == ANOTHER else said for said in called(case.test, challenger)],
    }
    if challenger.probabilities is not None:
        columns |= {f"p_{name}": challenger.probabilities[:, place] for place, name in enumerate(names)}
    pq.write_table(pa.table(columns), path)


def _challenger(versions: tuple[Version, Version], trainers: record.Trainers) -> Challenger:
    classifier, embedder = versions
    return Challenger(
        classifier.name,
        classifier.version,
        classifier.model_id,
        embedder.name,
        embedder.version,
        embedder.model_id,
        trainers.names,
        trainers.accounts,
    )


def _named(champion: Release | None) -> ChampionNamed | None:
    if champion is None:
        return None
    return ChampionNamed(champion.id, champion.classifier_version, champion.embedder_version)


def _digests(folder: Path, findings: Findings) -> dict[str, str]:
    return {
        "dataset": findings.provenance.dataset,
        "gate": findings.provenance.gate,
        "predictions": file_digest(folder / "predictions.parquet"),
        **{name: value for name, value in findings.provenance.details.items() if value},
        **{COPIES[trip.model]: trip.copy_digest for trip in findings.round_trips},
    }

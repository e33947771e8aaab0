"""The whole judgement on small real models: what is written, what MLflow shows, what is never in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import serving.bundle
from data import governance
from data.dataset import read_messages, read_questions
from data.workspace import UserError
from evaluation import candidate, decision
from evaluation.chain import check_chain
from evaluation.evaluate import Evaluation, evaluate
from evaluation.opened import listed_errors, open_errors, read_texts
from evaluation.planning_record import archive_recall_of, latest_gate
from evaluation.promote import promote
from evaluation.release import Release
from evaluation.rules import DEFAULT_PATH
from serving.adapter import held_adapter
from serving.bundle import build_bundle
from serving.champion import CLASSIFIER, EMBEDDER, champion_models, release_to_prove
from serving.digest import folder_digest
from serving.live import go_live, keep, served_bundle
from tests.training.made_decoders import write_decoder
from tests.training.test_generator import SECTION
from training.classifier import train_classifier
from training.generator import train_generator
from training.recipe import load_recipe

pytestmark = pytest.mark.slow

LENIENT = {
    "lexicon_macro_f1: 0.00": "lexicon_macro_f1: -1.0",
    "champion_macro_f1: 0.01": "champion_macro_f1: 1.0",
    "baseline_macro_f1: 0.03": "baseline_macro_f1: 1.0",
    "latency_ms: 1000.0": "latency_ms: 60000.0",
    "latency_ratio: 1.5": "latency_ratio: 50.0",
    "critical_recall: 0.05": "critical_recall: 1.0",
    "slice_accuracy: 0.05": "slice_accuracy: 1.0",
    "retrieval_recall: 0.05": "retrieval_recall: 1.0",
    "calibration_error: 0.10": "calibration_error: 1.0",
    "critical_recall_floor: 0.50": "critical_recall_floor: 0.0",
    "draws: 2000 ": "draws: 300 ",
}


@dataclass(frozen=True)
class Parts:
    """A prepared dataset, the models trained on it, the index, and rules that small models can pass."""

    prepared: Path
    classifier: Path
    embedder: Path
    index: Path
    gate: Path
    root: Path
    recipe: str
    adapter: str = ""

    def evaluate(self, name: str) -> Evaluation:
        return evaluate(
            self.prepared,
            self.classifier,
            self.embedder,
            self.index,
            self.root / name,
            recipe=self.recipe,
            adapter=self.adapter,
            gate=self.gate,
        )


@pytest.fixture(scope="module")
def parts(prepared: Path, reader_recipe: str, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    from serving.index import build_index
    from training.embedder import train_embedder

    root = tmp_path_factory.mktemp("evaluate")
    rules = DEFAULT_PATH.read_text()
    for strict, lenient in LENIENT.items():
        assert strict in rules
        rules = rules.replace(strict, lenient)
    (root / "gate.yaml").write_text(rules)
    train_classifier(prepared, root / "classifier", recipe=reader_recipe)
    train_embedder(prepared, root / "embedder", recipe=reader_recipe)
    build_index(prepared, root / "embedder", root / "index")
    models = (root / "classifier", root / "embedder", root / "index")
    return Parts(prepared, *models, root / "gate.yaml", root, reader_recipe)


@pytest.fixture(scope="module")
def first(parts: Parts) -> Evaluation:
    return parts.evaluate("first")


def test_writes_the_evidence(parts: Parts, first: Evaluation) -> None:
    written = {path.name for path in (parts.root / "first").iterdir()}
    gate = json.loads((parts.root / "first" / "gate.json").read_text())
    predictions = pq.read_table(parts.root / "first" / "predictions.parquet")

    evidence = {"eval_report.html", "gate.json", "gate.yaml", "predictions.parquet"}
    assert evidence | {"drift.html", "reference.npz"} == written
    assert gate["outcome"] == first.outcome
    assert {check["name"] for check in gate["checks"]} == {check.name for check in first.checks}
    assert read_messages(parts.prepared, split="test", labelled=True).num_rows == predictions.num_rows
    assert "text" not in predictions.column_names


def test_plans_a_review_of_the_whole_archive(parts: Parts, first: Evaluation) -> None:
    gate = json.loads((parts.root / "first" / "gate.json").read_text())
    estimate = archive_recall_of(latest_gate())
    kept = read_messages(parts.prepared, columns=("split", "label")).to_pylist()

    assert estimate is not None
    assert sum(each.messages for each in estimate.strata) == sum(
        row["split"] == "test" or row["label"] is None for row in kept
    )
    assert gate["findings"]["drift"]["false_alarms"]["draws"] == 200
    assert gate["findings"]["planning"]["terms"]


def test_the_registered_copies_answer_as_the_models_do(first: Evaluation) -> None:
    trips = [
        check for check in first.checks if "score difference" in check.name or "same labels" in check.name
    ]

    assert len(trips) == 3
    assert all(check.passed for check in trips)


def test_no_message_text_is_in_the_evidence(parts: Parts, first: Evaluation) -> None:
    words = [text for text in read_messages(parts.prepared)["text"].to_pylist() if text and len(text) > 30]
    asked = [row["question"] for row in read_questions(parts.prepared).to_pylist()]
    shown = str(first) + first._repr_html_()
    for name in ("eval_report.html", "gate.json", "drift.html"):
        shown += (parts.root / "first" / name).read_text()

    assert [] == [text for text in (*words, *asked) if text[:40] in shown]


def test_mlflow_leads_a_reviewer_from_the_version_to_the_report(first: Evaluation) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    for name, version in ((CLASSIFIER, first.classifier_version), (EMBEDDER, first.embedder_version)):
        registered = client.get_model_version(name, version)

        assert registered.description.startswith(("PASS - ", "HOLD - ", "FAIL - "))
        assert first.report in registered.description
        assert str(client.get_model_version_by_alias(name, "challenger").version) == version
    listed = {item.path for item in client.list_artifacts(first.run_id, "report")}
    assert {"report/eval_report.html", "report/gate.json"} <= listed


def test_figures_stand_beside_the_model_and_the_gates_run_has_no_model(
    parts: Parts, first: Evaluation
) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    training = json.loads((parts.classifier / "training.json").read_text())
    logged = client.get_logged_model(training["model_id"])

    assert "test_macro_f1" in {metric.key for metric in logged.metrics}
    assert not client.get_run(first.run_id).outputs.model_outputs
    assert client.get_run(first.run_id).data.tags["mailroom.gate_digest"]


def test_another_gate_file_is_a_users_mistake(parts: Parts) -> None:
    with pytest.raises(UserError, match=r"the gate's rules .* cannot be read"):
        evaluate(
            parts.prepared,
            parts.classifier,
            parts.embedder,
            parts.index,
            parts.root / "never",
            gate="/no/gate.yaml",
        )
    assert not (parts.root / "never").exists()


@pytest.fixture(scope="module")
def live(parts: Parts, first: Evaluation) -> Release:
    """The first release, live by the bootstrap rule, or approved where the gate only held it."""
    release = promote(parts.root / "first", parts.index, parts.root / "release")
    if release.status == "pending":
        release = approved(release.id)
    return release


def approved(release_id: str) -> Release:
    """Approve on the account that trained, as somebody else."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MAILROOM_REVIEWER", "reviewer")
        return decision.approve(release_id, reviewer="reviewer", reason="a small model for a test")


def test_the_second_evaluation_compares_with_the_champion(parts: Parts, live: Release) -> None:
    second = parts.evaluate("second")

    gate = json.loads((parts.root / "second" / "gate.json").read_text())
    against = next(check for check in second.checks if check.name == "macro-F1 minus champion")
    assert gate["champion"]["release"] == live.id
    assert (0.0, True) == (against.measured, against.passed)
    assert second.classifier_version == live.classifier_version
    changes = gate["findings"]["changes"]
    assert (live.id, []) == (changes["release"], changes["recipe"])
    assert all(fact["before"] == fact["after"] for fact in changes["facts"])
    assert load_recipe(parts.recipe).classifier.base_model in {fact["before"] for fact in changes["facts"]}
    assert all(count["before"] == count["after"] for count in changes["counts"])
    assert gate["findings"]["messages"] == changes["flips"]["unchanged"]
    assert "training data of champion" in (parts.root / "second" / "eval_report.html").read_text()


def test_a_reviewer_opens_the_worst_errors_by_the_run_that_the_report_names(
    parts: Parts, live: Release
) -> None:
    page = open_errors(live.run_id, reviewer="reviewer", reason="a test", output=parts.root / "errors.html")

    gate = json.loads((parts.root / "first" / "gate.json").read_text())
    worst = [error["message_id"] for error in gate["findings"]["errors"]["worst"]]
    shown = page.path.read_text(encoding="utf-8")
    assert len(worst) == page.messages
    assert all(message_id in shown for message_id in worst)
    assert "The text as it is now" not in shown  # the registered model says what it said in the evaluation
    assert "<mark>" in shown
    entry = governance.verified()[-1].event
    assert ("review_errors", live.id, len(worst)) == (entry["kind"], entry["release"], entry["shown"])


def test_gate_json_names_places_in_the_messages_and_no_words(parts: Parts, live: Release) -> None:
    gate = json.loads((parts.root / "first" / "gate.json").read_text())
    worst = gate["findings"]["errors"]["worst"]
    texts = read_texts(parts.prepared, live, listed_errors(live, gate))

    resting = [error for error in worst if error["sentence"]]
    assert resting
    for error in resting:
        subject, text = texts[error["message_id"]]
        sentence, whole = error["sentence"], f"{subject}\n{text}"
        assert whole[sentence["start"] : sentence["end"]].strip()
        assert all(
            sentence["start"] <= word["start"] < word["end"] <= sentence["end"] for word in error["words"]
        )
    said = json.dumps(worst)
    assert not [text for _, text in texts.values() if text[:20] in said]


def test_the_errors_of_another_dataset_are_not_shown(parts: Parts, live: Release) -> None:
    elsewhere = replace(live, digests={**live.digests, "dataset": "0" * 64})

    with pytest.raises(UserError, match="is not the one"):
        read_texts(parts.prepared, elsewhere, [])


def with_other_labels(prepared: Path, folder: Path) -> Path:
    """Return a copy of the dataset whose training messages all have the label that follows their own."""
    shutil.copytree(prepared, folder)
    for path in (folder / "messages").rglob("*.parquet"):
        table = pq.read_table(path)
        labels = np.array(table["label"].to_pylist(), dtype=object)
        learnt = np.flatnonzero((np.array(table["split"].to_pylist()) == "train") & (labels != None))  # noqa: E711
        names = sorted(set(labels[learnt]))
        labels[learnt] = [names[(names.index(label) + 1) % len(names)] for label in labels[learnt]]
        place = table.column_names.index("label")
        pq.write_table(table.set_column(place, "label", pa.array(labels.tolist(), pa.string())), path)
    return folder


def test_a_challenger_that_wins_becomes_champion(parts: Parts, live: Release) -> None:
    train_classifier(
        with_other_labels(parts.prepared, parts.root / "other"), parts.root / "weak", recipe=parts.recipe
    )
    weak = replace(parts, classifier=parts.root / "weak").evaluate("of weak")
    champion = approved(promote(parts.root / "of weak", parts.index, parts.root / "weak release").id)
    assert champion.classifier_version == weak.classifier_version != live.classifier_version

    second = parts.evaluate("of second")
    proposed = promote(parts.root / "of second", parts.index, parts.root / "second release")
    won = approved(proposed.id)

    against = next(check for check in second.checks if check.name == "macro-F1 minus champion")
    assert against.interval is not None
    assert against.interval[0] > 0, "better, and not by chance"
    assert proposed.outcome == "promote"
    assert (won.status, won.classifier_version) == ("live", live.classifier_version)
    with champion_models(release_to_prove(parts.root / "second release")) as models:
        assert folder_digest(models.classifier) == won.digests["classifier copy"]
    assert check_chain().problems == ()


def test_an_unfinished_training_is_a_users_mistake(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trained model"):
        evaluate(parts.prepared, tmp_path, parts.embedder, parts.index, tmp_path / "evaluation")


def test_an_adapter_of_the_generator_is_judged_named_and_deployed(
    parts: Parts, live: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = write_decoder("llama", parts.root / "decoder", positions=1024)
    for module in (candidate, serving.bundle):
        monkeypatch.setattr(module, "generator_path", lambda: decoder)
    section = SECTION.replace("BASE", str(decoder)).replace("RATE", "1.0e-2").replace("256", "1000")
    recipe = parts.root / "speaks.yaml"
    recipe.write_text(Path(parts.recipe).read_text(encoding="utf-8") + section, encoding="utf-8")
    with monkeypatch.context() as ada:
        ada.setenv("MAILROOM_AUTHOR", "ada")
        adapter = train_generator(parts.prepared, parts.root / "generator", recipe=str(recipe)).adapter
    assert adapter
    speaking = replace(parts, recipe=str(recipe), adapter=adapter)

    judged = speaking.evaluate("of speaking")

    gate = json.loads((parts.root / "of speaking" / "gate.json").read_text())
    assert gate["digests"]["generator adapter"] == folder_digest(Path(adapter))
    assert gate["digests"]["dataset"] == gate["findings"]["provenance"]["parts"]["generator adapter"]
    assert "ada" in gate["challenger"]["authors"]
    assert "generator: loss of the base minus its adapter's" in {check.name for check in judged.checks}
    proposed = promote(parts.root / "of speaking", parts.index, parts.root / "speaking release")
    with pytest.raises(UserError, match="'ada' trained release"):
        decision.approve(proposed.id, reviewer="ada", reason="it is mine")
    assert f"the generator's adapter {proposed.digests['generator adapter'][:12]}" in str(proposed)
    approved(proposed.id)
    bundle = build_bundle(parts.root / "speaking release", parts.root / "speaking", parts.prepared)
    assert held_adapter(bundle.folder) == proposed.digests["generator adapter"]
    go_live(keep(bundle))
    served_bundle()
    assert check_chain().problems == ()

    again = {check.name: check for check in speaking.evaluate("of the same").checks}
    alone = {check.name: check for check in parts.evaluate("of silence").checks}

    compared = again["generator: loss of the champion's adapter minus this one's"]
    assert (0.0, True) == (compared.measured, compared.passed)
    assert not alone["generator: adapters of the champion left out"].passed
    with pytest.raises(UserError, match="no section 'generator'"):
        replace(speaking, recipe=parts.recipe).evaluate("never")
    assert not (parts.root / "never").exists()

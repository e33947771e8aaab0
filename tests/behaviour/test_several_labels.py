"""Messages with several labels, from the archive to the verdict: what the first five notebooks do."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.dataset import read_messages
from data.label_sets import classes_of, members
from data.prepare import prepare
from evaluation.evaluate import evaluate
from serving.client import thresholds_of
from serving.index import build_index
from training.classifier import train_classifier
from training.embedder import train_embedder

pytestmark = pytest.mark.slow

ALSO = {"insider_information": "off_channel", "off_channel": "harassment"}


@pytest.fixture(scope="module")
def labels(tiny_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels of the sample archive, some with a second one beside them."""
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    with open(tiny_archive / "labels.csv", newline="") as stated, open(path, "w", newline="") as handle:
        written = csv.writer(handle)
        written.writerow(["source", "label"])
        for row in csv.DictReader(stated):
            written.writerow(
                [row["source"], " | ".join([row["label"], *filter(None, [ALSO.get(row["label"])])])]
            )
    return path


def test_sets_of_labels_come_through_to_the_verdict(
    tiny_archive: Path, labels: Path, reader_recipe: str, tmp_path: Path, workspace: Path
) -> None:
    prepared, classifier, embedder = (tmp_path / name for name in ("prepared", "classifier", "embedder"))

    prepare(str(tiny_archive), prepared, labels=str(labels), spark_master="local[2]")
    trained = train_classifier(prepared, classifier, recipe=reader_recipe)
    train_embedder(prepared, embedder, recipe=reader_recipe)
    build_index(prepared, embedder, tmp_path / "index")
    judged = evaluate(
        prepared, classifier, embedder, tmp_path / "index", tmp_path / "judged", recipe=reader_recipe
    )

    rows = read_messages(prepared, split="test", labelled=True)["label"].to_pylist()
    gate = json.loads((tmp_path / "judged" / "gate.json").read_text())
    findings, predictions = gate["findings"], pq.read_table(tmp_path / "judged" / "predictions.parquet")
    support = {found["label"]: found["support"] for found in findings["challenger"]["classes"]}
    passed = {check.name: check.passed for check in judged.checks}
    assert "insider_information|off_channel" in rows
    assert "|" not in "".join(trained.labels)
    assert thresholds_of(classifier / "merged") == tuple(trained.thresholds.values())
    assert findings["multi_label"] is True
    assert support == {name: sum(name in members(row) for row in rows) for name in classes_of(rows)}
    assert sorted(predictions["label"].to_pylist()) == sorted(rows)
    assert any("|" in (said or "") for said in predictions["predicted"].to_pylist())
    assert {model["name"] for model in findings["others"]} == {"lexicon", "TF-IDF"}
    assert findings["planning"]["equal_work"]["strategies"]
    assert passed["classifier: same labels"]
    assert passed["test messages without an answer"]
    assert passed["figures that are no number"]
    assert "Messages may have several classes" in (tmp_path / "judged" / "eval_report.html").read_text()

"""A classifier that gives a message several labels: what is answered, what follows, what is found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import made_dataset
import numpy as np
import pytest
from made_gateway import client_of, made_door

from data import feedback
from data.dataset import read_messages
from serving.access import Caller
from serving.archive import open_archive
from serving.client import calibrated, thresholds_of
from serving.door import Door
from serving.embed import Vectors
from serving.findings import find_in_thread, read_policy
from serving.guard import Guards
from serving.parity import PROMPTS, Probe, Reference, check_parity
from serving.scope import Scope
from training.scores import Scores, apply_temperature

LABELS = ("ordinary", "off_channel", "insider_information")
SETS = ("ordinary", "insider_information|off_channel", "insider_information")
THRESHOLDS = (0.5, 0.3, 0.4)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(made_dataset, "LABELS", SETS)
    return made_dataset.write_dataset(tmp_path / "dataset")


@pytest.fixture
def door(tmp_path: Path, dataset: Path, workspace: Path) -> Door:
    def classify(texts: Sequence[str]) -> Vectors:
        rows = {"both": [0.1, 0.35, 0.8], "nothing": [0.2, 0.25, 0.1]}
        return np.array([rows[text.strip()] for text in texts], np.float32)

    return replace(
        made_door(tmp_path / "made", dataset), labels=LABELS, thresholds=THRESHOLDS, classify=classify
    )


def test_all_labels_that_pass_are_answered_and_never_none(door: Door, guards: Guards) -> None:
    asked = {"messages": [{"text": "both"}, {"text": "nothing"}]}

    both, nothing = client_of(door, guards).post("/v1/classify", json=asked).json()["results"]

    temperature = door.bundle.thresholds.temperature
    assert (both["label"], both["labels"]) == (SETS[1], ["insider_information", "off_channel"])
    assert both["probability"] == both["probabilities"]["insider_information"]
    assert (nothing["label"], nothing["labels"]) == ("off_channel", ["off_channel"])
    assert sum(both["probabilities"].values()) != pytest.approx(1, abs=0.05)
    scores = Scores(LABELS, door.classify(["both"]), THRESHOLDS)
    assert list(both["probabilities"].values()) == pytest.approx(
        apply_temperature(scores, temperature).probabilities[0].tolist(), abs=1e-6
    )


def test_the_metrics_count_every_label_given(door: Door, guards: Guards) -> None:
    client = client_of(door, guards)
    client.post("/v1/classify", json={"messages": [{"text": "both"}] * 2})

    measured = client.get("/metrics").text

    assert 'mailroom_classified_total{label="off_channel"} 2.0' in measured
    assert 'mailroom_classified_total{label="insider_information"} 2.0' in measured


def test_a_classifier_says_in_its_configuration_from_where_a_label_is_given(tmp_path: Path) -> None:
    config = {"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"}

    found = []
    for content in (config, config | {"label_thresholds": [0.2, 0.7]}, config | {"problem_type": None}):
        (tmp_path / "config.json").write_text(json.dumps(content))
        found.append(thresholds_of(tmp_path))

    assert found == [(0.5, 0.5), (0.2, 0.7), None]


def test_the_gateway_cools_each_label_as_the_evaluation_does() -> None:
    said = Scores(("a", "b"), np.array([[0.98, 0.6], [0.001, 1.0]], np.float32), (0.5, 0.5))

    cooled = calibrated(said.probabilities, 1.7, several=True)

    assert np.abs(apply_temperature(said, 1.7).probabilities - cooled).max() < 1e-6


def test_the_most_severe_label_decides_however_probable_another_is() -> None:
    rows = [{"message_id": "m", "subject": "", "text": "One. Two."}]

    finding = find_in_thread(
        "t",
        [rows],
        order=["m"],
        classify=lambda texts: np.array([[0.95, 0.45, 0.55]] * len(texts), np.float32),
        labels=LABELS,
        temperature=1.0,
        policy=read_policy(),
        several=True,
    )

    assert (finding.action, finding.label) == ("escalate", "insider_information")
    assert finding.risk == pytest.approx(0.55)  # not the sum: the labels do not exclude each other


def test_a_reviewer_may_say_a_set_where_messages_have_several_labels(
    door: Door, dataset: Path, guards: Guards
) -> None:
    several, single = client_of(door, guards), client_of(replace(door, thresholds=None), guards)
    asked = {"message_id": read_messages(dataset)["message_id"][0].as_py(), "reason": "two things"}

    assert several.post("/v1/feedback", json=asked | {"label": "off_channel|no such"}).status_code == 400
    assert several.post("/v1/feedback", json=asked | {"label": "|"}).status_code == 400
    assert single.post("/v1/feedback", json=asked | {"label": SETS[1]}).status_code == 400
    reply = several.post("/v1/feedback", json=asked | {"label": "off_channel | insider_information"})

    ((_, label),) = feedback.read().labels
    assert (reply.json()["label"], label.label) == (SETS[1], SETS[1])
    assert several.get("/v1/me").json()["several_labels"] is True


def test_a_label_finds_every_set_that_it_is_in_and_a_limit_does_not(
    door: Door, dataset: Path, guards: Guards
) -> None:
    limited = Caller("owner", ("owner",), Scope(labels=("insider_information",)))  # type: ignore[arg-type]
    counts = [
        client_of(door, guards)
        .post("/v1/tools/statistics", json={"filters": {"labels": [label]}})
        .json()["total"]
        for label in LABELS
    ]
    archive = open_archive(str(dataset), door.archive.digest if door.archive else "")

    assert archive is not None
    assert counts == [30, 30, 60]
    assert sum(batch.num_rows for batch in archive.batches(["label"], limited.scope)) == 30


def test_a_filter_knows_sets_however_they_are_written_and_none_without_the_dataset(
    door: Door, guards: Guards
) -> None:
    turned = "|".join(reversed(SETS[1].split("|")))
    assert turned != SETS[1]
    found = client_of(door, guards).post("/v1/tools/statistics", json={"filters": {"labels": [turned]}})
    blind = client_of(replace(door, archive=None), guards)
    asked = {"question": "harbour lease"}

    assert found.json()["total"] == 30
    assert blind.post("/v1/search", json=asked).status_code == 200
    assert blind.post("/v1/search", json=asked | {"filters": {"labels": ["ordinary"]}}).status_code == 503


class Engine:
    """Answers as the reference but for one probability that crosses its threshold."""

    def __init__(self, reference: Reference, crossed: float) -> None:
        self.reference, self.crossed = reference, crossed

    def classify(self, _texts: Sequence[str]) -> Vectors:
        rows = self.reference.probabilities.copy()
        rows[0, 1] += self.crossed
        return rows

    def embed(self, _texts: Sequence[str]) -> Vectors:
        return self.reference.vectors

    def chat(self, *_: object, **__: object) -> object:
        class Written:
            text = ""

        return Written()


@pytest.mark.parametrize(("crossed", "agreement"), [(0.0, 1.0), (0.0006, 0.5)])
def test_parity_compares_whole_sets(crossed: float, agreement: float) -> None:
    stated = np.array([[0.9, 0.2995, 0.8], [0.1, 0.2, 0.6]], np.float32)
    reference = Reference(stated, np.eye(2, dtype=np.float32), ("",) * len(PROMPTS), THRESHOLDS)

    measured = check_parity(reference, Engine(reference, crossed), [Probe("", "")] * 2)  # type: ignore[arg-type]

    assert measured.label_agreement == agreement
    assert measured.passed == (agreement == 1.0)

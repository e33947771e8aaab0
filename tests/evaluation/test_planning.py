"""The figures for planning on a prepared dataset in miniature: which messages count, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_findings import table_of

from evaluation.archive_recall import FLAGGED, NEAR, REST
from evaluation.archive_sample import measure_archive, unlabelled_texts
from evaluation.case import Case, read_case
from evaluation.findings import Findings
from evaluation.gate_table import write_gate_table
from evaluation.metrics import Predictions
from evaluation.planning import Planning, measure_planning
from evaluation.planning_record import archive_recall_of
from evaluation.rules import Rules
from tests.training.made_messages import message_row, write_prepared

ALARMED, QUIET = "an alarm, number", "all is quiet, number"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten labelled for training, twenty labelled test messages, seventy without a label."""
    rows = []
    for number in range(100):
        wanted = number % 5 == 0
        labelled = number < 30
        text = f"{ALARMED if wanted and number % 10 == 0 else QUIET} {number}"
        fields = {
            "label": ("spam" if wanted else "ordinary") if labelled else None,
            "split": "test" if 10 <= number < 30 else "train",
        }
        rows.append(message_row(number, text=text, **fields))
    return write_prepared(tmp_path_factory.mktemp("planning") / "prepared", rows)


@pytest.fixture(scope="module")
def case(prepared: Path) -> Case:
    return read_case(prepared)


def ask(texts: Sequence[str]) -> Predictions:
    """Raise an alert for every alarm; the higher a message's number, the higher its score."""
    alarmed = np.array([ALARMED in text for text in texts])
    scores = np.array([int(text.rsplit(" ", 1)[1]) / 200 for text in texts]) + alarmed / 2
    return Predictions("challenger", np.where(alarmed, 1, 0), None, scores)


def test_the_archive_is_every_message_but_those_whose_label_training_used(prepared: Path, case: Case) -> None:
    found = measure_archive(prepared, case, ask(case.messages.texts), ask, ("ordinary",))

    assert found is not None
    counts = {each.name: (each.messages, each.labelled, each.hits) for each in found.strata}
    assert counts[FLAGGED] == (9, 2, 2)  # alarms 10, 20 are labelled and wanted; 30 … 90 are not labelled
    assert counts[NEAR][0] + counts[REST][0] == 81
    assert counts[NEAR][1] + counts[REST][1] == 18
    assert counts[NEAR][2] + counts[REST][2] == 2  # 15 and 25
    assert found.scored == 70
    assert REST in found.doubts, "the labelled are those with low numbers, and so with low scores"


def test_a_large_archive_is_counted_on_a_sample(prepared: Path) -> None:
    texts, unlabelled = unlabelled_texts(prepared, most=25, seed=3)
    again, _ = unlabelled_texts(prepared, most=25, seed=3)

    assert (25, 70) == (len(set(texts)), unlabelled)
    assert texts == again


def test_nothing_is_estimated_where_all_is_labelled(tmp_path: Path, case: Case) -> None:
    rows = [message_row(number, text="x 1", label="spam") for number in range(3)]
    labelled = write_prepared(tmp_path / "labelled", rows)

    assert measure_archive(labelled, case, ask(case.messages.texts), ask, ("ordinary",)) is None


@pytest.fixture(scope="module")
def planning(prepared: Path, case: Case, rules: Rules) -> Planning:
    said = ask(case.messages.texts)
    lexicon = Predictions("lexicon", 1 - said.predicted, alert_score=1.0 - said.predicted)
    quick = rules.model_copy(update={"draws": 200})
    return measure_planning(prepared, case, (said, lexicon), quick, ask=ask, seed=7)


def test_plans_hours_and_labels(planning: Planning) -> None:
    assert planning.equal_work is not None
    assert [way.name for way in planning.equal_work.strategies] == [
        "challenger",
        "lexicon",
        "challenger or lexicon",
        "lexicon, challenger's order",
    ]
    assert {each.stratum for each in planning.more_labels} == {FLAGGED, NEAR, REST}


def test_gate_json_keeps_the_estimate(
    planning: Planning, good_findings: Findings, rules: Rules, tmp_path: Path
) -> None:
    table = replace(table_of(good_findings, rules), findings=replace(good_findings, planning=planning))

    write_gate_table(tmp_path / "gate.json", table)
    written = json.loads((tmp_path / "gate.json").read_text())

    assert archive_recall_of(written) == planning.archive
    assert written["findings"]["drift"]["false_alarms"]["draws"] == 200
    assert "strategies" in written["findings"]["planning"]["equal_work"]

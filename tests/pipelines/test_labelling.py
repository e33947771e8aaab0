"""From a proposal to a settled label: who is asked what, what is recorded, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import feedback
from data.dataset import read_messages
from data.feedback import Label, Proposal, Said
from data.review import reviews_of
from data.schema import MESSAGES
from data.workspace import UserError, home
from pipelines import cli
from pipelines.labelling import record, state
from pipelines.proposing import Proposed, Task, propose
from tests.serving.made_dataset import write_dataset


@pytest.fixture
def dataset(tmp_path: Path, workspace: Path) -> Path:
    """Ninety messages, of which the first thirty are labelled."""
    folder = write_dataset(tmp_path / "prepared")
    path = folder / "messages" / "part-0.parquet"
    rows = pq.read_table(path).to_pylist()
    for row in rows[30:]:
        row["label"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=MESSAGES), path)
    return folder


def asked(reviewer: str, dataset: Path, *, count: int = 4, from_test: bool = False) -> Proposed:
    return propose(reviewer, dataset, count=count, from_test=from_test, seed=7)


def say(reviewer: str, label: str, tasks: tuple[Task, ...], dataset: Path) -> None:
    record([(task.message_id, label, "") for task in tasks], reviewer, dataset, allow_new=False)


def by_id(dataset: Path) -> dict[str, dict[str, object]]:
    return {row["message_id"]: row for row in read_messages(dataset).to_pylist()}


def test_new_messages_are_unlabelled_and_not_of_the_test_split(dataset: Path) -> None:
    rows = by_id(dataset)

    tasks = asked("ada", dataset, count=100).tasks

    assert all(rows[task.message_id]["label"] is None for task in tasks)
    assert {"train", "valid"} == {rows[task.message_id]["split"] for task in tasks}
    assert {("new", "random")} == {(task.kind, task.rule) for task in tasks}
    assert {"test"} == {
        rows[task.message_id]["split"] for task in asked("ada", dataset, from_test=True).tasks
    }


def test_the_proposal_is_signed_once_and_its_rule_follows_the_label(dataset: Path) -> None:
    tasks = asked("ada", dataset).tasks
    asked("ada", dataset)
    say("ada", "ordinary", tasks, dataset)

    history = feedback.read()

    assert [task.message_id for task in tasks] == [record.message_id for _, record in history.proposals]
    assert {"random"} == {record.rule for _, record in history.labels}


def test_two_share_the_same_messages_and_a_third_is_asked_about_disputes_alone(dataset: Path) -> None:
    first = asked("ada", dataset).tasks
    say("ada", "ordinary", first, dataset)
    second = asked("bo", dataset).tasks

    assert {task.message_id for task in first} == {task.message_id for task in second}
    assert {"second"} == {task.kind for task in second}

    say("bo", "ordinary", second[:3], dataset)
    say("bo", "off_channel", second[3:], dataset)
    third = asked("cy", dataset).tasks

    assert [("third", second[3].message_id)] == [
        (task.kind, task.message_id) for task in third if task.kind != "new"
    ]
    assert not {task.message_id for task in third[1:]} & {task.message_id for task in second}


def test_a_message_that_two_were_asked_about_today_is_left_to_them(dataset: Path) -> None:
    taken = {task.message_id for reviewer in ("ada", "bo") for task in asked(reviewer, dataset).tasks}

    assert not taken & {task.message_id for task in asked("cy", dataset).tasks}


def test_what_a_model_had_said_is_recorded_and_never_shown(dataset: Path) -> None:
    message_id = next(each for each, row in by_id(dataset).items() if row["label"] is None)
    said = Said("mailroom-classifier 3", "off_channel", 0.4)
    feedback.add([Proposal(message_id, "uncertain", said)], reviewer="ada")

    record([(message_id, "ordinary", "")], "ada", dataset, allow_new=False)

    assert [Label(message_id, "ordinary", "uncertain", "", said)] == [
        label for _, label in feedback.read().labels
    ]
    shown = asked("bo", dataset, count=1).described(text=True)
    assert message_id in shown
    assert "mailroom-classifier 3" not in shown
    assert "0.4" not in shown


@pytest.mark.parametrize(
    ("message_id", "label", "said"),
    [
        ("f" * 24, "ordinary", "no message"),
        ("", "ordnary", "nothing is called 'ordnary' yet"),
        ("", "anna@harbour.example", "personal data"),
    ],
)
def test_one_wrong_row_and_nothing_is_recorded(dataset: Path, message_id: str, label: str, said: str) -> None:
    good = next(iter(by_id(dataset)))

    with pytest.raises(UserError, match=said):
        record([(good, "ordinary", ""), (message_id or good, label, "")], "ada", dataset, allow_new=False)

    assert () == feedback.read().labels


def test_a_set_is_a_set_however_it_is_written_and_its_members_must_be_known(dataset: Path) -> None:
    message_id = next(iter(by_id(dataset)))
    said = [(message_id, "off_channel | insider_information", "")]

    with pytest.raises(UserError, match="no message has several labels yet"):
        record(said, "ada", dataset, allow_new=False)
    record(said, "ada", dataset, allow_new=True)
    record([(message_id, "ordinary|off_channel", "")], "bo", dataset, allow_new=False)
    with pytest.raises(UserError, match=r"nothing is called 'off_chanel\|ordinary' yet"):
        record([(message_id, "ordinary|off_chanel", "")], "bo", dataset, allow_new=False)

    labels = [label.label for _, label in feedback.read().labels]
    assert labels == ["insider_information|off_channel", "off_channel|ordinary"]


def test_text_is_shown_only_when_asked_for(dataset: Path) -> None:
    proposed = asked("ada", dataset)

    assert "kept for the record" not in proposed.described(text=False) + repr(proposed)
    assert "kept for the record" in proposed.described(text=True)


def test_the_state_counts_disputes_and_agreement(dataset: Path) -> None:
    tasks = asked("ada", dataset).tasks
    say("ada", "ordinary", tasks[:2], dataset)
    say("ada", "off_channel", tasks[2:], dataset)
    say("bo", "ordinary", tasks[:3], dataset)

    said = state(dataset)

    assert "labelled 4 messages: 2 settled, 1 wait for a second reviewer, 1 disputed" in said
    assert f"disputed: {tasks[2].message_id}" in said
    assert "by reviewer: ada 4, bo 3" in said
    assert "Cohen's kappa 0.000" in said
    assert "the next mailroom run changes 2 labels" in said


def test_the_commands_label_import_and_count(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mailroom(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mailroom", "label", *arguments, "--dataset", str(dataset)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        with pytest.raises(SystemExit):
            cli.main()
        return "".join(capsys.readouterr())

    listed = mailroom("next", "--reviewer", "ada", "--n", "3").splitlines()
    ids = [line.split()[0] for line in listed[:3]]
    (tmp_path / "labels.csv").write_text("message_id,label\n" + "".join(f"{each},ordinary\n" for each in ids))

    assert "uncertain by no model" in listed[-1]
    assert "3 labels recorded" in mailroom("import", str(tmp_path / "labels.csv"), "--reviewer", "ada")
    assert "ordinary" in mailroom("add", ids[0], "ordinary", "--reviewer", "bo", "--reason", "a note")
    assert "1 settled, 2 wait" in mailroom("status")

    (tmp_path / "labels.csv").write_text(f"message_id,label\n{ids[0]},ordinary\n{ids[0]},off_channel\n")
    assert "labels 1 messages twice" in mailroom("import", str(tmp_path / "labels.csv"), "--reviewer", "cy")


@pytest.mark.slow
def test_the_last_classifier_chooses_what_it_is_least_sure_of(
    dataset: Path, workspace: Path, tmp_path: Path, trained: Callable[[Path], Path]
) -> None:
    trained(home() / "classifier")

    proposed = asked("ada", dataset, count=8)

    rules = [task.rule for task in proposed.tasks]
    assert (2, 6) == (rules.count("random"), rules.count("uncertain"))
    assert proposed.model.startswith("weights ")
    rows = by_id(dataset)
    assert {"train"} == {
        rows[task.message_id]["split"] for task in proposed.tasks if task.rule == "uncertain"
    }
    said = [record.said for _, record in feedback.read().proposals]
    assert all(each.model == proposed.model and each.probability is not None for each in said)
    assert reviews_of(feedback.read()) == {}


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[Path], Path]:
    """Train a small classifier on the whole made-up dataset."""

    def train(folder: Path) -> Path:
        from training.classifier import train_classifier

        train_classifier(write_dataset(tmp_path / "labelled"), folder, recipe="smoke")
        return folder

    return train

"""Nobody goes around the gate unseen: each way is tried, refused by serving, and named by the check."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_release import ACCOUNT, Proposed, pointer
from typer.testing import CliRunner

from data import feedback, ledger
from data.identity import account
from data.workspace import UserError, keys
from evaluation import decision
from evaluation.chain import check_chain
from evaluation.release import as_json
from pipelines import cli
from serving.bundle import verify_bundle
from serving.champion import CLASSIFIER, champion_models, release_to_prove
from serving.decisions import append, log_path
from serving.digest import file_digest
from serving.live import served_bundle

pytestmark = pytest.mark.slow  # MLflow's import and its database

Proposer = Callable[..., Proposed]


@pytest.fixture
def live(propose: Proposer) -> Proposed:
    """The first release, live by the bootstrap rule, and its bundle served."""
    first = propose("first")
    first.promote()
    first.deploy()
    return first


def serve(release: Proposed) -> None:
    """Go the way to what is served, up to the engines."""
    served_bundle()
    with champion_models(release_to_prove(release.release)):
        pass


def refused(release: Proposed, words: str) -> None:
    """Expect the refusal of serving, and the problem among those that the check names."""
    with pytest.raises(UserError, match=words):
        serve(release)
    problems = check_chain().problems
    assert any(words in problem for problem in problems), problems


def lines() -> list[str]:
    return log_path().read_text().splitlines(keepends=True)


def run_folder(release: Proposed) -> Path:
    """Return where MLflow keeps the evidence that reviewers read."""
    import mlflow

    gate = json.loads((release.evaluation / "gate.json").read_text())
    uri = mlflow.get_run(gate["run_id"]).info.artifact_uri
    return Path(uri.removeprefix("file://")) / "report"


def test_an_untouched_chain_holds(live: Proposed) -> None:
    serve(live)

    chain = check_chain()

    assert chain.problems == ()
    assert chain.lines == 3, "proposed, approved, deployed"
    assert {"decision log", "champion alias", "live bundle"} < {link.name for link in chain.links}


@pytest.mark.parametrize("changed", ["a line", "a record"])
def test_a_label_that_was_changed_is_named(live: Proposed, changed: str) -> None:
    feedback.add([feedback.Label("m1", "spam")], reviewer="ada")
    assert check_chain().problems == ()
    (record,) = (feedback.folder() / "records").iterdir()
    path = feedback.ledger_path() if changed == "a line" else record
    path.write_text(path.read_text().replace('"kind":"labels"', '"kind":"proposals"').replace("m1", "m2"))

    (problem,) = check_chain().problems
    assert ("line 1" if changed == "a line" else "1 records of") in problem


def test_the_command_names_each_problem_in_a_line_and_ends_with_status_1(live: Proposed) -> None:
    run = CliRunner()
    held = run.invoke(cli.app, ["review", "verify"])
    assert (0, True) == (held.exit_code, "mailroom review verify --head" in held.output)
    (run_folder(live) / "eval_report.html").write_text("<p>all is well</p>")

    failed = run.invoke(cli.app, ["review", "verify", "--head", "0" * 64])

    assert failed.exit_code == 1
    problems = [line for line in failed.output.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 2, problems
    assert any("no line has the hash" in each for each in problems)
    assert any("eval_report.html" in each for each in problems)


def test_other_rules_than_the_champions_are_said(live: Proposed, propose: Proposer) -> None:
    second = propose("second")
    assert not decision.has_other_rules(decision.show(second.promote()))
    gate = json.loads((second.evaluation / "gate.json").read_text())
    (second.evaluation / "gate.json").write_text(
        json.dumps(gate | {"digests": {**gate["digests"], "gate": "e"}})
    )

    assert decision.has_other_rules(decision.show(second.promote()))


def test_an_alias_moved_without_a_record(live: Proposed, propose: Proposer) -> None:
    import mlflow

    other = propose("other")
    mlflow.MlflowClient().set_registered_model_alias(CLASSIFIER, "champion", other.version)

    refused(live, "moved without a decision")


def test_a_changed_record(live: Proposed) -> None:
    log_path().write_text(log_path().read_text().replace("bootstrap rule", "careful review", 1))

    refused(live, "line 2: the content does not match its hash")


def test_a_deleted_last_record(live: Proposed) -> None:
    log_path().write_text("".join(lines()[:-1]))

    refused(live, "line 3: it is missing")


def test_a_deleted_last_record_whose_memory_was_deleted_too_is_told_by_a_head_kept_elsewhere(
    live: Proposed,
) -> None:
    head = check_chain().head
    log_path().write_text("".join(lines()[:-1]))
    shutil.rmtree(keys() / "heads")

    assert not [problem for problem in check_chain().problems if "decisions.jsonl" in problem]
    assert any(f"no line has the hash {head}" in problem for problem in check_chain(head).problems)


def test_a_head_kept_elsewhere_holds_while_the_log_grows(live: Proposed, propose: Proposer) -> None:
    head = check_chain().head
    propose("second").promote()

    assert check_chain(head).problems == ()


def test_a_replayed_record(live: Proposed) -> None:
    log_path().write_text("".join([*lines(), lines()[1]]))

    refused(live, "line 4: entry 1 stands where entry 3 belongs")


def test_a_record_signed_by_a_strangers_key(live: Proposed, propose: Proposer) -> None:
    second = propose("second").promote()
    known = (keys() / "trusted.json").read_text()
    decision.approve(second, reviewer="mallory", reason="it is better")
    (keys() / "trusted.json").write_text(known)

    refused(live, "signed by 'mallory', who is not in")


def test_a_record_in_the_name_of_another(live: Proposed, propose: Proposer) -> None:
    release = decision.show(propose("second").promote())
    event = {"kind": "approved", "release": as_json(release), "reviewer": "bert", "reason": "fine"}
    ledger.append(log_path(), event, signer=ledger.signer("anna"))

    refused(live, "in the name of 'bert', signed by 'anna'")


@pytest.mark.parametrize(
    ("reviewer", "outcome", "words"),
    [("anna", "promote", "'anna' trained release"), ("bert", "reject", "rejected by the gate")],
)
def test_a_record_that_no_command_would_write(
    live: Proposed, propose: Proposer, reviewer: str, outcome: str, words: str
) -> None:
    release = decision.show(propose("second", outcome=outcome).promote())
    event = {"kind": "approved", "release": as_json(release), "reviewer": reviewer, "reason": "fine"}
    ledger.append(log_path(), event, signer=ledger.signer(reviewer))

    refused(live, words)


def test_an_approval_of_a_comparison_with_a_champion_of_the_past(live: Proposed, propose: Proposer) -> None:
    late = decision.show(propose("late").promote())
    propose("second").promote(approved_by="bert")
    event = {"kind": "approved", "release": as_json(late), "reviewer": "bert", "reason": "fine"}
    ledger.append(log_path(), {**event, "account": "desk"}, signer=ledger.signer("bert"))

    refused(live, f"{late.id} was judged against")


@pytest.mark.parametrize(
    ("reviewer", "more", "words"),
    [
        ("anna", {"account": "desk"}, "'anna' trained release"),
        ("gate", {"account": "desk"}, "'gate', who is no reviewer"),
        ("bert", {"account": "desk", "reason": " "}, "without a reason"),
        ("bert", {}, "is not named"),
    ],
    ids=["author", "the gate's name", "no reason", "no account"],
)
def test_a_way_back_that_no_command_would_write(
    live: Proposed, propose: Proposer, reviewer: str, more: dict[str, str], words: str
) -> None:
    second = propose("second").promote(approved_by="bert")
    decision.roll_back(reviewer="bert", reason="it leaks")
    event = {"kind": "rolled_back", "release": as_json(decision.show(second)), "reviewer": reviewer}
    ledger.append(log_path(), {"reason": "fine", **event, **more}, signer=ledger.signer(reviewer))

    refused(live, words)


@pytest.mark.parametrize("name", ["eval_report.html", "gate.json", "predictions.parquet", "gate.yaml"])
@pytest.mark.parametrize("place", ["in MLflow", "on disk"])
def test_changed_evidence(live: Proposed, name: str, place: str) -> None:
    folder = live.evaluation if place == "on disk" else run_folder(live)
    with (folder / name).open("ab") as file:
        file.write(b" ")

    refused(live, f"{name} of release")


@pytest.mark.parametrize("name", ["eval_report.html", "gate.yaml"])
def test_evidence_that_is_gone(live: Proposed, name: str) -> None:
    (run_folder(live) / name).unlink()

    refused(live, f"{name} of release")


@pytest.mark.parametrize(
    ("model", "name"), [("classifier", "model.safetensors"), ("embedder", "config.json")]
)
def test_changed_weights_or_labels_of_a_registered_copy(live: Proposed, model: str, name: str) -> None:
    (live.models / model / name).write_text('{"name": "another"}')

    refused(live, f"the registered {model} version")


def test_rules_that_were_not_declared(propose: Proposer) -> None:
    first = propose("first")
    gate = json.loads((first.evaluation / "gate.json").read_text())
    gate["digests"]["gate"] = "0" * 64
    for folder in (first.evaluation, run_folder(first)):
        (folder / "gate.json").write_text(json.dumps(gate))

    name = first.promote()

    assert decision.current_release() is None
    with pytest.raises(UserError, match="not what was declared"):
        decision.approve(name, reviewer="bert", reason="looks fine")


def test_a_live_bundle_that_was_written_anew_with_its_manifest(live: Proposed) -> None:
    bundle = pointer().resolve()
    (bundle / "classifier" / "model.safetensors").unlink()  # it shares its bytes with the copy
    (bundle / "classifier" / "model.safetensors").write_bytes(b"other weights")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["classifier/model.safetensors"] = file_digest(bundle / "classifier/model.safetensors")
    (bundle / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(UserError, match="not the one that went live"):
        serve(live)
    problems = check_chain().problems
    assert any("its manifest was written anew" in problem for problem in problems)
    assert any("is not what release" in problem for problem in problems)


def test_an_adapter_slipped_beside_the_generator(live: Proposed) -> None:
    adapter = pointer().resolve() / "generator_adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 8}')

    with pytest.raises(UserError, match="generator_adapter"):
        verify_bundle(pointer().resolve())
    manifest = json.loads((pointer().resolve() / "manifest.json").read_text())
    manifest["files"]["generator_adapter/adapter_config.json"] = file_digest(adapter / "adapter_config.json")
    (pointer().resolve() / "manifest.json").write_text(json.dumps(manifest))
    assert any("has another adapter than release" in problem for problem in check_chain().problems)


def test_a_pointer_moved_back_to_an_earlier_bundle(live: Proposed, propose: Proposer) -> None:
    before = pointer().resolve()
    second = propose("second")
    second.promote(approved_by="bert")
    second.deploy()
    pointer().unlink()
    pointer().symlink_to(before)

    with pytest.raises(UserError, match="not the one that went live"):
        serve(second)
    assert any("the pointer was moved" in problem for problem in check_chain().problems)


def test_a_bundle_of_no_release_does_not_go_live(live: Proposed, propose: Proposer) -> None:
    second = propose("second")
    second.promote()

    with pytest.raises(UserError, match="no decision made release"):
        second.deploy()
    assert check_chain().problems == ()


@pytest.mark.parametrize(
    "reviewer", ["anna", "ANNA", " anna ", "an\u200bna", "ａｎｎａ", "аnnа", "Ánna", "a.nna", ACCOUNT]
)
def test_an_author_does_not_approve_their_own_model_however_they_write_their_name(
    live: Proposed, propose: Proposer, reviewer: str
) -> None:
    second = propose("second").promote()

    with pytest.raises(UserError, match="trained release"):
        decision.approve(second, reviewer=reviewer, reason="it is mine")
    assert decision.show(second).status == "pending"


def test_an_author_does_not_approve_under_another_name(live: Proposed, propose: Proposer) -> None:
    second = propose("second", account=account()).promote()

    with pytest.raises(UserError, match="MAILROOM_REVIEWER"):
        decision.approve(second, reviewer="bert", reason="it is mine")


def test_people_who_share_an_account_state_who_they_are(
    live: Proposed, propose: Proposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = propose("second", account=account()).promote()
    monkeypatch.setenv("MAILROOM_REVIEWER", "bert")

    decision.approve(second, reviewer="bert", reason="more data")

    written = ledger.read(log_path())[-1].event
    assert (account(), True) == (written["account"], written["is_stated"])


def test_a_decision_records_the_account(live: Proposed, propose: Proposer) -> None:
    second = propose("second").promote(approved_by="bert")

    decisions = [made for made in decision.history() if made.release_id == second]

    assert account() == decisions[-1].account


def test_the_library_writes_nothing_that_the_commands_refuse(live: Proposed, propose: Proposer) -> None:
    release = decision.show(propose("second").promote())

    with pytest.raises(UserError, match="trained release"):
        append("approved", as_json(release), reviewer="Anna", reason="it is mine")

"""No release goes live without a signed decision, and nobody can go around the log."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_release import Proposed, write_release
from made_release import champion_alias as alias

from data import ledger
from data.dataset import read_manifest
from data.workspace import UserError, home
from evaluation import decision
from evaluation.chain import check_chain
from evaluation.promote import promote
from evaluation.release import as_json, release_of
from evaluation.rollback import roll_back
from serving.archive import open_archive
from serving.champion import CLASSIFIER, champion_index, decided_champion
from serving.decisions import append, log_path
from serving.live import live_bundle, served_bundle
from serving.reviews import reviewed_releases
from tests.serving.made_dataset import write_dataset

pytestmark = pytest.mark.slow  # MLflow's import and its database

Proposer = Callable[..., Proposed]


def test_the_first_release_goes_live_by_the_bootstrap_rule(propose: Proposer) -> None:
    first = propose()

    name = first.promote()

    assert alias() == first.version
    assert decision.verify_alias() == ()
    live = decision.current_release()
    assert live is not None
    assert (live.id, live.status) == (name, "live")
    assert first.written["status"] == "live"
    assert [("proposed", "pipeline"), ("approved", "gate")] == [
        (entry.kind, entry.signer) for entry in decision.history()
    ]


@pytest.mark.parametrize("outcome", ["hold", "reject"])
def test_the_bootstrap_rule_covers_no_other_outcome(propose: Proposer, outcome: str) -> None:
    first = propose(outcome=outcome)

    first.promote()

    assert decision.current_release() is None
    assert first.written["champion"] is None
    assert first.written["status"] == "pending"


def test_the_bootstrap_rule_covers_no_rules_of_ones_own(propose: Proposer) -> None:
    first = propose()
    gate = json.loads((first.evaluation / "gate.json").read_text())
    gate["digests"]["gate"] = "e" * 64
    (first.evaluation / "gate.json").write_text(json.dumps(gate))

    name = first.promote()

    assert decision.current_release() is None
    assert decision.has_other_rules(decision.show(name))
    with pytest.raises(UserError, match="a reviewer must decide"):
        decision.bootstrap(name)


def test_a_second_release_waits_for_a_reviewer(propose: Proposer) -> None:
    first, second = propose("first"), propose("second")
    first.promote()

    name = second.promote()

    assert [name] == [release.id for release in decision.pending()]
    assert f"mailroom review approve {name}" in str(decision.show(name))
    assert alias() == first.version
    champion = second.written["champion"]
    assert isinstance(champion, dict)
    assert champion["classifier_version"] == first.version


def test_proposing_twice_is_proposing_once(propose: Proposer) -> None:
    first = propose()

    assert first.promote() == first.promote()
    assert len(decision.history()) == 2


def test_a_release_outlives_the_folders_that_its_steps_were_given(propose: Proposer, log_home: Path) -> None:
    """On a cluster every step has folders of its own; only the workspace is shared."""
    step = log_home / "step"
    made = write_release(step, outcome="promote", author="anna", account="anna")
    prepared = write_dataset(step / "prepared")
    digest = read_manifest(prepared).digest

    name = promote(made.evaluation, made.index, log_home / "release", prepared=prepared).id
    for folder in (made.evaluation, made.index, prepared):
        shutil.rmtree(folder)

    champion = decided_champion()
    assert champion is not None
    assert (champion_index(champion) / "index.json").is_file()
    assert (Path(decision.show(name).evaluation) / "gate.json").is_file()
    assert check_chain().problems == ()
    assert [(name, True)] == [(each.id, each.has_report) for each in reviewed_releases()]
    archive = open_archive(str(prepared), digest)
    assert archive is not None
    archive.close()
    assert {home() / "kept" / part for part in ("dataset", "evaluation", "index")} == set(
        (home() / "kept").iterdir()
    )


def test_what_lies_in_the_workspace_is_not_copied(propose: Proposer) -> None:
    first = propose()

    first.promote(prepared=str(write_dataset(home() / "prepared")))

    assert str(first.index) == first.written["index"]
    assert not (home() / "kept").exists()


def test_a_reviewer_approves_and_rolls_back(propose: Proposer) -> None:
    first, second = propose("first"), propose("second", outcome="hold")
    earlier, name = first.promote(), second.promote()

    decision.approve(name, reviewer="bert", reason="more data")
    assert alias() == second.version
    back = roll_back(reviewer="carla", reason="complaints from the desk")

    assert back.release.id == earlier
    assert alias() == first.version
    assert decision.show(name).status == "superseded"
    assert decision.verify_alias() == ()


def test_of_two_who_decide_at_once_one_is_refused_and_the_log_holds(
    propose: Proposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose("first").promote()
    name = propose("second").promote()
    append, refused = ledger.append, []

    def slowly(*given: Any, **more: Any) -> ledger.Entry:
        time.sleep(0.3)
        return append(*given, **more)

    def decide(reviewer: str) -> None:
        try:
            decision.reject(name, reviewer=reviewer, reason="too few messages")
        except UserError as error:
            refused.append(str(error))

    monkeypatch.setattr(ledger, "append", slowly)
    reviewers = [threading.Thread(target=decide, args=(reviewer,)) for reviewer in ("bert", "carla")]
    for each in reviewers:
        each.start()
    for each in reviewers:
        each.join()

    assert [f"release {name} was rejected" in words or "decided" in words for words in refused] == [True]
    assert ["rejected"] == [each.kind for each in decision.history() if each.release_id == name][1:]


def test_a_rejected_release_cannot_be_approved_later(propose: Proposer) -> None:
    propose("first").promote()
    name = propose("second").promote()
    decision.reject(name, reviewer="bert", reason="too many alerts")

    with pytest.raises(UserError, match="rejected, not pending"):
        decision.approve(name, reviewer="carla", reason="why not")
    assert decision.pending() == ()


@pytest.mark.parametrize(
    ("outcome", "reviewer", "reason", "words"),
    [
        ("promote", "Anna ", "it is mine", "somebody else"),
        ("promote", "bert", "  ", "needs a reason"),
        ("promote", "", "fine", "no reviewer"),
        ("promote", "gate", "fine", "no reviewer"),
        ("reject", "bert", "I like it", "rejected by the gate"),
    ],
    ids=["author", "no reason", "nobody", "the gate's name", "rejected by the gate"],
)
def test_nobody_decides_who_may_not(
    propose: Proposer, outcome: str, reviewer: str, reason: str, words: str
) -> None:
    first, second = propose("first"), propose("second", outcome=outcome)
    first.promote()
    name = second.promote()

    with pytest.raises(UserError, match=words):
        decision.approve(name, reviewer=reviewer, reason=reason)
    assert alias() == first.version


def test_a_comparison_with_a_champion_of_the_past_approves_nothing(propose: Proposer) -> None:
    first, second, third = propose("first"), propose("second"), propose("third")
    first.promote()
    late, better = second.promote(), third.promote()
    decision.approve(better, reviewer="bert", reason="better")

    with pytest.raises(UserError, match=rf"{late} was judged against .*{better} is the champion; evaluate"):
        decision.approve(late, reviewer="bert", reason="better than the first")
    assert (str(second.evaluation),) == decision.outdated_evaluations()
    assert alias() == third.version


def test_a_release_of_earlier_days_is_judged_by_its_gate(propose: Proposer) -> None:
    first, second, third = propose("first"), propose("second"), propose("third")
    first.promote()
    second.judge()
    stated = as_json(release_of(second.evaluation, second.index))
    stated.pop("challenged")
    append("proposed", stated, reviewer="pipeline", reason="")
    third.promote(approved_by="bert")

    with pytest.raises(UserError, match="evaluate again: mailroom run"):
        decision.approve(stated["id"], reviewer="bert", reason="better than the first")
    roll_back(reviewer="bert", reason="complaints from the desk")
    assert "live" == decision.approve(stated["id"], reviewer="bert", reason="now").status


def test_a_changed_report_cannot_be_approved(propose: Proposer) -> None:
    first, second = propose("first"), propose("second")
    first.promote()
    name = second.promote()
    (second.evaluation / "eval_report.html").write_text("<p>all is well</p>")

    with pytest.raises(UserError, match="not what the gate wrote"):
        decision.approve(name, reviewer="bert", reason="fine")


def test_a_report_changed_in_mlflow_cannot_be_approved(propose: Proposer) -> None:
    import mlflow

    first, second = propose("first"), propose("second")
    first.promote()
    name = second.promote()
    (second.evaluation / "gate.json").unlink()
    with mlflow.start_run(run_id=decision.show(name).run_id):
        mlflow.log_text("{}", "report/gate.json")

    with pytest.raises(UserError, match="not what the gate wrote"):
        decision.approve(name, reviewer="bert", reason="fine")


def test_a_moved_alias_is_noticed_and_put_back(propose: Proposer) -> None:
    import mlflow

    first, second = propose("first"), propose("second")
    first.promote()
    mlflow.MlflowClient().set_registered_model_alias(CLASSIFIER, "champion", second.version)

    assert "moved without a decision" in decision.verify_alias()[0]
    decision.restore_alias()
    assert decision.verify_alias() == ()


def test_a_changed_log_stops_every_decision(propose: Proposer) -> None:
    first, second = propose("first"), propose("second")
    first.promote()
    log = log_path()
    log.write_text(log.read_text().replace('"outcome":"promote"', '"outcome":"hold"', 1))

    for decide in (decision.pending, decision.current_release, decision.history, second.promote):
        with pytest.raises(UserError, match="does not verify"):
            decide()


def test_an_evaluation_of_another_index_cannot_be_proposed(propose: Proposer) -> None:
    first, second = propose("first"), propose("second")

    with pytest.raises(UserError, match="another index"):
        decision.propose(first.evaluation, second.index)


def test_an_unknown_release_says_what_waits(propose: Proposer) -> None:
    propose("first").promote()
    waiting = propose("second").promote()

    with pytest.raises(UserError, match=waiting):
        decision.show("nothing")


def test_there_is_nothing_to_roll_back_to_at_first(propose: Proposer) -> None:
    propose("first").promote()

    with pytest.raises(UserError, match="nothing to roll back"):
        roll_back(reviewer="bert", reason="no")


def test_a_rollback_makes_the_former_bundle_live(propose: Proposer) -> None:
    first, second = propose("first"), propose("second")
    first.promote()
    former = first.deploy()
    second.promote(approved_by="bert")
    second.deploy()

    done = roll_back(reviewer="carla", reason="complaints from the desk")

    assert done.problems == ()
    assert served_bundle().digest == former.digest == done.bundle
    assert check_chain().problems == ()


def test_a_rollback_to_what_never_was_deployed_says_how_to_deploy_it(propose: Proposer) -> None:
    first, second = propose("first"), propose("second")
    first.promote()
    second.promote(approved_by="bert")
    present = second.deploy()

    done = roll_back(reviewer="carla", reason="complaints from the desk")

    assert "mailroom run" in str(done)
    assert live_bundle().digest == present.digest


def test_rolling_back_twice_never_leads_forward(propose: Proposer) -> None:
    names = ("first", "second", "third")
    made = [propose(name) for name in names]
    first, second, third = (
        each.promote(approved_by="bert" if place else "") for place, each in enumerate(made)
    )

    back = [roll_back(reviewer="carla", reason="complaints").release.id for _ in range(2)]

    assert back == [second, first]
    assert alias() == made[0].version
    assert roll_back(reviewer="carla", reason="it was the data", to=third[:6]).release.id == third
    with pytest.raises(UserError, match="these were live"):
        roll_back(reviewer="carla", reason="no", to=third)


def test_an_author_goes_back_to_their_own_only_where_it_lies_below(propose: Proposer) -> None:
    first, second = propose("first").promote(), propose("second").promote(approved_by="bert")
    assert first == roll_back(reviewer="anna", reason="mine was better").release.id

    with pytest.raises(UserError, match=r"'anna' trained release .*; somebody else has to decide"):
        roll_back(reviewer="anna", reason="no, this one", to=second)

    assert decision.current_release() == decision.show(first)
    assert second == roll_back(reviewer="carla", reason="it was the data", to=second).release.id


def test_a_gateway_turns_back_while_mlflow_does_not_answer(
    propose: Proposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    first, second = propose("first"), propose("second")
    first.promote()
    former = first.deploy()
    second.promote(approved_by="bert")
    second.deploy()

    def silent(*_: object) -> None:
        raise mlflow.MlflowException("no connection")

    with monkeypatch.context() as patch:
        patch.setattr(decision, "move_alias", silent)
        done = roll_back(reviewer="carla", reason="complaints from the desk")

    assert served_bundle().digest == former.digest
    assert "mailroom review restore" in done.problems[0]
    assert alias() == second.version
    decision.restore_alias()
    assert alias() == first.version

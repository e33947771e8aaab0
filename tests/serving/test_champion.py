"""Nothing is served that nobody decided on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_decisions import decide

from data.workspace import UserError, home
from serving.champion import champion_index, decided_champion, is_decided, release_to_prove
from serving.decisions import deployed_bundle, record_deployed, verified
from serving.digest import file_digest


def stated(folder: Path, name: str) -> Path:
    """Write what 06_promote proposed."""
    release = next(each.event["release"] for each in verified() if each.event["release"]["id"] == name)
    (folder / "release.json").write_text(json.dumps(release))
    return folder


def test_a_proposal_is_proved_before_anything_was_live_and_is_not_decided(workspace: Path, tmp_path: Path):
    decide("proposed", "abc")

    assert decided_champion() is None
    assert release_to_prove(stated(tmp_path, "abc")).id == "abc"
    assert not is_decided("abc")


def test_a_challenger_is_proved_while_it_waits_once_the_champion_is_live(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serving.champion._check_aliases", lambda _: None)  # MLflow's part
    monkeypatch.setattr("serving.champion.check_evidence", lambda _: None)
    decide("approved", "first")
    decide("proposed", "second")
    folder = stated(tmp_path, "second")
    found = [release_to_prove(folder).id]

    record_deployed("first", "b" * 64)
    (home() / "live").mkdir()
    found.append(release_to_prove(folder).id)
    decide("rejected", "second")
    found.append(release_to_prove(folder).id)

    assert ["first", "second", "first"] == found


def test_what_the_gate_rejected_is_not_proved(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serving.champion._check_aliases", lambda _: None)
    monkeypatch.setattr("serving.champion.check_evidence", lambda _: None)
    decide("approved", "first")
    record_deployed("first", "b" * 64)
    (home() / "live").mkdir()
    decide("proposed", "second", outcome="reject")
    decide("proposed", "third", challenged="another")

    assert ["first", "first"] == [release_to_prove(stated(tmp_path, name)).id for name in ("second", "third")]


def test_a_folder_without_a_release_is_refused_with_the_way_out(workspace: Path, tmp_path: Path):
    with pytest.raises(UserError, match="06_promote"):
        release_to_prove(tmp_path)


def test_the_last_decision_counts(workspace: Path):
    decide("approved", "first")
    decide("approved", "second")
    decide("rejected", "third")
    assert decided_champion().id == "second"  # type: ignore[union-attr]

    decide("rolled_back", "first")
    assert decided_champion().id == "first"  # type: ignore[union-attr]


def test_a_release_that_nobody_approved_does_not_go_live(workspace: Path):
    decide("approved", "first")
    record_deployed("first", "b" * 64)
    decide("proposed", "second")

    for release in ("second", ""):
        with pytest.raises(UserError, match="no decision made release"):
            record_deployed(release, "c" * 64)
        assert not is_decided(release)
    assert deployed_bundle(verified()) == "b" * 64


def test_the_same_bundle_goes_live_once(workspace: Path):
    decide("approved", "first")

    record_deployed("first", "b" * 64)
    record_deployed("first", "b" * 64)

    assert ["proposed", "approved", "deployed"] == [entry.event["kind"] for entry in verified()]


def test_a_changed_log_stops_everything(workspace: Path):
    decide("approved", "first")
    path = home() / "decisions.jsonl"
    path.write_text(path.read_text().replace("first", "other"))

    with pytest.raises(UserError, match="does not verify: line 1:"):
        decided_champion()


def test_the_index_is_found_in_a_kept_bundle_when_a_later_run_overwrote_it(workspace: Path, tmp_path: Path):
    kept = home() / "bundles" / "abc" / "index"
    kept.mkdir(parents=True)
    (kept / "index.json").write_text(json.dumps({"rows": 3}))
    decide("approved", "first", tmp_path / "overwritten", file_digest(kept / "index.json"))

    assert champion_index(decided_champion()) == kept  # type: ignore[arg-type]


def test_an_index_that_is_gone_is_said(workspace: Path, tmp_path: Path):
    decide("approved", "first", tmp_path / "overwritten", "0" * 64)

    with pytest.raises(UserError, match="is gone"):
        champion_index(decided_champion())  # type: ignore[arg-type]

"""Who decided what, when, on which evidence: signed, and written before the alias moves.

The decision log (`serving.decisions` at ``home()/decisions.jsonl``) is the truth; the alias ``champion``
in MLflow follows it. MLflow itself keeps no history of an alias and asks nobody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, cast

from data.identity import account
from data.workspace import UserError
from evaluation.alias import alias_problems, move_alias
from evaluation.release import Release, Status, as_json, challenged_by, from_json, release_of
from evaluation.rules import load_rules
from serving import decisions
from serving.decisions import (
    BOOTSTRAP,
    MADE_LIVE,
    append,
    is_nobody,
    outdated,
    refusal,
    standing,
    statuses,
    verified,
)
from serving.judged import check_evidence, read_gate

BOOTSTRAP_REASON = "bootstrap rule: the gate said promote and there was no champion"


class Who(TypedDict):
    """Who sits at the machine, beside the name that is given."""

    account: str
    is_stated: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the history."""

    time: str
    kind: str  # proposed | approved | rejected | rolled_back | deployed
    release_id: str
    reviewer: str
    reason: str
    signer: str
    account: str  # of the operating system

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.time[:19]}  {self.release_id}  {self.kind} by {self.reviewer}{why}"


def propose(evaluation: str | Path, index: str | Path) -> str:
    """Write the release into the log, once, and return its id."""
    release = release_of(evaluation, index)
    decisions.propose(as_json(release))
    return release.id


def releases() -> dict[str, Release]:
    """Return every release with its status, oldest first."""
    found = statuses(verified()).values()
    return {stated["id"]: replace(from_json(stated), status=cast(Status, status)) for stated, status in found}


def pending() -> tuple[Release, ...]:
    """Return the releases that wait for a reviewer; the gate's rejects wait for nobody."""
    return tuple(
        release
        for release in releases().values()
        if release.status == "pending" and release.outcome != "reject"
    )


def current_release() -> Release | None:
    """Return the release that is live by the log, whatever the alias says."""
    return next((release for release in releases().values() if release.status == "live"), None)


def outdated_evaluations() -> tuple[str, ...]:
    """Return the folders of pending evaluations that compare with a release that is no longer live."""
    live = _live_id()
    return tuple(
        release.evaluation
        for release in releases().values()
        if release.status == "pending" and release.challenged not in (None, live)
    )


def _live_id() -> str:
    live = current_release()
    return live.id if live else ""


def has_other_rules(release: Release) -> bool:
    """Say whether the champion was judged by other rules; before any champion, the shipped ones."""
    champion = current_release()
    usual = champion.digests["gate"] if champion else load_rules().digest
    return usual != release.digests["gate"]


def history() -> tuple[Decision, ...]:
    """Return all decisions, oldest first."""
    return tuple(
        Decision(
            entry.time,
            entry.event["kind"],
            entry.event["release"]["id"],
            entry.event["reviewer"],
            entry.event["reason"],
            entry.signer,
            entry.event.get("account", ""),
        )
        for entry in verified()
    )


def show(release_id: str) -> Release:
    """Return one release.

    Raises:
        UserError: no release starts with these letters, or several do.
    """
    matching = [release for name, release in releases().items() if release_id and name.startswith(release_id)]
    if len(matching) != 1:
        waiting = ", ".join(release.id for release in pending()) or "none"
        raise UserError(f"no single release is called {release_id!r}; waiting for a decision: {waiting}")
    return matching[0]


def approve(release_id: str, *, reviewer: str, reason: str) -> Release:
    """Make a pending release the champion.

    Raises:
        UserError: no reason, the reviewer is an author, the gate rejected it, it is not pending, the
            evidence is not what the gate wrote, or compares with a release that is no longer live.
    """
    release = _decidable(release_id, reviewer, reason)
    if problem := refusal(as_json(release), reviewer=reviewer, **_who(reviewer)):
        raise UserError(problem)
    if release.outcome == "reject":
        raise UserError(
            f"release {release.id} was rejected by the gate; no reviewer can approve it: train again"
        )
    check_evidence(release)
    if problem := outdated(release.id, challenged_by(read_gate(release)), _live_id()):
        raise UserError(problem)
    return _make_live("approved", release, reviewer=reviewer, reason=reason)


def is_covered_by_bootstrap(release: Release) -> bool:
    """Say whether it may go live undecided: the first, which the gate promotes by the shipped rules."""
    is_promoted = release.status == "pending" and release.outcome == "promote"
    return is_promoted and current_release() is None and not has_other_rules(release)


def bootstrap(release_id: str) -> Release:
    """Make the first release the champion, where the bootstrap rule covers it."""
    release = show(release_id)
    if not is_covered_by_bootstrap(release):
        raise UserError(f"the bootstrap rule does not cover release {release.id}; a reviewer must decide")
    check_evidence(release)
    return _make_live("approved", release, reviewer=BOOTSTRAP, reason=BOOTSTRAP_REASON)


def reject(release_id: str, *, reviewer: str, reason: str) -> Release:
    """Turn a pending release down; an author may withdraw their own."""
    release = _decidable(release_id, reviewer, reason)
    _write("rejected", release, reviewer=reviewer, reason=reason)
    return replace(release, status="rejected")


def roll_back(*, reviewer: str, reason: str, to: str = "") -> Release:
    """Sign that an earlier release is the champion again: the one below it, or ``to``.

    Rolling back twice goes two releases back, and never forward to what was just left. To any other than
    the one below is an approval, which its author cannot give. Bundle and alias follow in
    `evaluation.rollback`.

    Raises:
        UserError: no reason or reviewer, no such release was live before, or the reviewer is an author.
    """
    check_reviewer(reviewer, reason)
    lived = [from_json(entry.event["release"]) for entry in verified() if entry.event["kind"] in MADE_LIVE]
    if to:
        earlier = [release for release in lived if release.id.startswith(to) and release.id != lived[-1].id]
        if len({release.id for release in earlier}) != 1:
            known = ", ".join(dict.fromkeys(release.id for release in lived)) or "none"
            raise UserError(f"no single earlier release is called {to!r}; these were live: {known}")
    else:
        below = standing([release.id for release in lived])[:-1]
        earlier = [release for release in lived if release.id == below[-1]] if below else []
    if not earlier:
        raise UserError("no release was live before the current one; there is nothing to roll back to")
    release = replace(earlier[-1], status="live")
    _write("rolled_back", release, reviewer=reviewer, reason=reason)
    return release


def verify_alias() -> tuple[str, ...]:
    """Return what does not match between the log and the aliases in MLflow; nothing is good."""
    return alias_problems(current_release())


def restore_alias() -> None:
    """Move the aliases to where the log says: after an interruption, or after somebody moved them."""
    release = current_release()
    if release is not None:
        move_alias(release)


def _decidable(release_id: str, reviewer: str, reason: str) -> Release:
    check_reviewer(reviewer, reason)
    release = show(release_id)
    if release.status != "pending":
        raise UserError(f"release {release.id} is {release.status}, not pending; see: mailroom review list")
    return release


def check_reviewer(reviewer: str, reason: str) -> None:
    """Refuse to go on without a reason and a person's name.

    Raises:
        UserError: one of them is missing, or the name is one of ours.
    """
    if not reason.strip():
        raise UserError("a decision needs a reason; give one: --reason TEXT")
    if is_nobody(reviewer):
        raise UserError(f"{reviewer!r} is no reviewer; give your own name: --reviewer NAME")


def _who(reviewer: str) -> Who:
    """Return the account that decides, and whether MAILROOM_REVIEWER states the reviewer's name for it."""
    return {"account": account(), "is_stated": os.environ.get("MAILROOM_REVIEWER") == reviewer}


def _make_live(kind: str, release: Release, *, reviewer: str, reason: str) -> Release:
    """Write the decision, move the alias, look whether it stands: in this order no move is unsigned."""
    _write(kind, replace(release, status="live"), reviewer=reviewer, reason=reason)
    move_alias(release)
    if problems := verify_alias():
        raise RuntimeError("; ".join(problems))
    return replace(release, status="live")


def _write(kind: str, release: Release, *, reviewer: str, reason: str) -> None:
    append(kind, as_json(release), reviewer=reviewer, reason=reason, **_who(reviewer))

"""The decision log, read only as it must be: every line signed, every rule kept.

The rules that are asked before a decision is written are asked again of what stands there: a key of
this machine signs any line, also one that no command would have written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data import ledger
from data.identity import person
from data.workspace import UserError, home

BOOTSTRAP = "gate"  # the signer of the first release, by the stated rule
MACHINE = "pipeline"  # the signer of proposals and deployments: it decides nothing
MADE_LIVE = ("approved", "rolled_back")
KINDS = ("proposed", "rejected", "deployed", *MADE_LIVE)

Release = Mapping[str, Any]  # as `evaluation.release.as_json` writes it


def log_path() -> Path:
    """Return where the decisions are written."""
    return home() / "decisions.jsonl"


def verified() -> tuple[ledger.Entry, ...]:
    """Return the log's lines after checking every hash, signature and rule.

    Raises:
        UserError: the log is not as it was written, or holds what nobody may write; it names the line.
    """
    try:
        entries = ledger.verify(log_path())
    except ledger.LedgerError as error:
        raise _broken_log(str(error)) from error
    for problem in broken_rules(entries):
        raise _broken_log(problem)
    return entries


def _broken_log(problem: str) -> UserError:
    return UserError(
        f"the decision log {log_path()} does not verify: {problem}; nothing is decided or served: "
        "restore it from a backup"
    )


def append(kind: str, release: Release, *, reviewer: str, reason: str, **more: Any) -> None:
    """Write a line, signed in the reviewer's name; nothing is added to a log that does not hold.

    Raises:
        UserError: a rule forbids it as the log stands now, whatever it was when somebody looked.
    """
    with ledger.turn(log_path()):
        _add(verified(), kind, release, reviewer=reviewer, reason=reason, **more)


def propose(release: Release) -> None:
    """Write that a release was proposed, once."""
    with ledger.turn(log_path()):
        entries = verified()
        if release["id"] not in statuses(entries):
            _add(entries, "proposed", release, reviewer=MACHINE, reason="")


def _add(
    entries: Sequence[ledger.Entry], kind: str, release: Release, *, reviewer: str, reason: str, **more: Any
) -> None:
    event = {"kind": kind, "release": dict(release), "reviewer": reviewer, "reason": reason.strip(), **more}
    for problem in _problems(event, reviewer, _log_of(entries)):
        raise UserError(problem)
    ledger.append(log_path(), event, signer=ledger.signer(reviewer))


def made_live() -> list[Release]:
    """Return every release that was ever made live, oldest first."""
    return [entry.event["release"] for entry in verified() if entry.event["kind"] in MADE_LIVE]


def statuses(entries: Sequence[ledger.Entry]) -> dict[str, tuple[Release, str]]:
    """Return every release as its last line has it, with what became of it, oldest first.

    That is pending, rejected, live or superseded.
    """
    found: dict[str, tuple[Release, str]] = {}
    for entry in entries:
        kind, release = entry.event["kind"], entry.event["release"]
        if kind == "deployed":
            continue
        if kind in MADE_LIVE:
            for name, (other, status) in found.items():
                found[name] = (other, "superseded" if status == "live" else status)
        found[release["id"]] = (release, {"proposed": "pending", "rejected": "rejected"}.get(kind, "live"))
    return found


def record_deployed(release_id: str, bundle: str, why: str = "", *, instead_of: str = "") -> None:
    """Write down the digest of the bundle that goes live for a release, and why if it is no new one.

    The release is the one that was decided last: who rolls back is not overtaken by a deployment that was
    still on its way. With ``instead_of``, the digest of a bundle on trial, it may be any that was live
    before, as long as that bundle is what is live.

    Raises:
        UserError: the release may not go live, or another bundle has gone live meanwhile.
    """
    with ledger.turn(log_path()):
        _record_deployed(verified(), release_id, bundle, why, instead_of)


def _record_deployed(
    entries: Sequence[ledger.Entry], release_id: str, bundle: str, why: str, instead_of: str
) -> None:
    lived = [entry.event["release"] for entry in entries if entry.event["kind"] in MADE_LIVE]
    release = next((each for each in reversed(lived) if each["id"] == release_id), None)
    if release is None:
        raise UserError(
            f"no decision made release {release_id or '(folders)'} live; it is not served: "
            "see mailroom review list"
        )
    if instead_of and deployed_bundle(entries) != instead_of:
        raise UserError(f"bundle {instead_of[:12]} is no longer live; what went live meanwhile stays")
    if not instead_of and lived[-1]["id"] != release_id:
        raise UserError(
            f"release {lived[-1]['id']} was decided after {release_id}, which does not go live: "
            "see mailroom review list"
        )
    if deployed_bundle(entries) != bundle:
        reason = deployment_reason(bundle)
        reason = f"{reason}: {why}" if why else reason
        _add(entries, "deployed", release, reviewer=MACHINE, reason=reason, bundle=bundle)


def deployment_reason(bundle: str) -> str:
    """Return the reason that stands in the log where a bundle goes live because it was deployed."""
    return f"bundle {bundle[:12]}"


def is_rollback(release_id: str) -> bool:
    """Say whether the last decision went back to this release."""
    lived = [entry.event for entry in verified() if entry.event["kind"] in MADE_LIVE]
    return bool(lived) and (lived[-1]["kind"], lived[-1]["release"]["id"]) == ("rolled_back", release_id)


def bundles_of(entries: Sequence[ledger.Entry], release_id: str) -> list[str]:
    """Return the digests of the bundles that went live for a release, oldest first."""
    return [
        str(entry.event["bundle"])
        for entry in entries
        if entry.event["kind"] == "deployed" and entry.event["release"]["id"] == release_id
    ]


def deployed_bundle(entries: Sequence[ledger.Entry]) -> str:
    """Return the digest of the bundle that went live last; "" when none did."""
    found = [str(entry.event["bundle"]) for entry in entries if entry.event["kind"] == "deployed"]
    return found[-1] if found else ""


def standing(lived: Sequence[str]) -> list[str]:
    """Return the releases that stand on one another, the live one last; a rollback takes the top off."""
    found: list[str] = []
    for name in lived:
        found = [*(found[: found.index(name)] if name in found else found), name]
    return found


def is_nobody(reviewer: str) -> bool:
    """Say whether a name is none, or one of ours, however it is written."""
    return person(reviewer) in {"", person(BOOTSTRAP), person(MACHINE)}


def outdated(release_id: str, challenged: str, live: str) -> str:
    """Return what is wrong with a comparison when another release is live than the one it names."""
    if challenged == live:
        return ""
    return (
        f"release {release_id} was judged against {challenged or 'no champion'}, and "
        f"{live or 'none'} is the champion; evaluate again: mailroom run"
    )


def refusal(release: Release, *, reviewer: str, account: str, is_stated: bool) -> str:
    """Return why somebody may not approve a release; "" when they may.

    Nobody approves what they trained, however they write their name. On the operating system's account
    that trained it, another name counts only when MAILROOM_REVIEWER states it: ``is_stated``.
    """
    accounts = release.get("accounts", ())
    authors = {person(name) for name in (*release["authors"], *accounts)}
    if is_nobody(reviewer):
        return f"{reviewer!r} is no reviewer; give your own name: --reviewer NAME"
    if not release["authors"] or person(reviewer) in authors:
        return f"{reviewer!r} trained release {release['id']}; somebody else has to decide"
    if accounts and not account:
        return f"the account that decided on release {release['id']} is not named"
    if account in accounts and not is_stated:
        return (
            f"the account {account!r} trained release {release['id']}; decide from another one, or, where "
            "people share it, say who you are by MAILROOM_REVIEWER: both are signed into the log"
        )
    return ""


def broken_rules(entries: Sequence[ledger.Entry]) -> Iterator[str]:
    """Yield what stands in the log and could not have been decided, line by line."""
    log = _Log()
    for number, entry in enumerate(entries, start=1):
        for problem in _problems(entry.event, entry.signer, log):
            yield f"line {number}: {problem}"
        log.add(entry.event)


@dataclass(slots=True)
class _Log:
    """What the lines so far amount to."""

    proposed: dict[str, Release] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    lived: list[str] = field(default_factory=list)

    def add(self, event: Mapping[str, Any]) -> None:
        name = event["release"]["id"]
        if event["kind"] == "proposed":
            self.proposed[name] = event["release"]
            self.pending.add(name)
        elif event["kind"] in ("rejected", *MADE_LIVE):
            self.pending.discard(name)
        if event["kind"] in MADE_LIVE:
            self.lived.append(name)


def _log_of(entries: Sequence[ledger.Entry]) -> _Log:
    log = _Log()
    for entry in entries:
        log.add(entry.event)
    return log


def _problems(event: Mapping[str, Any], signer: str, log: _Log) -> Iterator[str]:
    kind, release, reviewer = event["kind"], event["release"], event["reviewer"]
    name, known = release["id"], log.proposed.get(release["id"])
    if kind not in KINDS:
        yield f"no decision is called {kind!r}"
    if signer != reviewer:
        yield f"{kind} in the name of {reviewer!r}, signed by {signer!r}"
    if (kind in {"proposed", "deployed"}) != (reviewer == MACHINE):
        yield f"release {name} was {kind} by {reviewer!r}"
    if kind == "proposed":
        if known is not None:
            yield f"release {name} was proposed before"
        return
    if known is None:
        yield f"release {name} was never proposed"
    elif _content(release) != _content(known):
        yield f"release {name} is not what was proposed"
    if kind in {"rejected", "approved"} and name not in log.pending:
        yield f"release {name} was decided before"
    if kind in {"rolled_back", "deployed"} and name not in log.lived:
        yield f"release {name} never was live"
    if kind in {"rejected", *MADE_LIVE} and (problem := _undecided(event, log)):
        yield problem


def _undecided(event: Mapping[str, Any], log: _Log) -> str:
    """Return why nobody may decide so; "" when they may."""
    kind, name, reviewer = event["kind"], event["release"]["id"], event["reviewer"]
    if not event.get("reason", "").strip():
        return f"release {name} was {kind} without a reason"
    if kind == "approved":
        return _unapproved(event, log)
    if is_nobody(reviewer):
        return f"release {name} was {kind} by {reviewer!r}, who is no reviewer"
    if kind == "rolled_back" and name not in standing(log.lived)[-2:-1]:
        return _refusal(event)  # to any but the release below it is an approval: it may have been left
    return ""


def _unapproved(event: Mapping[str, Any], log: _Log) -> str:
    release = event["release"]
    if release["outcome"] == "reject":
        return f"release {release['id']} was rejected by the gate; no reviewer can approve it: train again"
    live, challenged = log.lived[-1] if log.lived else "", release.get("challenged")
    if challenged is not None and (problem := outdated(release["id"], challenged, live)):
        return problem
    if event["reviewer"] == BOOTSTRAP:
        covered = release["outcome"] == "promote" and not log.lived
        return "" if covered else f"the bootstrap rule does not cover release {release['id']}"
    return _refusal(event)


def _refusal(event: Mapping[str, Any]) -> str:
    return refusal(
        event["release"],
        reviewer=event["reviewer"],
        account=event.get("account", ""),
        is_stated=event.get("is_stated", False),
    )


def _content(release: Release) -> Release:
    return {name: value for name, value in release.items() if name != "status" and value is not None}

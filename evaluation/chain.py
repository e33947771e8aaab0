"""The whole chain of evidence, link by link: from the log's first line to the bundle that is live."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data import feedback, governance, ledger
from data.workspace import UserError, tracking
from evaluation.alias import alias_problems
from evaluation.release import Release, from_json
from serving.bundle import Bundle, verify_bundle
from serving.champion import CLASSIFIER, EMBEDDER, download_model
from serving.decisions import MADE_LIVE, broken_rules, deployed_bundle, log_path
from serving.judged import copy_problem, evidence_problems
from serving.live import live_bundle, strays


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what was looked at, and what is wrong with it (nothing is good)."""

    name: str
    looked_at: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """All links, and the log's last line: noted elsewhere, its hash shows later what was cut off."""

    links: tuple[Link, ...]
    lines: int
    head: str

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, in the order of the links."""
        return tuple(problem for link in self.links for problem in link.problems)


def check_chain(head: str = "") -> Chain:
    """Check everything, and go on after a problem: each is named once.

    ``head`` is the hash that an earlier check printed; what followed it may have grown, never changed.
    """
    tracking()
    entries, problems = _entries(head)
    releases = _releases(entries)
    live = _live(entries, releases)
    links = (
        Link("decision log", f"{len(entries)} lines: hashes, signatures, rules, last line", problems),
        _governance(),
        _labels(),
        *(_release(release) for release in releases.values()),
        Link(
            "champion alias", f"stands on {live.id}" if live else "there is no champion", alias_problems(live)
        ),
        _bundle(entries, live),
    )
    return Chain(links, len(entries), entries[-1].hash if entries else "")


def _entries(head: str) -> tuple[tuple[ledger.Entry, ...], tuple[str, ...]]:
    """Return the log's lines, as far as they can be read, and what is wrong with them."""
    problems = []
    try:
        entries = ledger.verify(log_path())
    except ledger.LedgerError as error:
        problems.append(f"{log_path()}: {error}")
        entries = _readable()
    problems += [f"{log_path()}: {problem}" for problem in broken_rules(entries)]
    if head and head not in {entry.hash for entry in entries}:
        problems.append(f"{log_path()}: no line has the hash {head}; it was cut off or replaced since")
    return entries, tuple(problems)


def _readable() -> tuple[ledger.Entry, ...]:
    try:
        return ledger.read(log_path())
    except ledger.LedgerError:
        return ()


def _governance() -> Link:
    try:
        lines = len(ledger.verify(governance.ledger_path()))
    except ledger.LedgerError as error:
        return Link(
            "governance ledger", "hashes, signatures, last line", (f"{governance.ledger_path()}: {error}",)
        )
    return Link("governance ledger", f"{lines} lines: hashes, signatures, last line", ())


def _labels() -> Link:
    looked_at = "lines, last line, records"
    try:
        said = feedback.read()
    except UserError as error:
        return Link("reviewers' labels", looked_at, (str(error),))
    return Link("reviewers' labels", f"{len(said.events)} records, {said.erased} erased: {looked_at}", ())


def _releases(entries: Sequence[ledger.Entry]) -> Mapping[str, Release]:
    proposed = (entry.event["release"] for entry in entries if entry.event["kind"] == "proposed")
    return {release["id"]: from_json(release) for release in proposed}


def _live(entries: Sequence[ledger.Entry], releases: Mapping[str, Release]) -> Release | None:
    lived = [entry.event["release"]["id"] for entry in entries if entry.event["kind"] in MADE_LIVE]
    return releases.get(lived[-1]) if lived else None


def _release(release: Release) -> Link:
    evidence = ", ".join(sorted(release.evidence))
    problems = (*evidence_problems(release), *_copies(release))
    return Link(f"release {release.id}", f"{evidence}; registered weights", problems)


def _copies(release: Release) -> Iterator[str]:
    versions = {
        "classifier": (CLASSIFIER, release.classifier_version),
        "embedder": (EMBEDDER, release.embedder_version),
    }
    for model, (name, version) in versions.items():
        with tempfile.TemporaryDirectory(prefix="mailroom-") as scratch:
            try:
                problem = copy_problem(release, model, download_model(name, version, Path(scratch)))
            except UserError as error:
                problem = str(error)
            if problem:
                yield problem


def _bundle(entries: Sequence[ledger.Entry], champion: Release | None) -> Link:
    """Compare what is live with what went live by the log, and with the champion."""
    deployed = deployed_bundle(entries)
    try:
        bundle = verify_bundle(live_bundle().folder)
    except UserError as error:
        problems = (str(error),) if deployed else ()
        return Link("live bundle", "every file" if deployed else "nothing went live yet", problems)
    waits = "" if champion and bundle.release_id == champion.id else "; the champion waits for its deployment"
    return Link(
        "live bundle", f"{bundle.digest[:12]}: every file{waits}", tuple(_strays(bundle, deployed, champion))
    )


def _strays(bundle: Bundle, deployed: str, champion: Release | None) -> Iterator[str]:
    if bundle.digest != deployed:
        yield (
            f"bundle {bundle.digest[:12]} is live; by the decision log it is {deployed[:12] or 'none'}: "
            "the pointer was moved, or its manifest was written anew"
        )
    if champion and bundle.release_id == champion.id:
        yield from strays(bundle, champion.digests)

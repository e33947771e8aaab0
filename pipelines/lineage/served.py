"""A served answer, the bundle that gave it, and the release that somebody decided on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data import governance, ledger
from data.workspace import UserError, home
from evaluation.release import Release, from_json
from pipelines.lineage.datasets import dataset_line, folders_of
from pipelines.lineage.line import Line, Walk
from pipelines.lineage.messages import GONE, chunk_line, message_line
from pipelines.lineage.models import adapter_line, version_line
from serving.answered import Answered, answered_of, answers_path
from serving.answers import Citation
from serving.bundle import Bundle, read_bundle, verify_bundle
from serving.decisions import log_path
from serving.digest import file_digest, folder_digest
from serving.erase import bundles_below, indexes_below
from serving.index import MARKER, read_index
from serving.judged import check_evidence
from serving.reranker import RERANKER, RERANKING

NO_RELEASE = "a bundle of plain folders"


def answer_line(walk: Walk, answer_id: str) -> Line | None:
    """Return a recorded answer, or None if no line of the ledger has this id."""
    for entry in _entries(answers_path()):
        if entry.event["id"] == answer_id:
            return _answer(walk, entry, answered_of(entry.event))
    return None


def _answer(walk: Walk, entry: ledger.Entry, answered: Answered) -> Line:
    folders = folders_of(answered.dataset)
    bundle = bundle_line(walk, answered.bundle) or Line("bundle", answered.bundle, "gone from this workspace")
    below = (
        _ledger_line(walk, "record", answers_path(), f"line {entry.sequence + 1}, signed by {entry.signer}"),
        Line("question", answered.question, "keyed digest; its words are not kept"),
        bundle,
        Line("index", answered.index),
        *(_citation(walk, each, folders) for each in answered.citations),
    )
    note = f"{entry.time[:19]}Z, {answered.origin}, {len(answered.citations)} citations"
    return Line("answer", answered.id, note, below=below)


def _citation(walk: Walk, citation: Citation, folders: Sequence[Path]) -> Line:
    place = f"{citation.message_id}[{citation.start}:{citation.end}]"
    found = None
    if citation.chunk_id:
        found = chunk_line(walk, citation.chunk_id, folders, cited=(citation.start, citation.end))
    missing = Line("message", citation.message_id, GONE)
    return Line("cites", place, below=(found or message_line(walk, citation.message_id, folders) or missing,))


def bundle_line(walk: Walk, digest: str) -> Line | None:
    """Return a bundle by its digest or the beginning of it; one that an erasure wrote anew by the old one."""
    renewed = _renewed(digest)
    for folder in bundles_below(home()):
        bundle = read_bundle(folder)
        if bundle.digest.startswith(renewed):
            note = "" if renewed == digest else f"{digest[:12]} before an erasure wrote it anew"
            return _bundle(walk, bundle, note)
    return None


def _bundle(walk: Walk, bundle: Bundle, note: str) -> Line:
    index = bundle.folder / "index"
    try:
        dataset = dataset_line(walk, read_index(index).dataset_digest)
    except UserError:
        dataset = Line("dataset", note=f"{index} is no complete index")
    release = release_line(walk, bundle.release_id) if bundle.release_id else None
    below = (
        Line("folder", str(bundle.folder), holds=walk.holds(lambda: _is_whole(bundle.folder))),
        Line("index", bundle.files.get(f"index/{MARKER}", ""), below=(dataset,)),
        *_reranker(bundle),
        release or Line("release", bundle.release_id, "unknown here" if bundle.release_id else NO_RELEASE),
    )
    return Line("bundle", bundle.digest, note, below=below)


def _reranker(bundle: Bundle) -> Iterator[Line]:
    if RERANKING in bundle.files:
        digest = folder_digest(bundle.folder / RERANKER)
        yield Line("reranker", digest, "named at the deployment; no release names it")


def release_line(walk: Walk, release_id: str) -> Line | None:
    """Return a release by its id or the beginning of it: who decided what, on which evidence."""
    log = log_path()
    entries = [
        each for each in _entries(log) if str(each.event["release"]["id"]).startswith(release_id or "-")
    ]
    if not entries:
        return None
    release = from_json(entries[0].event["release"])
    decided = [_decision(each) for each in entries if each.event["kind"] not in ("proposed", "deployed")]
    below = (
        _ledger_line(walk, "decision log", log, "every line hash-chained and signed"),
        *(decided or [Line("decision", note="nobody has decided yet")]),
        _evidence(walk, release),
        _index(walk, release),
        version_line(walk, "classifier", release.classifier_version, release.digests),
        version_line(walk, "embedder", release.embedder_version, release.digests),
        adapter_line(walk, release.digests),
    )
    return Line("release", release.id, f"the gate said {release.outcome}", below=below)


def _decision(entry: ledger.Entry) -> Line:
    event: Mapping[str, Any] = entry.event
    value = f"{event['kind']} by {event['reviewer']}, {entry.time[:19]}Z"
    return Line("decision", value, f"{event['reason']}; signed by {entry.signer}")


def _evidence(walk: Walk, release: Release) -> Line:
    files = tuple(Line(name, digest) for name, digest in release.evidence.items())
    declared = Line("gate's rules", release.digests.get("gate", ""))
    report = Line("report", release.report)
    holds = walk.holds(partial(_is_kept, release))
    return Line("evidence", release.evaluation, f"run {release.run_id}", holds, (*files, declared, report))


def _index(walk: Walk, release: Release) -> Line:
    """Return the index that was decided on, where it was made or in a bundle: a later one may be there."""
    if not walk.check:
        return Line("index", release.index_digest, release.index)
    for folder in (Path(release.index), *indexes_below(home())):
        marker = folder / MARKER
        if marker.is_file() and file_digest(marker) == release.index_digest:
            return Line("index", release.index_digest, str(folder), holds=True)
    return Line("index", release.index_digest, f"not checked: gone from {release.index} and every bundle")


def _is_kept(release: Release) -> bool:
    try:
        check_evidence(release)
    except UserError:
        return False
    return True


def _is_whole(folder: Path) -> bool:
    try:
        verify_bundle(folder)
    except UserError:
        return False
    return True


def _ledger_line(walk: Walk, name: str, path: Path, note: str) -> Line:
    return Line(name, str(path), note, walk.holds(lambda: _verifies(path)))


def _verifies(path: Path) -> bool:
    try:
        ledger.verify(path)
    except ledger.LedgerError:
        return False
    return True


def _entries(path: Path) -> tuple[ledger.Entry, ...]:
    try:
        return ledger.read(path)
    except ledger.LedgerError as error:
        raise UserError(f"{path} is damaged: {error}; restore it from a backup") from None


def _renewed(digest: str) -> str:
    """Return what a bundle is called since the last erasure that wrote it anew."""
    for entry in _entries(governance.ledger_path()):
        for before, now in entry.event.get("bundles", ()) if entry.event["kind"] == "erasure" else ():
            if before.startswith(digest):
                digest = now
    return digest

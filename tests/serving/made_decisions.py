"""Lines of a decision log, as short as they may be."""

from __future__ import annotations

from pathlib import Path

from serving.decisions import MACHINE, append, verified
from serving.digest import folder_digest
from serving.judged import COPIES


def decide(
    kind: str,
    release_id: str,
    index: Path = Path("gone"),
    digest: str = "",
    *,
    models: Path | None = None,
    **more: object,
) -> None:
    """Write the decision, and before it the proposal, if there is none yet: of what ``models`` holds."""
    known = {entry.event["release"]["id"]: entry.event["release"] for entry in verified()}
    release = known.get(release_id) or {
        "id": release_id,
        "outcome": "promote",
        "classifier_version": "1",
        "embedder_version": "1",
        "index": str(index),
        "index_digest": digest,
        "evaluation": "evaluation",
        "run_id": "run",
        "authors": ["bert"],
        "evidence": {},
        "digests": {copy: folder_digest(models / model) for model, copy in COPIES.items()} if models else {},
        **more,
    }
    if release_id not in known:
        append("proposed", release, reviewer=MACHINE, reason="")
    if kind != "proposed":
        append(kind, release, reviewer="ann", reason="it is better")

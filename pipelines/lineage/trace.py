"""What somebody asks about, told by how it is written, and its lineage."""

from __future__ import annotations

import re
from typing import cast

from data.workspace import UserError
from evaluation import decision
from pipelines.lineage.line import Line, Walk
from pipelines.lineage.messages import chunk_line, message_line
from pipelines.lineage.models import find_version, version_line
from pipelines.lineage.served import answer_line, bundle_line, release_line
from training.tracking import Role

VERSION = re.compile(r"(?:mailroom-)?(classifier|embedder)[/:@](\w+)")
CHUNK = re.compile(r"[0-9a-f]{24}:\d+")
DIGEST = re.compile(r"[0-9a-f]{6,64}")
KINDS = (
    "an answer's id (answer-...), a model version (classifier:3, embedder:3 or champion), "
    "a release's, bundle's, chunk's or message's id"
)


def lineage(what: str, *, archive: str = "", check: bool = False) -> Line:
    """Return the lineage of an answer, a model version, a release, a bundle, a chunk or a message.

    ``archive`` is where the archive lies now, if not where it was prepared from; with ``check``
    everything that can be computed again is, and says whether it holds. No redaction key is needed.

    Raises:
        UserError: nothing is called so, or a ledger is damaged.
    """
    walk, wanted = Walk(archive, check), what.strip()
    if wanted == "champion":
        return champion_line(walk)
    if version := VERSION.fullmatch(wanted):
        role = cast(Role, version[1])
        return version_line(walk, role, str(find_version(role, version[2]).version))
    found: Line | None = None
    if wanted.startswith("answer-"):
        found = answer_line(walk, wanted)
    elif CHUNK.fullmatch(wanted):
        found = chunk_line(walk, wanted)
    elif DIGEST.fullmatch(wanted):
        is_message = len(wanted) == 24
        found = message_line(walk, wanted) if is_message else None
        found = found or release_line(walk, wanted) or bundle_line(walk, wanted)
    if found is None:
        raise UserError(f"nothing in this workspace is called {what!r}; give {KINDS}")
    return found


def champion_line(walk: Walk) -> Line:
    """Return the release that the decision log says is live."""
    live = decision.current_release()
    line = release_line(walk, live.id) if live else None
    if line is None:
        raise UserError("there is no champion yet: nothing was approved; see: mailroom review list")
    return line

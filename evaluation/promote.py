"""After the gate: the first release goes live by the bootstrap rule, every later one waits for a reviewer."""

from __future__ import annotations

import json
from pathlib import Path

from data.workspace import locate, write_atomically
from evaluation import decision
from evaluation.release import Release, as_json


def promote(
    evaluation: str | Path, index: str | Path, release: str | Path, *, reviewer: str = "", reason: str = ""
) -> Release:
    """Propose the release, decide where a rule or a named reviewer can, and write ``release.json``.

    The file also names the champion after this: what is to be deployed, or null.

    With ``reviewer`` and ``reason`` the release is approved in that name; otherwise only the first
    release ever is, by the bootstrap rule, and only when the gate said promote.

    Raises:
        UserError: evaluation or index is incomplete, the decision log does not verify, or the
            reviewer may not decide.
    """
    name = decision.propose(evaluation, index)
    proposed, champion = decision.show(name), decision.current_release()
    if proposed.status == "pending" and reviewer:
        proposed = champion = decision.approve(name, reviewer=reviewer, reason=reason)
    elif decision.is_covered_by_bootstrap(proposed):
        proposed = champion = decision.bootstrap(name)
    with write_atomically(locate(release)) as folder:
        folder.mkdir()
        document = as_json(proposed) | {"champion": as_json(champion) if champion else None}
        (folder / "release.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return proposed

"""After the gate: the first release goes live by the bootstrap rule, every later one waits for a reviewer."""

from __future__ import annotations

import json
from pathlib import Path

from data.at_rest import at_work
from data.dataset import read_manifest
from data.workspace import locate, write_atomically
from evaluation import decision
from evaluation.release import Release, as_json, release_of
from serving.kept import keep_part


@at_work()
def promote(
    evaluation: str | Path, index: str | Path, release: str | Path, *, prepared: str | Path = ""
) -> Release:
    """Propose the release, decide where the bootstrap rule can, and write ``release.json``.

    The file also names the champion after this: what is to be deployed, or null. Evaluation, index and
    the dataset ``prepared``, if it is given, are kept in the workspace: on a cluster the folder that a
    step is given is gone when a reviewer decides and another step deploys.

    Raises:
        UserError: evaluation, index or dataset is incomplete, or the decision log does not verify.
    """
    made = release_of(evaluation, index)
    if prepared:
        keep_part("dataset", prepared, read_manifest(prepared).digest)
    name = decision.propose(
        keep_part("evaluation", evaluation, made.evidence["gate.json"]),
        keep_part("index", index, made.index_digest),
    )
    proposed, champion = decision.show(name), decision.current_release()
    if decision.is_covered_by_bootstrap(proposed):
        proposed = champion = decision.bootstrap(name)
    with write_atomically(locate(release)) as folder:
        folder.mkdir()
        document = as_json(proposed) | {"champion": as_json(champion) if champion else None}
        (folder / "release.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return proposed

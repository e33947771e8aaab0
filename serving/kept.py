"""What a release needs later lies in the workspace, by its digest: a step's own folder goes with the step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from data.workspace import home, locate, write_atomically

Part = Literal["dataset", "evaluation", "index"]


def kept_path(part: Part, digest: str) -> Path:
    """Return where the workspace keeps a part of releases, if it came from elsewhere."""
    return home() / "kept" / part / digest[:12]


def keep_part(part: Part, folder: str | Path, digest: str) -> Path:
    """Return where a part of a release lies in the workspace; from elsewhere it is copied there, once.

    What an erasure has changed since is not copied anew: the kept folder goes by its first digest.
    """
    source, target = locate(folder), kept_path(part, digest)
    if source.resolve().is_relative_to(home().resolve()):
        return source
    if not target.exists():
        with write_atomically(target) as unfinished:
            shutil.copytree(source, unfinished, copy_function=shutil.copyfile)
    return target

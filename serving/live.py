"""What is live: one pointer in the workspace, moved in one step, forwards and back."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from data.workspace import UserError, home, write_atomically
from serving.bundle import MANIFEST, Bundle, copy_bundle, read_bundle, verify_bundle


def keep(bundle: Bundle) -> Bundle:
    """Keep the bundle under its digest, where no later run overwrites it; its models share their bytes."""
    folder = home() / "bundles" / bundle.digest[:12]
    if not (folder / MANIFEST).exists():
        with write_atomically(folder) as unfinished:
            copy_bundle(bundle.folder, unfinished)
    return read_bundle(folder)


def go_live(bundle: Bundle) -> None:
    """Point at the bundle, and remember what was live before."""
    before = _target("live")
    if before is not None and before != bundle.folder:
        _point("live.previous", before)
    _point("live", bundle.folder)


def live_bundle() -> Bundle:
    """Return the bundle that is live.

    Raises:
        UserError: nothing is live.
    """
    folder = _target("live")
    if folder is None:
        raise UserError("nothing is live; run: mailroom run, or notebook 07_deploy")
    return read_bundle(folder)


def roll_back() -> Bundle:
    """Point at the bundle that was live before, after verifying it; doing it twice comes back.

    Raises:
        UserError: nothing was live before, or that bundle was changed.
    """
    before, now = _target("live.previous"), _target("live")
    if before is None:
        raise UserError("no bundle was live before the current one; there is nothing to roll back to")
    bundle = verify_bundle(before)
    _point("live", before)
    if now is not None:
        _point("live.previous", now)
    return bundle


def _target(name: str) -> Path | None:
    pointer = home() / name
    return pointer.resolve() if pointer.is_symlink() and pointer.exists() else None


def _point(name: str, folder: Path) -> None:
    pointer = home() / name
    temporary = pointer.with_name(f".{name}.{uuid.uuid4().hex[:8]}")
    temporary.symlink_to(folder)
    os.replace(temporary, pointer)

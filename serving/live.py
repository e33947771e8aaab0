"""What is live: one pointer in the workspace, moved in one step, forwards and back."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from data.workspace import UserError, home, write_atomically
from serving.bundle import MANIFEST, Bundle, copy_bundle, read_bundle, verify_bundle
from serving.decisions import deployed_bundle, record_deployed, verified


def keep(bundle: Bundle) -> Bundle:
    """Keep the bundle under its digest, where no later run overwrites it; its models share their bytes."""
    folder = home() / "bundles" / bundle.digest[:12]
    if not (folder / MANIFEST).exists():
        with write_atomically(folder) as unfinished:
            copy_bundle(bundle.folder, unfinished)
    return read_bundle(folder)


def go_live(bundle: Bundle) -> None:
    """Write down that the bundle goes live, point at it, and remember what was live before.

    Raises:
        UserError: the bundle is of no release that a decision made live.
    """
    record_deployed(bundle.release_id, bundle.digest)
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
    record_deployed(bundle.release_id, bundle.digest)
    _point("live", before)
    if now is not None:
        _point("live.previous", now)
    return bundle


def served_bundle(folder: str | Path | None = None) -> Bundle:
    """Return the bundle that may be served: unchanged, and the one that went live last.

    Raises:
        UserError: it was changed, its release was never decided on, or another one went live since.
    """
    bundle = verify_bundle(folder or live_bundle().folder)
    deployed = deployed_bundle(verified())
    if bundle.digest != deployed:
        raise UserError(
            f"bundle {bundle.digest[:12]} is not the one that went live by the decision log "
            f"({deployed[:12] or 'none'}); it is not served: deploy again, mailroom run"
        )
    return bundle


def _target(name: str) -> Path | None:
    pointer = home() / name
    return pointer.resolve() if pointer.is_symlink() and pointer.exists() else None


def _point(name: str, folder: Path) -> None:
    pointer = home() / name
    temporary = pointer.with_name(f".{name}.{uuid.uuid4().hex[:8]}")
    temporary.symlink_to(folder)
    os.replace(temporary, pointer)

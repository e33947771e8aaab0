"""What is live: one pointer in the workspace, moved in one step; what was live before is kept."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from data import governance
from data.workspace import UserError, home, write_atomically
from serving.adapter import DIGEST, NONE, held_adapter
from serving.bundle import MANIFEST, Bundle, copy_bundle, read_bundle, verify_bundle
from serving.decisions import bundles_of, deployed_bundle, made_live, record_deployed, verified


def keep(bundle: Bundle) -> Bundle:
    """Keep the bundle under its digest, where no later run overwrites it; its models share their bytes."""
    folder = home() / "bundles" / bundle.digest[:12]
    if not (folder / MANIFEST).exists():
        with write_atomically(folder) as unfinished:
            copy_bundle(bundle.folder, unfinished)
    return read_bundle(folder)


def go_live(bundle: Bundle, why: str = "", *, instead_of: str = "") -> None:
    """Write down that the bundle goes live, why, and point at it; two never do so at once.

    Raises:
        UserError: the bundle is not of the release that was decided last; or, ``instead_of`` a bundle on
            trial, another one has gone live meanwhile.
    """
    with open(home() / ".live.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record_deployed(bundle.release_id, bundle.digest, why, instead_of=instead_of)
        pointer = home() / "live"
        temporary = pointer.with_name(f".live.{uuid.uuid4().hex[:8]}")
        temporary.symlink_to(bundle.folder)
        os.replace(temporary, pointer)


def live_bundle() -> Bundle:
    """Return the bundle that is live.

    Raises:
        UserError: nothing is live.
    """
    pointer = home() / "live"
    if not pointer.is_symlink() or not pointer.exists():
        raise UserError("nothing is live; run: mailroom run, or notebook 07_deploy")
    return read_bundle(pointer.resolve())


def kept_bundle(release_id: str) -> Bundle | None:
    """Return the bundle that went live last for a release, unchanged; None where it is not kept.

    An erasure gives a bundle another digest; only what the governance ledger says of that counts.

    Raises:
        UserError: a file of it was changed.
    """
    known = bundles_of(verified(), release_id)
    for entry in governance.verified():
        known += [now for before, now in entry.event.get("bundles", ()) if before in known]
    for digest in reversed(known):
        folder = home() / "bundles" / digest[:12]
        if (folder / MANIFEST).exists():
            bundle = verify_bundle(folder)
            _check_adapter(bundle)
            return bundle if bundle.digest == digest else None
    return None


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
    _check_adapter(bundle)
    return bundle


def _check_adapter(bundle: Bundle) -> None:
    """Refuse an adapter of the generator that no decision names: a bundle of earlier days may hold one."""
    for release in made_live():
        named = release.get("digests", {}).get(DIGEST, NONE)
        if release["id"] == bundle.release_id and named != held_adapter(bundle.folder):
            raise UserError(
                f"the generator of bundle {bundle.digest[:12]} has another adapter than release "
                f"{bundle.release_id} names; it is not served: deploy again, mailroom run"
            )

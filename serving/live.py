"""What is live: one pointer in the workspace, moved in one step; what was live before is kept."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from data import governance
from data.workspace import UserError, home, write_atomically
from serving.adapter import DIGEST, NONE, held_adapter
from serving.bundle import DEPLOYED, MANIFEST, Bundle, copy_bundle, read_bundle, verify_bundle
from serving.decisions import (
    bundles_of,
    deployed_bundle,
    deployment_reason,
    made_live,
    record_deployed,
    statuses,
    verified,
)
from serving.digest import folder_digest
from serving.engines import choose_engine
from serving.judged import COPIES


def keep(bundle: Bundle) -> Bundle:
    """Keep the bundle under its digest, where no later run overwrites it; its models share their bytes.

    What stands there under its name and is not that bundle is replaced.

    Raises:
        UserError: the bundle's folder is no longer what its digest says.
    """
    folder = home() / "bundles" / bundle.digest[:12]
    if not _is_unchanged(folder, bundle.digest):
        with write_atomically(folder) as unfinished:
            copy_bundle(bundle.folder, unfinished)
            require_unchanged(unfinished, bundle.digest)
    return replace(bundle, folder=folder.resolve())


def require_unchanged(folder: Path, digest: str) -> None:
    """Refuse a bundle that was changed, or written anew with its manifest, since it had this digest.

    Raises:
        UserError: it is another one now.
    """
    if (found := verify_bundle(folder).digest) != digest:
        raise UserError(
            f"the bundle {folder} was {digest[:12]} and is {found[:12]} now: it was written anew meanwhile "
            "and does not go live; deploy again"
        )


def _is_unchanged(folder: Path, digest: str) -> bool:
    try:
        require_unchanged(folder, digest)
    except UserError:
        return False
    return True


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


def replaced_deployments(bundles: Iterable[Path]) -> list[Path]:
    """Return those of the deployed bundles that went live, and in whose place another deployment put its own.

    To deploy one of them again is no repetition. What a canary put in their place is meant to stay; an
    erasure or a rollback has the deployment made anew by itself, since decisions or governance changed.

    Raises:
        UserError: the decision log does not verify.
    """
    last = next((entry.event for entry in reversed(verified()) if entry.event["kind"] == "deployed"), None)
    if last is None or last["reason"] != deployment_reason(last["bundle"]):
        return []
    return [folder for folder in bundles if _went_live_as(folder) not in ("", last["bundle"])]


def _went_live_as(folder: Path) -> str:
    """Return the digest that a deployed bundle went live under; "" when it did not."""
    try:
        stated = json.loads((folder / DEPLOYED).read_text(encoding="utf-8"))
        return str(stated["digest"]) if stated["is_live"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def live_bundle() -> Bundle:
    """Return the bundle that is live.

    Raises:
        UserError: nothing is live, or the decision log that would say why is damaged.
    """
    pointer = home() / "live"
    if not pointer.is_symlink() or not pointer.exists():
        found = statuses(verified()).values()
        if any(status == "pending" and release["outcome"] != "reject" for release, status in found):
            raise UserError(
                "nothing is live, and a release waits for its decision; see: mailroom review list"
            )
        raise UserError("nothing is live; run: mailroom run, or notebook 07_deploy")
    return read_bundle(pointer.resolve())


def kept_bundle(release_id: str) -> Bundle | None:
    """Return the bundle that went live last for a release, unchanged; None where it is not kept.

    An erasure gives a bundle another digest; only what the governance ledger says of that counts.

    Raises:
        UserError: a file of it was changed, or its models are not those of the release.
    """
    known = bundles_of(verified(), release_id)
    for entry in governance.verified():
        known += [now for before, now in entry.event.get("bundles", ()) if before in known]
    for digest in reversed(known):
        folder = home() / "bundles" / digest[:12]
        if (folder / MANIFEST).exists():
            bundle = verify_bundle(folder)
            _check_models(bundle)
            return bundle if bundle.digest == digest else None
    return None


def served_bundle(folder: str | Path | None = None) -> Bundle:
    """Return the bundle that may be served: unchanged, and the one that went live last.

    It keeps its prompts and thresholds in memory.

    Raises:
        UserError: it was changed, its release was never decided on or judged with other models, or another
            one went live since.
    """
    bundle = verify_bundle(folder or live_bundle().folder)
    deployed = deployed_bundle(verified())
    if bundle.digest != deployed:
        raise UserError(
            f"bundle {bundle.digest[:12]} is not the one that went live by the decision log "
            f"({deployed[:12] or 'none'}); it is not served: deploy again, mailroom run"
        )
    _check_models(bundle)
    # read now, while they are what was verified, and kept
    _ = bundle.prompts, bundle.thresholds, bundle.candidates
    return bundle


def require_proved(bundle: Bundle, engine: str) -> None:
    """Refuse that ``auto`` takes another engine than the bundle's deployment was proved with.

    The two kinds are held to the same answers, but only what ran was compared. Whoever names an engine
    has chosen it.

    Raises:
        UserError: ``auto`` is another kind of engine here.
    """
    try:
        proved = str(json.loads((bundle.folder / DEPLOYED).read_text(encoding="utf-8"))["engine"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # never deployed: nothing was proved
    kind = "vllm" if proved.startswith("vllm") else "transformers"
    if engine == "auto" and (here := choose_engine("auto")) != kind:
        raise UserError(
            f"bundle {bundle.digest[:12]} was proved with {kind}, and here auto is {here}; "
            f"deploy again on a machine like this one, or name the engine yourself: --engine {here}"
        )


def strays(bundle: Bundle, digests: Mapping[str, str]) -> Iterator[str]:
    """Yield what a bundle holds that its release, by the digests that were signed, does not name."""
    for model, copy in COPIES.items():
        if folder_digest(bundle.folder / model) != digests.get(copy):
            yield (
                f"the {model} of bundle {bundle.digest[:12]} is not what release {bundle.release_id} "
                "was judged with"
            )
    if held_adapter(bundle.folder) != digests.get(DIGEST, NONE):
        yield (
            f"the generator of bundle {bundle.digest[:12]} has another adapter than release "
            f"{bundle.release_id} names"
        )


def _check_models(bundle: Bundle) -> None:
    """Refuse models that no decision names: the digest of a bundle is the machine's word alone."""
    named = [release.get("digests", {}) for release in made_live() if release["id"] == bundle.release_id]
    for problem in strays(bundle, named[-1] if named else {}):
        raise UserError(f"{problem}; it is not served: deploy again, mailroom run")

"""Open the worst errors of a release for a reviewer: read, explain, sign who looked, and only then write."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from tqdm import tqdm

from data import governance
from data.dataset import read_manifest, read_messages
from data.workspace import UserError, home, locate, tracking, write_atomically
from evaluation import decision
from evaluation.error_page import OpenedError, page_path, render_errors
from evaluation.errors import WorstError
from evaluation.explain import explain
from evaluation.occlusion import Evidence
from evaluation.release import Release, as_json
from serving.judged import read_gate
from serving.kept import kept_path
from serving.review_errors import cut

PASSES = 3  # whole texts, without sentences, without words


@dataclass(frozen=True, slots=True)
class OpenedPage:
    """Where the page lies, and how many messages it shows."""

    path: Path
    messages: int

    def __str__(self) -> str:
        return f"{self.path} ({self.messages} messages; delete it when the decision is made)"


def open_errors(
    release_id: str, *, reviewer: str, reason: str, output: str | Path = "", prepared: str | Path = ""
) -> OpenedPage:
    """Write the page of the worst errors, readable by its owner alone.

    ``release_id`` is a release, or the MLflow run of its evaluation. The dataset lies where the
    evaluation read it, or in ``prepared``. Who looked, why, at which release and how many messages is
    an entry of the governance ledger before the page is written, with the page's SHA-256.

    Raises:
        UserError: no reason or reviewer, no such release, its evidence was changed or has no errors,
            or the dataset is gone or another one.
    """
    decision.check_reviewer(reviewer, reason)
    release = _release(release_id)
    errors = listed_errors(release, read_gate(release))
    texts = read_texts(prepared or _dataset_of(release), release, errors)
    found = [error for error in errors if error.message_id in texts]
    shown = [cut(*texts[error.message_id]) for error in found]
    evidence = _evidence(release, [(subject, text) for subject, text, _ in shown]) if shown else ()
    opened = [
        OpenedError(error, *message, evidence=rests_on)
        for error, message, rests_on in zip(found, shown, evidence, strict=True)
    ]
    path = locate(output) if output else page_path(home(), release)
    gone = len(errors) - len(found)
    return sign_and_write(release, opened, path, gone=gone, reviewer=reviewer, reason=reason)


def sign_and_write(
    release: Release, opened: Sequence[OpenedError], path: Path, *, gone: int, reviewer: str, reason: str
) -> OpenedPage:
    """Sign who looks at what and why into the governance ledger, and only then write the page.

    Raises:
        UserError: the ledger is damaged; nothing is written.
    """
    page = render_errors(
        release,
        opened,
        gone=gone,
        reviewer=reviewer,
        reason=reason.strip(),
        time=datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
    ).encode()
    governance.record(
        "review_errors",
        by=reviewer,
        reason=reason.strip(),
        release=release.id,
        shown=len(opened),
        page_sha256=hashlib.sha256(page).hexdigest(),
    )
    _write_private(path, page)
    return OpenedPage(path, len(opened))


def _release(wanted: str) -> Release:
    """Return the release, also by the run of its evaluation: the report is written before it has an id."""
    runs = [release for release in decision.releases().values() if release.run_id == wanted]
    return runs[-1] if runs else decision.show(wanted)


def listed_errors(release: Release, gate: Mapping[str, Any]) -> list[WorstError]:
    """Return the errors that the report lists, out of gate.json.

    Raises:
        UserError: the evaluation is of a version that listed none.
    """
    try:
        errors = gate["findings"]["errors"]
        return [WorstError(**error) for error in (errors["worst"] if errors else ())]
    except (KeyError, TypeError):
        raise UserError(f"the evaluation of release {release.id} lists no errors; evaluate again") from None


def _dataset_of(release: Release) -> Path:
    """Return where the dataset is kept, or where the evaluation read it, as its MLflow run says.

    Raises:
        UserError: the run is gone, or the dataset lies where no path leads to.
    """
    import mlflow

    if (kept := kept_path("dataset", release.digests["dataset"])).exists():
        return kept
    tracking()
    try:
        inputs = mlflow.MlflowClient().get_run(release.run_id).inputs.dataset_inputs
        uri = json.loads(inputs[0].dataset.source)["uri"]
    except (mlflow.MlflowException, IndexError, KeyError, ValueError):
        uri = ""
    place = urlparse(uri)
    if place.scheme != "file":
        raise UserError(
            f"the run {release.run_id} names no dataset on this machine; say where it lies: --prepared DIR"
        )
    return Path(url2pathname(place.path))


def read_texts(
    prepared: str | Path, release: Release, errors: Sequence[WorstError]
) -> dict[str, tuple[str, str]]:
    """Return redacted subject and text of the messages that are still there, by their ids.

    Raises:
        UserError: the dataset is gone, or is not the one that was judged, before or after an erasure.
    """
    manifest = read_manifest(prepared)
    if release.digests["dataset"] not in manifest.names:
        raise UserError(
            f"the dataset in {locate(prepared)} is not the one that release {release.id} was judged on; "
            "say where that lies: --prepared DIR"
        )
    wanted = {error.message_id for error in errors}
    rows = read_messages(prepared, columns=["message_id", "subject", "text"], split="test", labelled=True)
    return {
        row["message_id"]: (row["subject"] or "", row["text"] or "")
        for row in rows.to_pylist()
        if row["message_id"] in wanted
    }


def _evidence(release: Release, texts: Sequence[tuple[str, str]]) -> tuple[Evidence, ...]:
    """Ask the registered classifier."""
    from serving.champion import champion_models, champion_of

    with (
        champion_models(champion_of(as_json(release))) as models,
        tqdm(total=PASSES, desc="explain", unit="pass", leave=False) as bar,
    ):
        return explain(texts, models.classifier, temperature=models.temperature, after_each=bar.update)


def _write_private(path: Path, page: bytes) -> None:
    """Write the page at once, readable by its owner alone from its first byte on."""
    with write_atomically(path) as unfinished:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as handle:
            handle.write(page)

"""A prepared dataset: where it lies, whether it is still what it was, and of which archive it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.dataset import MANIFEST, read_manifest
from data.erase import datasets_below
from data.rows import rows_digest
from data.sources import LABELS
from data.workspace import home, locate, tracking
from pipelines.lineage.line import Line, Walk
from pipelines.lineage.notebooks import notebook_line
from pipelines.prune import pruned_by

STEP = "01_prepare"
NO_ARCHIVE = "no run of 01_prepare names this folder; give the archive: --archive PATH"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a dataset was prepared from; all empty where no run says so."""

    archive: str = ""
    labels: str = ""
    run: Any = None  # MLflow's


def folders_of(digest: str) -> list[Path]:
    """Return the datasets that have this digest, or had it before an erasure, newest first."""
    return [folder for folder in newest_first() if digest in read_manifest(folder).names]


def newest_first() -> list[Path]:
    """Return all datasets of the workspace."""
    return sorted(
        datasets_below(home()), key=lambda folder: (folder / MANIFEST).stat().st_mtime, reverse=True
    )


def dataset_line(walk: Walk, digest: str, rows: str | None = None) -> Line:
    """Return a dataset by the digest that a model or an index was made of.

    ``rows`` is the digest of the rows that a training learnt from; empty, where it was not recorded.
    """
    folders = folders_of(digest) if digest else []
    if not folders:
        return Line("dataset", digest, (pruned_by(digest) or "gone from this workspace") if digest else "")
    chosen = folders[0]
    manifest = read_manifest(chosen)
    is_former = digest != manifest.digest
    note = "as it was before an erasure: its rows are others by now" if is_former else ""
    counts = manifest.counts
    below = [
        Line("folder", str(chosen), note=f"and {len(folders) - 1} more" if len(folders) > 1 else ""),
        *(() if rows is None else (_rows_line(walk, rows, chosen, is_former=is_former),)),
        Line(
            "counts",
            f"{counts.read:,} read = {counts.kept:,} kept + {counts.duplicates:,} duplicates"
            f" + {counts.rejects:,} rejects",
            holds=walk.holds(lambda: counts.balance),
        ),
        Line("parser", manifest.parser),
        Line("seed of the split", str(manifest.seed)),
        *_origin_lines(walk, chosen),
    ]
    holds = walk.holds(lambda: digest in manifest.names)
    return Line("dataset", digest, note, holds, tuple(below))


def _rows_line(walk: Walk, rows: str, folder: Path, *, is_former: bool) -> Line:
    if not rows:
        return Line("rows", note="the run is older than this record")
    if is_former:
        return Line("rows", rows, note="not checked: an erasure came after it")
    return Line("rows", rows, holds=walk.holds(lambda: rows == rows_digest(folder)))


def _origin_lines(walk: Walk, folder: Path) -> tuple[Line, ...]:
    origin = origin_of(folder)
    if origin.run is None:
        return (Line("archive", walk.archive, "" if walk.archive else NO_ARCHIVE), Line("prepared by run"))
    run = Line("prepared by run", origin.run.info.run_id, below=(notebook_line(walk, origin.run),))
    return (Line("archive", walk.archive or origin.archive), run)


def origin_of(folder: Path) -> Origin:
    """Return which archive and labels the run that wrote the folder was given."""
    import mlflow

    tracking()
    client = mlflow.MlflowClient()
    experiments = [each.experiment_id for each in client.search_experiments()]
    for run in client.search_runs(experiments, filter_string=f"tags.`mailroom.step` = '{STEP}'"):
        given = run.data.params
        if given.get("notebook.prepared") == str(folder):
            return Origin(
                _archive(given.get("notebook.archive", ""), given.get("notebook.seed", "")),
                given.get("notebook.labels", ""),
                run,
            )
    return Origin()


def labels_of(origin: Origin, archive: Path) -> Path:
    """Return the file with the labels: the one that was given, or the archive's own."""
    root = archive if archive.is_dir() else archive.parent
    return locate(origin.labels) if origin.labels else root / LABELS


def _archive(given: str, seed: str) -> str:
    return str(home() / f"sample-{seed}") if given == "sample" else given

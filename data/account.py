"""The ledger of a prepared dataset: what became of every entry of every source, stage by stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from data.dataset import read_duplicates, read_manifest, read_messages, read_rejects
from data.schema import top_of
from data.workspace import UserError, home, locate

AT_READING = ("event", "read")
RETIRED = ("retain", "erase")  # expired, or of somebody who was erased
STAGES = ("read", "unreadable", "unusable", "retired", "exact copies", "near copies", "kept")


@dataclass(frozen=True, slots=True)
class Line:
    """One source: ``read`` entries, and how many of them each stage took out or let through."""

    source: str
    read: int
    unreadable: int
    unusable: int
    retired: int
    exact_copies: int
    near_copies: int
    kept: int

    @property
    def figures(self) -> tuple[int, ...]:
        return (
            *(self.read, self.unreadable, self.unusable, self.retired),
            *(self.exact_copies, self.near_copies, self.kept),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """Every source and the total, counted again from the tables and checked against the manifest."""

    prepared: Path
    lines: tuple[Line, ...]
    reasons: dict[str, int]

    @property
    def total(self) -> Line:
        return Line(
            "total", *(sum(column) for column in zip(*(line.figures for line in self.lines), strict=True))
        )

    def __str__(self) -> str:
        wide = max(len(line.source) for line in (*self.lines, self.total))
        rows = [f"{'source':<{wide}} " + " ".join(f"{stage:>12}" for stage in STAGES)]
        for line in (*self.lines, self.total):
            rows.append(f"{line.source:<{wide}} " + " ".join(f"{figure:>12,}" for figure in line.figures))
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.reasons.items()))
        total = self.total
        return "\n".join(
            [
                *rows,
                f"rejects by reason: {reasons or 'none'}",
                f"balanced: {total.read:,} = {total.kept:,} kept"
                f" + {total.exact_copies + total.near_copies:,} duplicates"
                f" + {total.unreadable + total.unusable + total.retired:,} rejects",
                str(self.prepared),
            ]
        )


def account(prepared: str | Path) -> Account:
    """Count a dataset's tables again, source by source.

    Raises:
        UserError: no dataset, or its tables are no longer those that the manifest was written for.
    """
    folder = locate(prepared)
    manifest = read_manifest(folder)
    kept = _by_source(read_messages(folder, columns=["source"]).to_pylist())
    copies, rejects = read_duplicates(folder).to_pylist(), read_rejects(folder).to_pylist()
    exact, near = (_by_source([row for row in copies if row["kind"] == kind]) for kind in ("exact", "near"))
    retired = _by_source([row for row in rejects if row["stage"] in RETIRED])
    read = _by_source([row for row in rejects if row["stage"] in AT_READING])
    later = _by_source([row for row in rejects if row["stage"] not in (*AT_READING, *RETIRED)])
    lines = tuple(
        Line(
            *(source, counts.read, read[source], later[source], retired[source]),
            *(exact[source], near[source], kept[source]),
        )
        for source, counts in sorted(manifest.by_source.items())
    )
    for line in lines:
        counted = sum(line.figures[1:])
        if line.read != counted:
            raise UserError(
                f"{line.source} does not balance: {line.read:,} entries were read, but the tables "
                f"of {folder} hold {counted:,}; they were changed, so prepare the archive again"
            )
    return Account(folder, lines, dict(Counter(row["reason"] for row in rejects)))


def newest_dataset(run: str = "") -> Path:
    """Return the dataset that a run of the pipeline has prepared; by default the newest of all runs.

    Raises:
        UserError: no run of that name has prepared one.
    """
    if "/" in run:
        raise UserError(f"there is no folder {run}; give a run's name or the folder of a prepared dataset")
    found = list((home() / "pipeline").glob(f"{escape(run) or '*'}/*/prepare/prepared/manifest.json"))
    if not found:
        raise UserError(
            f"no run {f'{run!r} ' if run else ''}in {home() / 'pipeline'} has prepared a dataset; "
            "give the folder of one, or run: mailroom run"
        )
    return max(found, key=lambda manifest: manifest.stat().st_mtime).parent


def _by_source(rows: list[dict[str, str]]) -> Counter[str]:
    return Counter(top_of(row["source"]) for row in rows)

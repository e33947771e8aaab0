"""A person out of all that the workspace holds: datasets, intakes, indexes, bundles, evidence; then proof."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data import feedback, governance
from data.at_rest import at_rest
from data.dataset import read_manifest
from data.erase import ErasedDataset, datasets_below, erase_dataset, files_of, held_through_copies
from data.erasing import Eraser, Tally, eraser_of, foreseen, is_of_messages, rows_of
from data.leftovers import Mended, mend
from data.retain import retain_file
from data.retention import Orders, orders_of
from data.scan import Scan, Sought, scan, sought
from data.unfinished import Unfinished, forget_unfinished, keep_unfinished, unfinished
from data.workspace import UserError, home, secret
from evaluation.trained_on import TrainedModel, models_trained_on
from serving.erase import (
    ErasedBundle,
    ErasedIndex,
    bundles_below,
    erase_from_index,
    indexes_below,
    renew_bundle,
    require_closed,
)

Confirm = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased where, what could not be, and the proof."""

    tally: Tally
    datasets: tuple[ErasedDataset, ...]
    intakes: int
    indexes: tuple[ErasedIndex, ...]
    bundles: tuple[ErasedBundle, ...]
    mended: Mended
    models: tuple[TrainedModel, ...]
    scan: Scan
    feedback: int = 0

    def __str__(self) -> str:
        lines = [_foreseen(self.tally)]
        lines += [
            f"dataset {each.folder}: {each.erased:,} messages erased, {each.cleaned:,} of others cleaned"
            for each in self.datasets
        ]
        if self.feedback:
            lines.append(f"feedback: {self.feedback:,} labels and proposals forgotten")
        lines.append(f"intake memories and streams: {self.intakes:,} files rewritten")
        lines += [
            f"index {each.folder}: {each.removed:,} chunks removed, {each.cleaned:,} cleaned"
            + ("; the server drops their bytes when it compacts" if each.is_on_server else "")
            for each in self.indexes
        ]
        lines += [
            f"bundle {each.before[:12]} is now {each.now[:12]}; restart mailroom serve"
            for each in self.bundles
        ]
        lines += [f"removed, it repeated erased words: {name}" for name in self.mended.removed]
        lines += [f"rewritten: {name}" for name in self.mended.rewritten]
        lines += [f"trained on what was erased, train again and retire: {model}" for model in self.models]
        return "\n".join([*lines, str(self.scan)])


def erase(
    subjects: Collection[str], *, confirm: Confirm, by: str = "", retention: str = ""
) -> Erasure | None:
    """Erase a person, known by addresses or names, and prove it; None when ``confirm`` says no.

    Held messages stay. Interrupted, it is given again and goes on: what it has to find is kept until
    it is proved to be gone, and whoever is erased next, the interrupted erasure is finished with it.

    Raises:
        UserError: nobody is named, an index is open elsewhere, or a policy or ledger is damaged.
    """
    if not (people := [each.strip() for each in subjects if each.strip()]):
        raise UserError("nobody to erase: give --subject, or addresses and names on standard input")
    begun = unfinished()
    orders = _orders(people, retention, by, begun)
    with at_rest():
        files = _message_files()
        held = held_through_copies(datasets_below(home()), files, orders)
        eraser = eraser_of(orders, files, held=held, known=begun.traces)
        tally = foreseen(files, eraser)
        tally.message_ids |= begun.message_ids - tally.held_ids
        if not confirm(_foreseen(tally)):
            return None
        wanted = sought(orders.suppressed, people, eraser.traces, held_ids=tally.held_ids)
        done = _everywhere(eraser, tally, wanted, by)
    _record(done, by)
    if done.scan.is_clean:
        forget_unfinished()
    return done


def _everywhere(eraser: Eraser, tally: Tally, wanted: Sought, by: str) -> Erasure:
    indexes = indexes_below(home())
    require_closed(indexes)
    folders = datasets_below(home())
    affected = _unfinished().union(
        *(read_manifest(each).names for each in folders if _is_touched(each, tally))
    )
    models = models_trained_on(affected)
    governance.record("erasure begun", by=by, datasets=sorted(affected), **_counts(tally))
    keep_unfinished(Unfinished(eraser.orders.suppressed, frozenset(tally.message_ids), eraser.traces))
    governance.suppress(eraser.orders.suppressed)
    labels = feedback.erase(tally.message_ids | _copies_of(folders, tally.message_ids))
    before = tuple(erase_dataset(folder, eraser, tally.message_ids) for folder in folders)
    erased = tuple(erase_from_index(folder, tally.message_ids, tally.changed) for folder in indexes)
    bundles = tuple(filter(None, map(renew_bundle, bundles_below(home()))))
    intakes = sum(retain_file(file, eraser, Tally()) for file in _message_files() if _is_taken_in(file))
    left_out = _left_out()
    found = scan(home(), wanted, left_out=left_out)
    mended = mend(home(), found.hits, eraser, wanted, tally.message_ids)
    proof = scan(home(), wanted, left_out=left_out) if mended.rewritten or mended.removed else found
    return Erasure(tally, before, intakes, erased, bundles, mended, models, proof, labels)


def _copies_of(folders: Iterable[Path], message_ids: Collection[str]) -> set[str]:
    """Return the copies of erased messages: somebody may have labelled one before it was known as a copy."""
    copies = (row for folder in folders for row in rows_of(files_of(folder, "duplicates")))
    return {row["message_id"] for row in copies if row["duplicate_of"] in message_ids}


def _is_touched(folder: Path, tally: Tally) -> bool:
    ids = {row["message_id"] for row in rows_of(files_of(folder), ["message_id"])}
    return not ids.isdisjoint(tally.message_ids | tally.changed.keys())


def _unfinished() -> set[str]:
    """Return the digests that datasets had when an erasure began that was interrupted."""
    digests: set[str] = set()
    for entry in reversed(governance.verified()):
        if entry.event["kind"] == "erasure":
            break
        if entry.event["kind"] == "erasure begun":
            digests.update(entry.event["datasets"])
    return digests


def _orders(people: Collection[str], retention: str, by: str, begun: Unfinished) -> Orders:
    """Return who is erased and what is held; an erasure lets nothing expire."""
    key = secret("redaction")
    orders = orders_of(retention, key=key, by=by)
    suppressed = governance.pseudonyms_of(people, key=key) | begun.pseudonyms
    return replace(orders, rules=(), suppressed=suppressed)


def _message_files() -> list[Path]:
    """Return every Parquet file of whole messages, whichever folder keeps it: datasets, intakes, streams."""
    found = []
    for path in sorted(home().rglob("*.parquet")):
        try:
            if path.is_file() and is_of_messages(path):
                found.append(path)
        except (OSError, pa.ArrowException):
            continue  # the scan names it as unreadable
    return found


def _is_taken_in(file: Path) -> bool:
    return {"outcome", "reason", "parents"} <= set(pq.read_schema(file).names)


def _left_out() -> list[Path]:
    """Return what is not scanned: the keyed lists and the signed ledger, and the made-up sample archive."""
    samples = [path for path in home().glob("sample-*") if path.name.split(".")[0][7:].isdecimal()]
    return [governance.folder(), *samples]


def _foreseen(tally: Tally) -> str:
    held = "".join(f"; {count:,} held by {name}, they stay" for name, count in sorted(tally.holds.items()))
    return (
        f"{len(tally.message_ids):,} messages of the subject, {len(tally.changed):,} of others name it{held}"
    )


def _counts(tally: Tally) -> dict[str, object]:
    return {
        "messages": len(tally.message_ids),
        "others": len(tally.changed),
        "held": dict(sorted(tally.holds.items())),
    }


def _record(done: Erasure, by: str) -> None:
    governance.record(
        "erasure",
        by=by,
        **_counts(done.tally),
        datasets=[each.digest for each in done.datasets if each.erased or each.cleaned],
        feedback=done.feedback,
        chunks=sum(each.removed for each in done.indexes),
        bundles=[[each.before, each.now] for each in done.bundles],
        rewritten=list(done.mended.rewritten),
        removed=list(done.mended.removed),
        models=[each.run_id for each in done.models],
        scan=asdict(done.scan),
        is_clean=done.scan.is_clean,
    )

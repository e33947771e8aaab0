"""The one way to read a prepared dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.schema import SPLITS, TABLES, Manifest, top_of
from data.workspace import UserError, locate

MANIFEST = "manifest.json"


def read_manifest(prepared: str | Path) -> Manifest:
    """Return what the dataset says of itself.

    Raises:
        UserError: there is no complete dataset in the folder.
    """
    folder = locate(prepared)
    try:
        return Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"no prepared dataset in {folder}; run notebook 01_prepare, or: mailroom run --archive PATH"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"the manifest of {folder} is damaged ({error}); prepare the archive again"
        ) from error


def read_messages(
    prepared: str | Path,
    *,
    columns: Sequence[str] | None = None,
    split: str | None = None,
    labelled: bool = False,
) -> pa.Table:
    """Return the kept messages by source and locator: all, those of one split, or those with a label."""
    return _read(prepared, "messages", columns, split, labelled, order=("source", "locator"))


def read_chunks(prepared: str | Path) -> pa.Table:
    """Return the chunks ordered by message and ordinal."""
    return _read(prepared, "chunks", None, None, labelled=False, order=("message_id", "ordinal"))


def read_questions(prepared: str | Path) -> pa.Table:
    """Return the questions of the archive with the messages that answer them; often there are none."""
    return _read(prepared, "questions", None, None, labelled=False, order=())


def read_duplicates(prepared: str | Path) -> pa.Table:
    """Return the messages that were left out as copies, and of which message."""
    return _read(prepared, "duplicates", None, None, labelled=False, order=("source", "locator"))


def custodians_of(prepared: str | Path) -> dict[str, tuple[str, ...]]:
    """Return for every kept message the top-level folders or files that hold it or a copy of it, in order."""
    held: dict[str, set[str]] = {}
    kept = read_messages(prepared, columns=("message_id", "source"))
    copies = read_duplicates(prepared).select(["duplicate_of", "source"])
    for table in (kept, copies):
        for message_id, source in zip(*(column.to_pylist() for column in table.columns), strict=True):
            held.setdefault(message_id, set()).add(top_of(source))
    return {message_id: tuple(sorted(names)) for message_id, names in held.items()}


def read_rejects(prepared: str | Path) -> pa.Table:
    """Return the entries that are no usable message, and why."""
    return _read(prepared, "rejects", None, None, labelled=False, order=("source", "locator"))


def _read(
    prepared: str | Path,
    name: str,
    columns: Sequence[str] | None,
    split: str | None,
    labelled: bool,
    *,
    order: tuple[str, ...],
) -> pa.Table:
    read_manifest(prepared)
    if split is not None and split not in SPLITS:
        raise UserError(f"no split called {split!r}; choose one of: {', '.join(SPLITS)}")
    schema = TABLES[name]
    chosen = list(columns) if columns is not None else schema.names
    if unknown := sorted(set(chosen) - set(schema.names)):
        raise ValueError(f"no column {', '.join(unknown)} in {name}; it has {', '.join(schema.names)}")
    condition = pc.scalar(True)
    if split is not None:
        condition &= pc.field("split") == split
    if labelled:
        condition &= pc.field("label").is_valid()
    dataset = ds.dataset(locate(prepared) / name, schema=schema, format="parquet")
    table = dataset.to_table(columns=list(dict.fromkeys([*chosen, *order])), filter=condition)
    if order:
        table = table.sort_by([(column, "ascending") for column in order])
    return table.select(chosen)

"""Messages and threads of the dataset that the live index was made of, for those who may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.dataset import custodians_of, read_manifest
from data.schema import TABLES
from data.workspace import UserError
from serving.scope import Scope

READ = (
    "message_id", "thread_id", "channel", "sent_at", "sender", "recipients", "subject", "full_text", "text",
    "zones", "language", "attachments", "label",
)  # fmt: skip
MOST = 500  # messages of a thread that are shown: the newest


@dataclass(frozen=True, slots=True, repr=False)
class Archive:
    """The redacted messages, read from Parquet as they are asked for."""

    folder: Path
    digest: str
    custodians: Mapping[str, tuple[str, ...]]

    def message(self, message_id: str, scope: Scope) -> dict[str, Any] | None:
        """Return one message, or None when there is none or it lies outside the scope: both look alike."""
        found = self._rows(pc.field("message_id") == message_id, scope)
        return found[0] if found else None

    def thread(self, thread_id: str, scope: Scope) -> list[dict[str, Any]]:
        """Return those messages of a thread that lie in the scope, oldest first."""
        found = self._rows(pc.field("thread_id") == thread_id, scope)
        return sorted(found, key=lambda row: (row["sent_at"] or "", row["message_id"]))

    def _rows(self, condition: Any, scope: Scope) -> list[dict[str, Any]]:
        dataset = ds.dataset(self.folder / "messages", schema=TABLES["messages"], format="parquet")
        rows = dataset.to_table(columns=list(READ), filter=condition).to_pylist()
        kept = [row for row in rows if scope.holds(row, self.custodians.get(row["message_id"], ()))]
        return [row | {"sent_at": row["sent_at"].isoformat() if row["sent_at"] else None} for row in kept]


def open_archive(dataset: str, indexed: str) -> Archive | None:
    """Open the dataset that an index was made of; ``indexed`` is the digest that the index names.

    None when the folder is gone or holds another dataset by now: search and answers work without it.
    """
    try:
        manifest = read_manifest(dataset)
    except UserError:
        return None
    if indexed not in (manifest.digest, *manifest.former_digests):
        return None
    return Archive(Path(dataset), manifest.digest, custodians_of(dataset))

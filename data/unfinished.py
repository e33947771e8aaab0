"""What an erasure still has to find, kept while it goes on: its proof, interrupted, must not forget it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import governance
from data.shingles import NONE, Traces
from data.workspace import UserError, write_atomically


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Who is being erased, which messages were theirs, and the hashes of what these said."""

    pseudonyms: frozenset[str]
    message_ids: frozenset[str]
    traces: Traces


def unfinished_path() -> Path:
    return governance.folder() / "unfinished.npz"


def unfinished() -> Unfinished:
    """Return what erasures have begun and not proved; nothing, mostly.

    Raises:
        UserError: it is damaged; going on would call clean what nobody has looked for.
    """
    path = unfinished_path()
    if not path.exists():
        return Unfinished(frozenset(), frozenset(), Traces(NONE))
    try:
        with np.load(path, allow_pickle=False) as kept:
            people, ids, hashes = kept["pseudonyms"], kept["message_ids"], kept["hashes"]
            return Unfinished(
                frozenset(people.tolist()), frozenset(ids.tolist()), Traces(hashes.astype(np.uint64))
            )
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        raise UserError(
            f"{path} is damaged; restore it from a backup: an erasure goes on where it was interrupted"
        ) from None


def keep_unfinished(begun: Unfinished) -> None:
    with write_atomically(unfinished_path()) as part, part.open("wb") as handle:
        np.savez_compressed(
            handle,
            pseudonyms=np.array(sorted(begun.pseudonyms), dtype=np.str_),
            message_ids=np.array(sorted(begun.message_ids), dtype=np.str_),
            hashes=begun.traces.hashes,
        )


def forget_unfinished() -> None:
    unfinished_path().unlink(missing_ok=True)

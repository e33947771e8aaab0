"""Hashes of files and folders: what ties an index and a bundle to the models they were made of."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def files_below(folder: Path) -> list[str]:
    """Return the files of a folder, relative and in order, links followed."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def folder_digest(folder: Path) -> str:
    """Return one hash of all names and contents below a model's folder.

    Model cards are left out: libraries write their own whenever they save, and no engine reads them.
    """
    names = [name for name in files_below(folder) if not name.endswith(".md")]
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

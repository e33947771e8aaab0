"""Hashes of files and folders: what ties an index and a bundle to the models they were made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from data.workspace import UserError

CARD = ".md"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def files_below(folder: Path) -> list[str]:
    """Return the files of a folder, relative and in order; a link to a file counts as that file.

    What a walk cannot see, a library may still read: transformers follows a linked folder, and a link
    that leads nowhere now may lead somewhere later.

    Raises:
        UserError: it holds a linked folder, or something that is neither folder nor file.
    """
    names = []
    for path in folder.rglob("*"):
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
        elif path.is_symlink() or not path.is_dir():
            raise UserError(f"{path} is neither a file nor a folder of its own: put a copy in its place")
    return sorted(names)


def folder_digest(folder: Path) -> str:
    """Return one hash of all names and contents below a model's folder.

    Model cards are left out: libraries write their own whenever they save, and no engine reads them.
    """
    names = [name for name in files_below(folder) if not name.endswith(CARD)]
    return stated_digest({name: file_digest(folder / name) for name in names})


def stated_digest(files: Mapping[str, str]) -> str:
    """Return the digest of a folder whose files, by their relative names, have these hashes."""
    lines = [f"{files[name]}  {name}\n" for name in sorted(files) if not name.endswith(CARD)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

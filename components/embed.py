"""A notebook as one short string: stripped of outputs, compressed, the same bytes at every compile."""

from __future__ import annotations

import base64
import bz2
import json
from pathlib import Path
from typing import Any

from components.contract import ContractError, source_of, tags_of

# Kubernetes reads "$$" and "$(" in a container's arguments, Argo and Kubeflow read "{{": none may occur.
_SAFE = str.maketrans("${}", ",.:")
_PLAIN = str.maketrans(",.:", "${}")


def embed(path: str | Path) -> str:
    """Return the notebook's code as text that may stand in a container's command line.

    bz2 and not zlib: zlib's output differs between zlib and zlib-ng, which some Linux distributions
    install in its place, and with it every golden file and cache key.
    """
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    code = json.dumps(stripped(notebook), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return base64.b85encode(bz2.compress(code.encode(), 9)).decode().translate(_SAFE)


def unpack(payload: str) -> dict[str, Any]:
    """Return the notebook that :func:`embed` made ``payload`` of."""
    try:
        return dict(json.loads(bz2.decompress(base64.b85decode(payload.translate(_PLAIN)))))
    except (ValueError, OSError) as error:
        raise ContractError(f"the embedded notebook is damaged; compile again ({error})") from None


def stripped(notebook: Any) -> dict[str, Any]:
    """Return the notebook with sources, tags and cell ids alone."""
    return {
        "cells": [_stripped_cell(cell, number) for number, cell in enumerate(notebook["cells"], 1)],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _stripped_cell(cell: Any, number: int) -> dict[str, Any]:
    tags = tags_of(cell)
    plain: dict[str, Any] = {
        "cell_type": cell["cell_type"],
        "id": cell.get("id", f"cell-{number}"),
        "metadata": {"tags": tags} if tags else {},
        "source": source_of(cell),
    }
    if cell["cell_type"] == "code":
        plain |= {"execution_count": None, "outputs": []}
    return plain

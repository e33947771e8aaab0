"""A notebook as a test needs it: a few lines of source become a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

WriteNotebook = Callable[..., Path]


@pytest.fixture
def write_notebook(tmp_path: Path) -> WriteNotebook:
    """Return a function that writes a notebook: a heading, the parameters cell, then one cell a source."""

    def write(name: str, parameters: str, *cells: str) -> Path:
        sources = [("code", parameters, ["parameters"]), *(("code", cell, []) for cell in cells)]
        notebook = {
            "cells": [{"cell_type": "markdown", "id": "head", "metadata": {}, "source": f"# About {name}"}]
            + [
                {
                    "cell_type": kind,
                    "id": f"c{number}",
                    "metadata": {"tags": tags} if tags else {},
                    "source": source,
                    "outputs": [],
                    "execution_count": None,
                }
                for number, (kind, source, tags) in enumerate(sources)
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return path

    return write

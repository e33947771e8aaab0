"""``mailroom lineage``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer


def lineage_command(
    what: Annotated[
        str,
        typer.Argument(
            help="An answer's id, a model version (classifier:3, embedder:3, champion), a release, a bundle, "
            "a chunk or a message."
        ),
    ],
    archive: Annotated[
        str, typer.Option(help="Where the archive lies; default: where it was prepared from.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines; what is not recorded is null.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compute again what can be, and mark it; status 1 if any differs.")
    ] = False,
) -> None:
    """From an answer back to the bytes of a message, and to the run that trained the model."""
    from pipelines.lineage import line
    from pipelines.lineage.trace import lineage

    found = lineage(what, archive=archive, check=check)
    if as_json:
        typer.echo(json.dumps(line.as_json(found), indent=1, ensure_ascii=False))
    else:
        line.show(found, sys.stdout)
    if line.is_broken(found):
        raise typer.Exit(1)

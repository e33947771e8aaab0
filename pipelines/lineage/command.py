"""``mailroom lineage`` and ``mailroom reproduce``."""

from __future__ import annotations

import json
import sys
from typing import Annotated, cast

import typer

from data.workspace import UserError

TOLERANCE = 1e-3


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


def reproduce_command(
    version: Annotated[
        str, typer.Argument(help="classifier:3, embedder:3, or champion for both models of the live release.")
    ],
    prepared: Annotated[
        str, typer.Option(help="The dataset that it was trained on; default: found in the workspace.")
    ] = "",
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability or a cosine.")
    ] = TOLERANCE,
) -> None:
    """Train a version again from its record and compare; status 1 if it is another. Registers nothing."""
    from pipelines.lineage.trace import VERSION
    from pipelines.reproduce import reproduce
    from training.tracking import Role

    known = VERSION.fullmatch(version.strip())
    if version.strip() != "champion" and not known:
        raise UserError(f"no version is called {version!r}; give classifier:3, embedder:3 or champion")
    wanted = [(known[1], known[2])] if known else [("classifier", "champion"), ("embedder", "champion")]
    found = []
    for role, number in wanted:
        found.append(reproduce(cast(Role, role), number, prepared=prepared, tolerance=tolerance))
        typer.echo(found[-1])
    if not all(each.is_reproduced for each in found):
        raise typer.Exit(1)

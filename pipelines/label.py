"""``mailroom label``: reviewers say what messages are, and the next run learns from it."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from data.workspace import UserError, locate

label = typer.Typer(help="Label messages; what two reviewers agree on is learnt.", no_args_is_help=True)

Reviewer = Annotated[str, typer.Option(envvar="MAILROOM_REVIEWER", help="Who labels.")]
Dataset = Annotated[str, typer.Option(help="A prepared dataset; default: that of the newest run.")]
New = Annotated[bool, typer.Option("--new", help="Allow a label that nothing has yet.")]


@label.command("next")
def next_command(
    *,
    reviewer: Reviewer,
    count: Annotated[int, typer.Option("--n", min=1, help="How many messages.")] = 20,
    test: Annotated[bool, typer.Option("--test", help="From the test split, by chance alone.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Show the redacted messages here.")] = False,
    dataset: Dataset = "",
    seed: Annotated[int, typer.Option(help="One seed for every random choice.")] = 7,
) -> None:
    """Propose what to label next: disputes, second reviews, then new messages."""
    from pipelines.proposing import propose

    proposed = propose(reviewer, _folder(dataset), count=count, from_test=test, seed=seed)
    typer.echo(proposed.described(text=text))


@label.command("add")
def add_command(
    message_id: Annotated[str, typer.Argument(help="As mailroom label next shows it.")],
    name: Annotated[str, typer.Argument(metavar="LABEL")],
    *,
    reviewer: Reviewer,
    reason: Annotated[str, typer.Option(help="Why, without quoting the message.")] = "",
    new: New = False,
    dataset: Dataset = "",
) -> None:
    """Record what one message is."""
    from pipelines.labelling import record

    record([(message_id, name, reason)], reviewer, _folder(dataset), allow_new=new)
    typer.echo(f"{message_id} {name}")


@label.command("import")
def import_command(
    file: Annotated[
        Path, typer.Argument(help="CSV with the columns message_id,label and, if you like, reason.")
    ],
    *,
    reviewer: Reviewer,
    new: New = False,
    dataset: Dataset = "",
) -> None:
    """Record the labels of a file: all of them or, if one is wrong, none."""
    from pipelines.labelling import record

    rows = _rows(file)
    record(rows, reviewer, _folder(dataset), allow_new=new)
    typer.echo(f"{len(rows):,} labels recorded")


@label.command()
def status(dataset: Dataset = "") -> None:
    """Count labels and disputes, and say how far reviewers agree."""
    from pipelines.labelling import state

    typer.echo(state(_folder(dataset)))


def _folder(dataset: str) -> Path:
    from data.account import newest_dataset

    return locate(dataset) if dataset else newest_dataset()


def _rows(file: Path) -> list[tuple[str, str, str]]:
    try:
        with open(locate(file), encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            if not {"message_id", "label"} <= set(reader.fieldnames or ()):
                raise UserError(f"{file} lacks the columns; its first line must be: message_id,label")
            rows = [
                tuple((row.get(name) or "").strip() for name in ("message_id", "label", "reason"))
                for row in reader
            ]
    except OSError as error:
        raise UserError(f"the labels {file} cannot be read ({error.strerror}); give a CSV") from error
    except (csv.Error, UnicodeDecodeError):
        raise UserError(f"the labels {file} are no CSV in UTF-8; write lines: message_id,label") from None
    labelled = [(message_id, name, reason) for message_id, name, reason in rows if message_id and name]
    twice = [message_id for message_id, times in Counter(row[0] for row in labelled).items() if times > 1]
    if twice:
        raise UserError(f"{file} labels {len(twice):,} messages twice (the first: {twice[0][:40]}); keep one")
    return labelled

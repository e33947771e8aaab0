"""Commands for who may use the gateway, and for what it wrote down about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

key = typer.Typer(help="Make, list, rotate and withdraw the gateway's keys.", no_args_is_help=True)
audit = typer.Typer(help="Look at who read or wrote what.", no_args_is_help=True)

Role = Annotated[
    list[str], typer.Option("--role", help="analyst, reviewer, approver, admin or service; repeat it.")
]
Days = Annotated[int, typer.Option(min=0, help="Days until it expires; 0: never.")]
Number = Annotated[str, typer.Argument(help="The key's id, as mailroom key list shows it.")]


@key.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is; the audit shows it.")],
    *,
    role: Role,
    channel: Annotated[list[str] | None, typer.Option(help="Only this channel; repeat it.")] = None,
    custodian: Annotated[
        list[str] | None, typer.Option(help="Only this top-level folder or file of the archive; repeat it.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only messages with this label; repeat it.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only this language; repeat it.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, UTC.")] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day after the last, UTC.")
    ] = None,
    days: Days = 0,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from serving.credentials import add_key
    from serving.scope import Scope

    scope = Scope(
        channels=tuple(channel or ()),
        custodians=tuple(custodian or ()),
        labels=tuple(label or ()),
        languages=tuple(language or ()),
        since=since.date() if since else None,
        until=until.date() if until else None,
    )
    made, text = add_key(name, tuple(role), scope=scope, days=days)
    typer.echo(f"key {made.id} of {made.name}, {', '.join(made.roles)}; it is shown this once:", err=True)
    typer.echo(text)


@key.command("list")
def list_keys() -> None:
    """Show all keys: whose, what for, until when."""
    from rich.console import Console
    from rich.table import Table

    from serving.credentials import read_keys

    table = Table("id", "name", "roles", "limits", "made", "expires", "state", box=None, pad_edge=False)
    for each in read_keys():
        limits = {name: value for name in each.scope.__slots__ if (value := getattr(each.scope, name))}
        words = "; ".join(
            f"{name} {', '.join(value) if isinstance(value, tuple) else value}"
            for name, value in limits.items()
        )
        table.add_row(
            each.id,
            each.name,
            ", ".join(each.roles),
            words or "none",
            each.created[:10],
            each.expires[:10] or "never",
            each.state,
        )
    Console().print(table)


@key.command("revoke")
def revoke(number: Number) -> None:
    """Withdraw a key; a running gateway refuses it from the next request on."""
    from serving.credentials import revoke_key

    typer.echo(f"key {revoke_key(number).id} is withdrawn")


@key.command("rotate")
def rotate(number: Number, *, days: Days = 0) -> None:
    """Withdraw a key and print another with the same name, roles and limits."""
    from serving.credentials import rotate_key

    made, text = rotate_key(number, days=days)
    typer.echo(f"key {number} is withdrawn, {made.id} takes its place; it is shown this once:", err=True)
    typer.echo(text)


@audit.command("verify")
def verify(
    first: Annotated[
        int, typer.Option("--from", min=1, help="The first segment, where those before it were deleted.")
    ] = 1,
) -> None:
    """Check every line of the audit log; the first that is not as it was written is named."""
    from serving.audit import audit_path, verify_audit

    lines, problem = verify_audit(first=first)
    if problem:
        typer.echo(f"{audit_path().parent}: {problem}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{audit_path()}: {lines:,} lines, as they were written")

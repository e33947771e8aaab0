"""What ``mailroom review verify`` shows: each problem in a line, then the table of all links."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from evaluation.chain import Chain


def show(chain: Chain, console: Console) -> None:
    """Print the problems, the links and the hash to keep elsewhere; lines are not wrapped."""
    for problem in chain.problems:
        console.print(f"problem: {problem}", style="red", soft_wrap=True, highlight=False, markup=False)
    table = Table("link", "looked at", "", box=None, pad_edge=False)
    for link in chain.links:
        count = len(link.problems)
        state = "[red]" + (f"{count} problems" if count > 1 else "1 problem") if count else "[green]holds"
        table.add_row(link.name, link.looked_at, state)
    console.print(table)
    if chain.head:
        console.print(
            f"\n{chain.lines} decisions; to see later that none was cut off, keep this elsewhere:\n"
            f"  mailroom review verify --head {chain.head}",
            soft_wrap=True,
            highlight=False,
        )

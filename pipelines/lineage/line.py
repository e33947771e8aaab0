"""One line of a lineage, what stands below it, and how a person or a machine reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

NOT_RECORDED = "not recorded"
WIDEST = 500  # characters of a line: none is wrapped, so that a digest survives being copied


@dataclass(frozen=True, slots=True)
class Line:
    """A fact by its name. Without a value it is not recorded, and the note says where it would be from.

    ``holds`` says whether it was found to be so when it was computed again; None: it was not.
    """

    name: str
    value: str = ""
    note: str = ""
    holds: bool | None = None
    below: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Walk:
    """How a lineage is walked: where the archive lies, if not where it lay, and whether all is checked."""

    archive: str = ""
    check: bool = False

    def holds(self, computed_again: Callable[[], bool]) -> bool | None:
        """Return what computing it again says, if that was asked for."""
        return computed_again() if self.check else None


def is_broken(line: Line) -> bool:
    """Tell whether a line, or any below it, did not hold."""
    return line.holds is False or any(map(is_broken, line.below))


def as_json(line: Line) -> dict[str, Any]:
    """Return the lines as nested objects; what is not recorded is null."""
    return {
        "name": line.name,
        "value": line.value or None,
        "note": line.note,
        "holds": line.holds,
        "below": [as_json(each) for each in line.below],
    }


def show(line: Line, file: IO[str]) -> None:
    """Print the lines as a tree."""
    Console(file=file, width=WIDEST).print(_tree(line), highlight=False)


def _tree(line: Line) -> Tree:
    tree = Tree(_text(line))
    for each in line.below:
        tree.children.append(_tree(each))
    return tree


def _text(line: Line) -> Text:
    mark = {None: ("", ""), True: ("✓ ", "green"), False: ("✗ ", "bold red")}[line.holds]
    value = (line.value, "") if line.value else (NOT_RECORDED, "yellow")
    note = (f"  ({line.note})", "dim") if line.note else ("", "")
    return Text.assemble(mark, (line.name, "bold"), " ", value, note)

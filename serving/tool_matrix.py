"""Which role may call which tool: a declared table that can take rights away and never give any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from data.declared import read_declared
from data.workspace import UserError
from serving.access import RIGHTS, Caller, Right, Role

ToolName = Literal["search", "thread", "classify", "statistics", "summarise", "findings"]
NEEDED: Mapping[ToolName, Right] = {
    "search": "search",
    "thread": "read",
    "classify": "classify",
    "statistics": "count",
    "summarise": "read",
    "findings": "find",
}
ToolMatrix = Mapping[ToolName, tuple[Role, ...]]
DECLARED = Path(__file__).with_name("tools.yaml")


def read_matrix(path: str | Path = "") -> ToolMatrix:
    """Return the declared table.

    Raises:
        UserError: it cannot be read, names a tool or a role that there is not, or gives a tool to a role
            without the right that the tool needs.
    """
    chosen = Path(path) if path else DECLARED
    matrix = read_declared(
        chosen,
        dict[ToolName, tuple[Role, ...]],
        what="the table of tools",
        way_out=f"compare it with {DECLARED}",
    )
    for tool, roles in matrix.items():
        for role in roles:
            if NEEDED[tool] not in RIGHTS[role]:
                raise UserError(
                    f"the table of tools {chosen} gives {tool} to {role}, which has no right to "
                    f"{NEEDED[tool]}; take it out"
                )
    return matrix


def may_call(matrix: ToolMatrix, caller: Caller, tool: ToolName) -> bool:
    """Say whether one of the caller's roles has the tool, and the right that it needs."""
    return any(role in matrix.get(tool, ()) and NEEDED[tool] in RIGHTS[role] for role in caller.roles)

"""Which role may call which tool: a declared table that can take rights away and never give any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from data.workspace import UserError
from serving.access import RIGHTS, Caller, Right, Role

ToolName = Literal["search", "thread", "classify", "statistics", "summarise"]
TOOL_NAMES: tuple[ToolName, ...] = get_args(ToolName)
NEEDED: Mapping[ToolName, Right] = {
    "search": "search",
    "thread": "read",
    "classify": "classify",
    "statistics": "count",
    "summarise": "read",
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
    try:
        document = yaml.safe_load(chosen.read_text(encoding="utf-8"))
        matrix = TypeAdapter(dict[ToolName, tuple[Role, ...]]).validate_python(document or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"the table of tools {chosen} cannot be read: {type(error).__name__}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"]) or "the file"
        raise UserError(f"the table of tools {chosen}: {place}: {first['msg']}") from error
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

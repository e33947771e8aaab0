"""Tools over HTTP: what the caller may call, and a route for each, open to whom the table gives it."""

# No "from __future__ import annotations": FastAPI reads each tool's own body from its route's signature.

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from serving.access import Caller
from serving.door import Doors
from serving.guard import Guards, needs, needs_tool
from serving.problems import MISSING
from serving.tool_matrix import may_call
from serving.tools import TOOLS, Tool, as_function


def add_tool_routes(app: FastAPI, doors: Doors, guards: Guards) -> None:
    """Add the list of tools, and every tool."""

    @app.get("/v1/tools")
    def tools(caller: Annotated[Caller, Depends(needs("me"))]) -> dict[str, Any]:
        allowed = [tool for tool in TOOLS if may_call(guards.tools, caller, tool.name)]
        return {"tools": [as_function(tool) for tool in allowed]}

    for tool in TOOLS:
        _add(app, tool, doors, guards)


def _add(app: FastAPI, tool: Tool, doors: Doors, guards: Guards) -> None:
    @app.post(f"/v1/tools/{tool.name}", name=tool.name, description=tool.does, responses=MISSING)
    def call(
        body: tool.asks,  # type: ignore[name-defined]
        request: Request,
        caller: Annotated[Caller, Depends(needs_tool(tool.name, guards.tools))],
    ) -> Any:
        return tool.run(doors, guards, body, request, caller)

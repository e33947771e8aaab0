"""The tools that an assistant may be given: the routes' own functions, as OpenAI's clients take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from serving import actions
from serving.requests import (
    ClassifyRequest,
    FindingsRequest,
    SearchRequest,
    StatisticsRequest,
    SummariseRequest,
    ThreadRequest,
)
from serving.tool_matrix import ToolName


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: what it does, what it asks for, and the function that does it within the caller's scope."""

    name: ToolName
    does: str
    asks: type[BaseModel]
    run: Callable[..., dict[str, Any] | BaseModel]


TOOLS = (
    Tool(
        "search",
        "Search the archive by meaning, by wording or by both; returns passages with their places.",
        SearchRequest,
        actions.search,
    ),
    Tool("thread", "Read the messages of one thread, oldest first.", ThreadRequest, actions.thread),
    Tool("classify", "Classify messages that are given as text.", ClassifyRequest, actions.classify),
    Tool(
        "statistics",
        "Count messages by channel, month, language, label or sender.",
        StatisticsRequest,
        actions.statistics,
    ),
    Tool(
        "summarise",
        "Summarise one thread in a few sentences, each with its place in a message.",
        SummariseRequest,
        actions.summarise,
    ),
    Tool(
        "findings",
        "Judge the threads that speak of a question: action, risk, policy and the words that say so.",
        FindingsRequest,
        actions.findings,
    ),
)


def as_function(tool: Tool) -> dict[str, Any]:
    """Return a tool in OpenAI's format, its arguments as a JSON schema."""
    function = {"name": tool.name, "description": tool.does, "parameters": tool.asks.model_json_schema()}
    return {"type": "function", "function": function}

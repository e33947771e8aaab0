"""The generator for whoever asks it directly, as OpenAI's chat completions: whole, or as it is written.

What leaves is redacted like everything else, with plain words in place of what was found: a pseudonym
would tell which one belongs to a name that a caller has the model say. A stream says what the whole
answer would say, and no word of it before it is whole. JSON is redacted as its reader decodes it, and
stays JSON or does not leave.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from fastapi import HTTPException

from data.redact import model_view
from serving.actions import redacted
from serving.client import EngineRefusedError
from serving.door import Doors
from serving.guard import Guards, Visit, audited
from serving.openai_requests import ChatRequest
from serving.problems import told
from serving.streams import Events, event
from serving.traces import step

ROUTE = "/v1/chat/completions"
DONE = "data: [DONE]\n\n"
_PIECE = re.compile(r".*?(?:[.!?。！？]+\s*|\n+|$)", re.DOTALL)
WRITING = ": writing\n\n"  # a comment, which readers of events pass over


def complete(doors: Doors, guards: Guards, visit: Visit, body: ChatRequest) -> dict[str, Any]:
    """Return the generator's next turn."""
    with doors.lease() as door, _explained(body), step("generator", max_tokens=body.most_tokens):
        reply = door.client.ask("generator", ROUTE, _asked(body))
    usage = _usage(reply)
    _count(guards, usage)
    choice = reply["choices"][0]
    said, reason = _leaving(choice["message"]["content"] or "", choice["finish_reason"], body)
    message = {"role": "assistant", "content": said}
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    return {**_head(visit, "chat.completion"), "choices": choices, "usage": usage}


def chat_events(doors: Doors, guards: Guards, visit: Visit, body: ChatRequest) -> Events:
    """Yield the generator's next turn in chunks, then ``[DONE]``; closing ends the generation.

    Its words leave when all are written: a name may be known for one by the signature at the end alone.
    Until then there is a comment for each part, so that a reader who leaves is noticed. What fails before
    the first part is raised, what fails after it is an event.
    """
    asked = _asked(body) | {"stream": True}
    asked["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    counted = body.stream_options is not None and body.stream_options.include_usage
    head = _head(visit, "chat.completion.chunk") | ({"usage": None} if counted else {})
    text, usage, reason, begun = [], _usage({}), "stop", False

    def chunk(finish_reason: str | None = None, **delta: str) -> str:
        return event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    try:
        with (
            doors.lease() as door,
            _explained(body),
            closing(door.client.stream("generator", ROUTE, asked)) as written,
        ):
            for part in written:
                usage = _usage(part) if part.get("usage") else usage
                choice: dict[str, Any] = next(iter(part["choices"]), {"delta": {}})
                reason = choice.get("finish_reason") or reason
                text.append(choice["delta"].get("content") or "")
                yield WRITING if begun else chunk(role="assistant", content="")
                begun = True
        said, reason = _leaving("".join(text), reason, body)
        for words in filter(None, _PIECE.findall(said)):
            yield chunk(content=words)
        yield chunk(reason)
        if counted:
            yield event(head | {"choices": [], "usage": usage})
        yield DONE
    except GeneratorExit:
        _note(guards, visit, 200, "left")
        raise
    except Exception as error:
        if not begun:
            raise
        words, code = told(visit, error)
        _note(guards, visit, code, "error")
        yield event({"error": {"message": words, "code": code}})
    finally:
        _count(guards, usage)


def _asked(body: ChatRequest) -> dict[str, Any]:
    turns = [{"role": turn.speaker(), "content": model_view(redacted(turn.text()))} for turn in body.messages]
    return {"messages": turns, **body.for_the_engine()}


@contextmanager
def _explained(body: ChatRequest) -> Iterator[None]:
    """Say of a refused request for JSON what may be wrong with it: the engine says its status alone."""
    try:
        yield
    except EngineRefusedError as error:
        if not body.asks_for_json:
            raise
        raise HTTPException(
            400, f"{error}; vLLM alone writes JSON, and not by every schema: see response_format"
        ) from None


def _leaving(text: str, reason: str, body: ChatRequest) -> tuple[str, str]:
    """Return what may leave of an answer, and why it ends; of JSON nothing when it would be none."""
    said = _redacted_json(text) if body.asks_for_json else model_view(redacted(text))
    return (said, reason) if said is not None else ("", "content_filter")


def _redacted_json(text: str) -> str | None:
    """Redact JSON value by value, since escapes hide what is in them, and then as a whole.

    None when it is no JSON any more, as where a number was an account; what was cut off never was.
    """
    try:
        said = json.dumps(_redacted_values(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return model_view(redacted(text))
    said = model_view(redacted(said))
    try:
        json.loads(said)
    except ValueError:
        return None
    return said


def _redacted_values(value: Any) -> Any:
    if isinstance(value, str):
        return model_view(redacted(value))
    if isinstance(value, list):
        return [_redacted_values(each) for each in value]
    if isinstance(value, dict):
        return {_redacted_values(name): _redacted_values(each) for name, each in value.items()}
    return value


def _head(visit: Visit, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{visit.id}",
        "object": kind,
        "created": int(time.time()),
        "model": "generator",
    }


def _usage(reply: dict[str, Any]) -> dict[str, int]:
    said = reply.get("usage") or {}
    return {name: int(said.get(name) or 0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _count(guards: Guards, usage: dict[str, int]) -> None:
    for kind in ("prompt_tokens", "completion_tokens"):
        guards.metrics.tokens.labels(kind).inc(usage[kind])


def _note(guards: Guards, visit: Visit, status: int, how: str) -> None:
    """Write how a stream ended that did not come to its end; its beginning is on record."""
    with suppress(OSError):
        guards.audit.write(audited(visit, status, event=how))

"""The generator for whoever asks it directly, as OpenAI's chat completions: whole, or as it is written.

What leaves is redacted like everything else, with plain words in place of what was found: a pseudonym
would tell which one belongs to a name that a caller has the model say.
"""

from __future__ import annotations

import re
import time
from contextlib import closing, suppress
from typing import Any

from data.redact import model_view, redact
from data.workspace import secret
from serving.actions import redacted
from serving.door import Doors
from serving.guard import Guards, Visit, audited
from serving.problems import told
from serving.requests import ChatRequest
from serving.streams import Events, event

HELD = 200  # characters that are kept back while the answer goes on: what is found reaches no further
ROUTE = "/v1/chat/completions"
DONE = "data: [DONE]\n\n"
_ENDING = re.compile(r"(?:[.!?][\"')\]]*\s|\n)\s*")
_MARK = len("[_00000000]")


class ChangedAnswerError(Exception):
    """What was sent of an answer is no longer how it would be sent now."""


class Release:
    """Text that grows, let out as it will stand in the whole: redacted, and by sentences.

    A sentence leaves once ``HELD`` characters have followed it, so that whatever is found in it was
    found with what comes after it.
    """

    def __init__(self) -> None:
        self._text = self._sent = ""
        self._end = 0

    def add(self, more: str) -> str:
        """Take what was written and return what may leave now, often nothing.

        Raises:
            ChangedAnswerError: in the light of what followed, it should not have left as it did.
        """
        self._text += more
        endings = _ENDING.finditer(self._text, self._end, max(self._end, len(self._text) - HELD))
        end = max((each.end() for each in endings), default=self._end)
        return self._let_out(end) if end > self._end else ""

    def rest(self) -> str:
        """Return what is left when nothing more comes."""
        return self._let_out(len(self._text))

    def _let_out(self, end: int) -> str:
        found = redact(self._text, key=secret("redaction"))
        before = [span for span in found.spans if span.start < end]
        if before and before[-1].end > end:
            return ""  # it goes on behind the sentence: later
        grown = sum(len(span.kind) + _MARK - (span.end - span.start) for span in before)
        whole = model_view(found.text[: end + grown])
        if not whole.startswith(self._sent):
            raise ChangedAnswerError
        more, self._sent, self._end = whole[len(self._sent) :], whole, end
        return more


def complete(doors: Doors, guards: Guards, visit: Visit, body: ChatRequest) -> dict[str, Any]:
    """Return the generator's next turn."""
    with doors.lease() as door:
        reply = door.client.ask("generator", ROUTE, _asked(body))
    usage = _usage(reply)
    _count(guards, usage)
    choice = reply["choices"][0]
    said = {"role": "assistant", "content": model_view(redacted(choice["message"]["content"] or ""))}
    choices = [{"index": 0, "message": said, "finish_reason": choice["finish_reason"]}]
    return {**_head(visit, "chat.completion"), "choices": choices, "usage": usage}


def chat_events(doors: Doors, guards: Guards, visit: Visit, body: ChatRequest) -> Events:
    """Yield the generator's next turn in chunks, then ``[DONE]``; closing ends the generation.

    What fails before the first word is raised, what fails after it is an event.
    """
    asked = _asked(body) | {"stream": True}
    asked["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    counted = body.stream_options is not None and body.stream_options.include_usage
    head = _head(visit, "chat.completion.chunk") | ({"usage": None} if counted else {})
    release, usage, reason, begun = Release(), _usage({}), "stop", False

    def chunk(finish_reason: str | None = None, **delta: str) -> str:
        return event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    try:
        with doors.lease() as door, closing(door.client.stream("generator", ROUTE, asked)) as written:
            for part in written:
                usage = _usage(part) if part.get("usage") else usage
                choice: dict[str, Any] = next(iter(part["choices"]), {"delta": {}})
                reason = choice.get("finish_reason") or reason
                if not begun:
                    begun = True
                    yield chunk(role="assistant", content="")
                if words := release.add(choice["delta"].get("content") or ""):
                    yield chunk(content=words)
        if words := release.rest():
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
    turns = [{"role": turn.role, "content": model_view(redacted(turn.content))} for turn in body.messages]
    return {"model": "generator", "messages": turns, "max_tokens": body.max_tokens,
            "temperature": body.temperature}  # fmt: skip


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

"""A question answered over the wire: whole, or sources first as server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from serving.answered import record_answer
from serving.answers import Found, citation_of, compose, find
from serving.door import Door, Doors
from serving.guard import Guards, Visit, audited
from serving.problems import told
from serving.streams import event


def found_for(door: Door, guards: Guards, question: str, limits: str) -> Found:
    """Retrieve what speaks of a question (redacted) among messages that meet a condition of Milvus."""
    return find(
        question,
        index=door.index,
        embed=door.embed,
        thresholds=door.bundle.thresholds,
        within=limits,
        reranker=door.reranker,
        seconds=guards.limits.reranking_seconds,
    )


def composed(door: Door, guards: Guards, found: Found) -> tuple[dict[str, Any], list[str]]:
    """Return the answer and the messages it cites; an answer that cannot be recorded is not given."""
    given = compose(found, client=door.client, prompts=door.bundle.prompts)
    name = record_answer(given, found.question, bundle=door.bundle, index=door.index.index)
    guards.metrics.answers.labels(given.origin).inc()
    whole = {"id": name, **asdict(given), "reranking": found.reranking}
    return whole, list(dict.fromkeys(each.message_id for each in given.citations))


def answer_events(doors: Doors, guards: Guards, visit: Visit, question: str, limits: str) -> Iterator[str]:
    """Yield the sources as soon as they are found, then the answer: no word before its source is verified."""
    try:
        with doors.lease() as door:
            found = found_for(door, guards, question, limits)
            seen = list(dict.fromkeys(sentence.message_id for sentence in found.shown))
            guards.audit.write(audited(visit, 200, messages=seen, event="sources"))
            yield event({"citations": [asdict(citation_of(each)) for each in found.shown]}, name="sources")
            whole, seen = composed(door, guards, found)
            guards.audit.write(audited(visit, 200, messages=seen, event="answer", answer=whole["id"]))
            yield event(whole, name="answer")
    except Exception as error:
        words, code = told(visit, error)
        with suppress(OSError):
            guards.audit.write(audited(visit, code, event="error"))
        yield event({"message": words, "code": code}, name="error")

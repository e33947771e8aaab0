"""What a caller can have done, by a route of its own or as a tool: one function each, one scope for both."""

from __future__ import annotations

from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from fastapi import HTTPException, Request

from data.label_sets import members
from data.model_input import classifier_input
from data.redact import redact
from data.workspace import secret
from serving.access import Caller
from serving.archive import MOST, Archive, ThreadPage, WholeThread
from serving.canary import classified
from serving.door import Door, Doors
from serving.embed import question_input
from serving.findings import FINDING_S, Finding, Findings, find_in_thread, most_risky_first
from serving.guard import Guards, saw
from serving.holds import TooManyHeldError, few_enough
from serving.index import Mode
from serving.limits import deadline, seconds_left
from serving.requests import (
    ClassifyRequest,
    Filters,
    FindingsRequest,
    SearchRequest,
    StatisticsRequest,
    SummariseRequest,
    ThreadRequest,
)
from serving.reranking import Ranked, search_best
from serving.scope import Among, Limit, Scope, within
from serving.statistics import Statistics, TooManyGroupsError, count_messages
from serving.summary import COMPARED, Summary, summarise_thread
from serving.traces import asked

FOUND = 50  # passages that are looked at for the threads that they stand in


def search(
    doors: Doors, guards: Guards, body: SearchRequest, request: Request, caller: Caller
) -> dict[str, Any]:
    """Return the nearest chunks among what the caller may see; a reranker reads those of a hybrid search."""
    question = redacted(body.question)
    asked(question)
    with doors.lease() as door:
        limits = limits_of(door, body.filters, request, caller)
        vector = door.embed([question_input(question)])
        if body.mode == "hybrid":
            seconds, model = guards.limits.reranking_seconds, door.reranker
            ranked = search_best(question, vector, index=door.index, k=body.k,
                                 reranker=model, seconds=seconds, within=limits)  # fmt: skip
        else:
            hits = door.index.search([question], vector, k=body.k, mode=body.mode, within=limits)[0]
            ranked = Ranked(tuple(hits))
    saw(request, list(dict.fromkeys(hit.message_id for hit in ranked.hits)))
    return {"hits": _as_json(ranked, body.mode), "reranking": ranked.reranking}


def thread(
    doors: Doors, _guards: Guards, body: ThreadRequest, request: Request, caller: Caller
) -> dict[str, Any]:
    """Return messages of a thread that the caller may see, the newest or those before one, oldest first."""
    with doors.lease() as door:
        page = page_of_thread(door, body.thread_id, request, caller, most=body.limit, before=body.before)
    saw(request, [row["message_id"] for row in page.messages])
    return {
        "thread_id": body.thread_id,
        "total": page.total,
        "messages": list(page.messages),
        "older": page.older,
    }


def classify(
    doors: Doors, guards: Guards, body: ClassifyRequest, request: Request, _caller: Caller
) -> dict[str, Any]:
    """Return labels and probabilities of messages that the caller brings.

    ``label`` is the one label, or the set of all in ``labels``; ``probability`` is of the surest of them.
    """
    texts = [classifier_input(redacted(each.subject), redacted(each.text)) for each in body.messages]
    with doors.lease() as door:
        answering, scores = classified(doors.trial, door, texts)
        rows, called = answering.calibrated(scores), answering.called(scores)
        labels, release = answering.labels, answering.bundle.release_id
    results = []
    for row, label in zip(rows, called, strict=True):
        probabilities = dict(zip(labels, row.tolist(), strict=True))
        given = members(label)
        sure = max(probabilities[each] for each in given)
        for each in given:
            guards.metrics.labels.labels(each).inc()
        guards.metrics.confidence.observe(sure)
        results.append({"label": label, "labels": given, "probability": sure, "probabilities": probabilities})
    saw(request, [], classified=len(results), release=release)
    return {"release": release, "results": results}


def statistics(
    doors: Doors, _guards: Guards, body: StatisticsRequest, request: Request, caller: Caller
) -> Statistics:
    """Return counts over the messages that the caller may see."""
    with doors.lease() as door:
        try:
            scopes = scopes_of(door, body.filters, request, caller)
            counted = count_messages(archive_of(door), *scopes, by=body.group_by, limit=body.limit)
        except TooManyGroupsError:
            raise HTTPException(400, "there are too many groups; filter, or group by less") from None
    saw(request, [], grouped_by=body.group_by, counted=counted.total)
    return counted


def summarise(
    doors: Doors, guards: Guards, body: SummariseRequest, request: Request, caller: Caller
) -> Summary:
    """Return a summary of those messages of a thread that the caller may see."""
    with doors.lease() as door:
        whole = whole_thread(door, body.thread_id, request, caller, most=COMPARED)
        rows = {row["message_id"]: row for part in whole.parts for row in part}
        summary = summarise_thread(
            body.thread_id,
            [rows[message_id] for message_id in whole.ids if message_id in rows],
            total=len(whole.ids),
            count=body.sentences,
            client=door.client,
            prompts=door.bundle.prompts,
        )
    guards.metrics.summaries.labels(summary.origin).inc()
    saw(request, list(dict.fromkeys(each.message_id for each in summary.sentences)), origin=summary.origin)
    return summary


def finding(doors: Doors, guards: Guards, thread_id: str, request: Request, caller: Caller) -> Finding:
    """Return what those messages of a thread mean that the caller may see."""
    with doors.lease() as door:
        found = finding_behind(door, guards, whole_thread(door, thread_id, request, caller), thread_id)
    read = [each.message_id for each in found.messages]
    saw(request, read, action=found.action, label=found.label, total=found.total)
    return found


def findings(
    doors: Doors, guards: Guards, body: FindingsRequest, request: Request, caller: Caller
) -> Findings:
    """Return what those threads mean that speak of a question, as far as the caller may see them."""
    question = redacted(body.question)
    asked(question)
    with doors.lease() as door:
        archive = archive_of(door)
        limits = limits_of(door, body.filters, request, caller)
        vector = door.embed([question_input(question)])
        hits = door.index.search([question], vector, k=FOUND, mode="hybrid", within=limits)[0]
        names = list(dict.fromkeys(hit.thread_id for hit in hits))[: body.threads]
        found = []
        for place, name in enumerate(names):
            with deadline(seconds_left(FINDING_S) / (len(names) - place)):
                if whole := archive.whole_thread(name, caller.scope):
                    found.append(finding_behind(door, guards, whole, name))
    ordered = most_risky_first(found)
    read = [message.message_id for each in ordered.findings for message in each.messages]
    saw(request, read, findings=[_on_record(each) for each in ordered.findings])
    return ordered


def _on_record(found: Finding) -> dict[str, Any]:
    return {"asked": found.thread_id, "action": found.action, "label": found.label, "total": found.total}


def finding_behind(door: Door, guards: Guards, whole: WholeThread, thread_id: str) -> Finding:
    """Judge a thread by the classifier and the policy."""
    return find_in_thread(
        thread_id,
        whole.parts,
        order=whole.ids,
        classify=door.classify,
        labels=door.labels,
        temperature=door.bundle.thresholds.temperature,
        several=door.thresholds is not None,
        policy=guards.policy,
    )


def limits_of(door: Door, filters: Filters, request: Request, caller: Caller) -> str:
    """Return the condition of Milvus for what the caller may see and asks for."""
    scopes = scopes_of(door, filters, request, caller)
    if filters.asks_for_holds:
        try:
            scopes = few_enough(archive_of(door), scopes)
        except TooManyHeldError:
            raise HTTPException(400, "the holds cover too many messages; filter by days, too") from None
    return within(*scopes)


def scopes_of(door: Door, filters: Filters, request: Request, caller: Caller) -> tuple[Limit, ...]:
    """Return what the caller may see, and what is asked for.

    Raises:
        HTTPException: it asks for legal holds, and the caller has no right to, or there is none so called.
    """
    scopes = (caller.scope, filtered(door, filters))
    if not filters.asks_for_holds:
        return scopes
    if not caller.may("hold"):
        request.scope["visit"].refused = "right"
        raise HTTPException(403, "this key has no right to filter by legal holds")
    archive = archive_of(door)
    try:
        held = archive.holds.of(archive, filters.holds)
    except KeyError:
        raise HTTPException(404, "there is no legal hold of this name now; see /v1/me") from None
    # only what exists: a name that does not is a caller's own words, which the audit must not keep
    saw(request, [], held=filters.held is not False, holds=filters.holds)
    return (*scopes, Among(held, inside=filters.held is not False))


def page_of_thread(
    door: Door, thread_id: str, request: Request, caller: Caller, *, most: int = MOST, before: str = ""
) -> ThreadPage:
    """Return messages of a thread that the caller may see; 404 when there are none."""
    page = archive_of(door).thread(thread_id, caller.scope, most=most, before=before)
    if page is None:
        raise HTTPException(404, "there is no such thread")
    saw(request, [], asked=thread_id)  # one that does not exist is a caller's own words
    return page


def whole_thread(
    door: Door, thread_id: str, request: Request, caller: Caller, *, most: int | None = None
) -> WholeThread:
    """Return a thread to read to its end, as far as the caller may see it; 404 when there is none."""
    whole = archive_of(door).whole_thread(thread_id, caller.scope, most=most)
    if whole is None:
        raise HTTPException(404, "there is no such thread")
    saw(request, [], asked=thread_id)
    return whole


def filtered(door: Door, filters: Filters) -> Scope:
    """Return what a caller filters by; a label finds every set that it is in.

    A caller's own limit is not widened so: who may see one label does not see what else has it. Which sets
    there are stands in the dataset; without it such a filter would leave them out in silence, and is 503.
    """
    asks_for_sets = bool(filters.labels) and door.thresholds is not None
    return filters.scope().with_sets(archive_of(door).labels if asks_for_sets else ())


def archive_of(door: Door) -> Archive:
    """Return the messages behind a door; 503 when they are not at hand."""
    if door.archive is None:
        raise HTTPException(503, "the dataset of this index is not at hand; search and ask work without it")
    return door.archive


def redacted(text: str) -> str:
    """Redact as the archive was redacted, so that the same person has the same pseudonym."""
    return redact(text, key=secret("redaction")).text


def _as_json(ranked: Ranked, mode: Mode) -> list[dict[str, Any]]:
    """Return the hits without their BM25 weight, which counts how many other messages use a word."""
    shown = []
    for rank, (hit, relevance) in enumerate(zip_longest(ranked.hits, ranked.relevance), start=1):
        similarity = hit.similarity if hit.similarity == hit.similarity else None  # JSON knows no NaN
        score = 1 / rank if mode == "bm25" else hit.score
        shown.append(asdict(hit) | {"similarity": similarity, "score": score, "relevance": relevance})
    return shown

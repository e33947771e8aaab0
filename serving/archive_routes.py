"""The routes that read the archive, and the one that labels it: each within the caller's scope."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse

from data import feedback
from data.label_sets import as_written, is_multi_label, members
from data.workspace import UserError
from serving import actions
from serving.access import Caller
from serving.archive import MOST
from serving.asking import answer_events, composed, found_for
from serving.door import Door, Doors
from serving.findings import Finding, Findings
from serving.guard import Guards, audited, needs, saw
from serving.problems import EVENTS, MISSING, Documented
from serving.requests import (
    NAME,
    AskRequest,
    FeedbackRequest,
    FindingsRequest,
    SearchRequest,
    SummariseRequest,
    SummaryRequest,
    ThreadRequest,
)
from serving.summary import Summary

Name = Annotated[str, Path(pattern=NAME)]
HIT = {
    "chunk_id": "b1b4a6033de8a20e1d05280c:0", "message_id": "b1b4a6033de8a20e1d05280c",
    "thread_id": "0c85da06e1d4b2f59c7a3b11", "start": 0, "end": 64, "score": 0.0325, "similarity": 0.71,
    "text": "The lease of the harbour warehouse ends on 30 June.", "subject": "Harbour lease",
    "sent_at": "2026-03-01T00:00:00+00:00", "channel": "email", "relevance": 0.97,
}  # fmt: skip
ANSWER = {
    "id": "answer-0123456789abcdef", "text": "The lease of the harbour warehouse ends on 30 June.",
    "citations": [{"message_id": "b1b4a6033de8a20e1d05280c", "start": 0, "end": 51,
                   "chunk_id": "b1b4a6033de8a20e1d05280c:0"}],
    "supported": True, "origin": "generated", "similarity": 0.71, "reranking": "done",
}  # fmt: skip
ANSWERED: Documented = {200: {"content": EVENTS[200]["content"] | {"application/json": {"example": ANSWER}}}}
FOUND: Documented = {
    200: {"content": {"application/json": {"example": {"hits": [HIT], "reranking": "done"}}}}
}


def add_archive_routes(app: FastAPI, doors: Doors, guards: Guards) -> None:
    """Add search, answers, messages, threads, findings, summaries and labels."""
    _add_questions(app, doors, guards)
    _add_messages(app, doors, guards)
    _add_findings(app, doors, guards)
    _add_labels(app, doors, guards)


def _add_questions(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.post("/v1/search", responses=FOUND | MISSING)
    def search(
        body: SearchRequest, request: Request, caller: Annotated[Caller, Depends(needs("search"))]
    ) -> dict[str, Any]:
        return actions.search(doors, guards, body, request, caller)

    @app.post("/v1/ask", responses=ANSWERED | MISSING, response_model=None)
    def ask(
        body: AskRequest, request: Request, caller: Annotated[Caller, Depends(needs("ask"))]
    ) -> dict[str, Any] | StreamingResponse:
        question = actions.redacted(body.question)
        with doors.lease() as door:
            limits = actions.limits_of(door, body.filters, request, caller)
        if body.stream:
            events = answer_events(doors, guards, request.scope["visit"], question, limits)
            return StreamingResponse(events, media_type="text/event-stream")
        with doors.lease() as door:
            whole, seen = composed(door, guards, found_for(door, guards, question, limits))
        saw(request, seen, answer=whole["id"])
        return whole


def _add_messages(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.get("/v1/messages/{message_id}", responses=MISSING)
    def message(
        message_id: Name, request: Request, caller: Annotated[Caller, Depends(needs("read"))]
    ) -> dict[str, Any]:
        with doors.lease() as door:
            found = actions.archive_of(door).message(message_id, caller.scope)
        if found is None:
            raise HTTPException(404, "there is no such message")
        saw(request, [message_id])
        return found

    @app.get("/v1/threads/{thread_id}", responses=MISSING)
    def thread(
        thread_id: Name,
        request: Request,
        caller: Annotated[Caller, Depends(needs("read"))],
        limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
        before: Annotated[str, Query(pattern=rf"{NAME}|^$")] = "",
    ) -> dict[str, Any]:
        asked = ThreadRequest(thread_id=thread_id, limit=limit, before=before)
        return actions.thread(doors, guards, asked, request, caller)


def _add_findings(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.post("/v1/threads/{thread_id}/finding", responses=MISSING)
    def finding(
        thread_id: Name, request: Request, caller: Annotated[Caller, Depends(needs("find"))]
    ) -> Finding:
        return actions.finding(doors, guards, thread_id, request, caller)

    @app.post("/v1/findings", responses=MISSING)
    def findings(
        body: FindingsRequest, request: Request, caller: Annotated[Caller, Depends(needs("find"))]
    ) -> Findings:
        return actions.findings(doors, guards, body, request, caller)

    @app.post("/v1/threads/{thread_id}/summary", responses=MISSING)
    def summary(
        thread_id: Name,
        body: SummaryRequest,
        request: Request,
        caller: Annotated[Caller, Depends(needs("read"))],
    ) -> Summary:
        asked = SummariseRequest(thread_id=thread_id, sentences=body.sentences)
        return actions.summarise(doors, guards, asked, request, caller)


def _add_labels(app: FastAPI, doors: Doors, guards: Guards) -> None:
    @app.post("/v1/feedback", responses=MISSING)
    def label(
        body: FeedbackRequest, request: Request, caller: Annotated[Caller, Depends(needs("label"))]
    ) -> dict[str, str]:
        with doors.lease() as door:
            if actions.archive_of(door).message(body.message_id, caller.scope) is None:
                raise HTTPException(404, "there is no such message")
            said = _known_label(door, body.label)
        try:
            feedback.refuse_telling_reason(body.reason)
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        # The audit first: a label that could not be audited is not signed.
        guards.audit.write(audited(request.scope["visit"], 0, event="label", messages=[body.message_id]))
        labelled = [(body.message_id, said, body.reason)]
        proposed = guards.labels.history_of(body.message_id)
        feedback.add(feedback.as_proposed(labelled, proposed), reviewer=caller.signer)
        saw(request, [body.message_id], label=said)
        return {"message_id": body.message_id, "label": said, "reviewer": caller.signer}


def _known_label(door: Door, label: str) -> str:
    """Return a label, or a set of them, as it is written; 400 where the classifier does not say so."""
    said = as_written(label)
    if not said or not set(members(said)) <= set(door.labels):
        raise HTTPException(400, "the classifier does not know this label; see /v1/me")
    if door.thresholds is None and is_multi_label([said]):
        raise HTTPException(400, "messages have one label here; say one")
    return said

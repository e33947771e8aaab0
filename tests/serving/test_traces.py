"""A traced request tells where its time went, under the audit's name for it, and no message's text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_gateway import client_of, made_door, open_guards

from serving.audit import audit_path
from serving.traces import EXPERIMENT, as_step, start_tracing, stop_tracing, traced


def traces() -> list[dict[str, Any]]:
    import mlflow

    number = mlflow.get_experiment_by_name(EXPERIMENT).experiment_id
    return [each.to_dict() for each in mlflow.search_traces(locations=[number], return_type="list")]


@pytest.mark.slow
def test_a_trace_names_its_request_and_its_steps_and_quotes_no_message(
    tmp_path: Path, workspace: Path, small_dataset: Path
) -> None:
    door = made_door(tmp_path, small_dataset)
    door = replace(door, embed=as_step("embedder", door.embed))
    start_tracing(1.0)
    try:
        with open_guards() as guards:
            client = client_of(door, guards)
            answer = client.post("/v1/ask", json={"question": "When did ada@example.org end the lease?"})
            denied = client_of(door, guards, key="").get("/v1/models")
            turns = [{"role": "user", "content": "Say hello."}]
            chat = client_of(door, guards, "service").post("/v1/chat/completions", json={"messages": turns})
    finally:
        stop_tracing()

    assert (200, 401) == (answer.status_code, denied.status_code)
    found = {each["info"]["client_request_id"]: each for each in traces()}
    trace = found[answer.headers["x-request-id"]]
    spans = {span["name"]: span for span in trace["data"]["spans"]}
    told = {name: json.loads(value) for name, value in spans["request"]["attributes"].items()}
    assert ("/v1/ask", 200) == (told["route"], told["status"])
    assert {"question": "When did email end the lease?"} == told["mlflow.spanInputs"]
    assert spans["embedder"]["parent_span_id"] == spans["request"]["span_id"]
    chatted = {span["name"]: span for span in found[chat.headers["x-request-id"]]["data"]["spans"]}
    assert chatted["generator"]["parent_span_id"] == chatted["request"]["span_id"]
    assert "hello" not in json.dumps(chatted).lower()
    assert answer.headers["x-request-id"] in audit_path().read_text()
    assert denied.headers["x-request-id"] not in found
    assert "30 June" in answer.text
    assert "30 June" not in json.dumps(trace)


@pytest.mark.slow
def test_a_trace_has_the_type_of_an_error_and_none_of_its_words(tmp_path: Path, workspace: Path) -> None:
    def failing(_: object) -> None:
        raise ValueError("a quoted subject")

    start_tracing(1.0)
    try:
        with pytest.raises(ValueError, match="quoted"), traced("r" * 12, "POST"):
            as_step("embedder", failing)(["text"])
    finally:
        stop_tracing()

    told = json.dumps(traces())
    assert "ValueError" in told
    assert "quoted" not in told


def test_without_a_share_nothing_is_traced(tmp_path: Path, workspace: Path, small_dataset: Path) -> None:
    start_tracing(0.0)
    with open_guards() as guards:
        client_of(made_door(tmp_path, small_dataset), guards).get("/v1/models")
    stop_tracing()

    assert not (tmp_path / "mlflow.db").exists()

"""A reranker changes the order of what the search found, and never whether there is an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from made_gateway import MadeIndex, client_of, made_door
from made_page import searching_door
from made_reranker import write_reranker
from test_chat import served

from data.workspace import UserError
from serving.client import (
    EngineClient,
    EngineRefusedError,
    EngineStartingError,
    EngineUnavailableError,
    engine_client,
)
from serving.door import Door, Doors
from serving.embed import Vectors, passage_input, question_input
from serving.engines import engines
from serving.evidence import RETRIEVED
from serving.guard import Guards
from serving.index import Hit
from serving.launch import ROLES, engine_model
from serving.limits import DeadlineError, Limits, deadline, seconds_left
from serving.reranker import check_candidates, longest_pair
from serving.reranking import Reranker
from serving.sleep import Sleeper
from serving.transformers_engine import PairScorer

ASKED = {"question": "When does the lease of the harbour warehouse end?"}
FAILURES: dict[str, Exception] = {
    "unavailable": EngineUnavailableError("reranker"),
    "starting": EngineStartingError("reranker"),
    "late": DeadlineError(),
}


def hits_of(count: int) -> list[Hit]:
    return [
        Hit(f"c{place}", f"m{place}", "t", 0, 5, 1 / (place + 1), 0.5, f"text {place}", "", "", "email")
        for place in range(count)
    ]


def last_first(_question: str, texts: Sequence[str]) -> Vectors:
    return np.arange(len(texts), dtype=np.float32)


def failing(error: Exception) -> Callable[[str, Sequence[str]], Vectors]:
    def score(_question: str, _texts: Sequence[str]) -> Vectors:
        raise error

    return score


class DeepIndex(MadeIndex):
    """Finds twenty chunks, of which the last one alone says when the lease ends."""

    def __init__(self, dataset: Path) -> None:
        super().__init__(dataset)
        whole, *_ = self.hits
        others = [
            replace(each, text="The canteen of the warehouse serves soup and bread.") for each in hits_of(19)
        ]
        self.hits = [*others, whole]
        self.asked: list[int] = []

    def search(self, questions: Sequence[str], vectors: Vectors, *, k: int, **_: Any) -> list[list[Hit]]:
        self.asked.append(k)
        return [self.hits[:k] for _ in questions]


@pytest.fixture
def deep(tmp_path: Path, workspace: Path, small_dataset: Path) -> tuple[Door, DeepIndex]:
    index = DeepIndex(small_dataset)
    return replace(made_door(tmp_path / "bundle", small_dataset), index=index), index  # type: ignore[arg-type]


def ids(reply: httpx.Response) -> list[str]:
    return [hit["chunk_id"] for hit in reply.json()["hits"]]


def test_the_first_candidates_come_in_the_order_of_their_scores_and_the_rest_stays():
    ranked = Reranker(last_first, candidates=3).reorder("q", hits_of(5))

    assert ["c2", "c1", "c0", "c3", "c4"] == [hit.chunk_id for hit in ranked.hits]
    assert "done" == ranked.reranking
    assert pytest.approx([0.881, 0.731, 0.5], abs=1e-3) == list(ranked.relevance)


def test_equal_scores_keep_the_order_of_the_search():
    ranked = Reranker(lambda _, texts: np.zeros(len(texts), np.float32), 50).reorder("q", hits_of(4))

    assert hits_of(4) == list(ranked.hits)


def test_it_reads_the_question_and_the_chunks_as_the_embedder_does_without_a_pseudonym():
    told: list[str] = []

    def score(question: str, texts: Sequence[str]) -> Vectors:
        told.extend([question, *texts])
        return last_first(question, texts)

    hit = replace(hits_of(1)[0], subject="Rumour", text="[PERSON_5e6f7a8b] heard that it is announced.")
    Reranker(score, 50).reorder("What did [PERSON_5e6f7a8b] hear?", [hit])

    assert [question_input("What did [PERSON_5e6f7a8b] hear?"), passage_input("Rumour", hit.text)] == told
    assert "5e6f7a8b" not in "".join(told)


def test_a_search_is_reordered_and_says_so(deep: tuple[Door, DeepIndex], guards: Guards):
    door, index = deep
    plain = client_of(door, guards).post("/v1/search", json=ASKED | {"k": 3})
    reordered = client_of(replace(door, reranker=Reranker(last_first, 20)), guards).post(
        "/v1/search", json=ASKED | {"k": 3}
    )

    assert ("off", "done") == (plain.json()["reranking"], reordered.json()["reranking"])
    assert [each.chunk_id for each in index.hits[:3]] == ids(plain)
    assert [each.chunk_id for each in index.hits[:-4:-1]] == ids(reordered)
    assert [None] * 3 == [hit["relevance"] for hit in plain.json()["hits"]]
    relevance = [hit["relevance"] for hit in reordered.json()["hits"]]
    assert relevance == sorted(relevance, reverse=True)
    assert [3, 20] == index.asked  # without a reranker nothing more is searched for


def test_more_hits_than_candidates_are_all_there(deep: tuple[Door, DeepIndex], guards: Guards):
    door, index = deep

    reply = client_of(replace(door, reranker=Reranker(last_first, 2)), guards).post(
        "/v1/search", json=ASKED | {"k": 20}
    )

    first, second, *others = [each.chunk_id for each in index.hits]
    assert [second, first, *others] == ids(reply)
    assert [None] * 18 == [hit["relevance"] for hit in reply.json()["hits"]][2:]


@pytest.mark.parametrize("mode", ["dense", "bm25"])
def test_who_asks_for_one_way_of_searching_gets_its_order(door: Door, guards: Guards, mode: str):
    gateway = client_of(replace(door, reranker=Reranker(failing(AssertionError()), 50)), guards)

    reply = gateway.post("/v1/search", json=ASKED | {"mode": mode})

    assert (200, "off") == (reply.status_code, reply.json()["reranking"])


def test_an_answer_is_looked_for_in_what_the_reranker_puts_first(
    deep: tuple[Door, DeepIndex], guards: Guards
):
    door, index = deep
    assert len(index.hits) > RETRIEVED

    without = client_of(door, guards).post("/v1/ask", json=ASKED).json()
    found = client_of(replace(door, reranker=Reranker(last_first, 20)), guards).post("/v1/ask", json=ASKED)

    cited = [each["message_id"] for each in found.json()["citations"]]
    assert [index.hits[-1].message_id] == cited
    assert index.hits[-1].message_id not in [each["message_id"] for each in without["citations"]]
    assert ("off", "done") == (without["reranking"], found.json()["reranking"])


@pytest.mark.parametrize("outcome", FAILURES)
def test_an_engine_that_does_not_answer_costs_the_order_alone(
    deep: tuple[Door, DeepIndex], guards: Guards, outcome: str
):
    door, index = deep
    counted = guards.metrics.rerankings

    def observe(said: str) -> None:
        counted.labels(said).inc()

    reranker = Reranker(failing(FAILURES[outcome]), 20, observe)
    gateway = client_of(replace(door, reranker=reranker), guards)
    searched, asked = (gateway.post(route, json=ASKED) for route in ("/v1/search", "/v1/ask"))
    streamed = gateway.post("/v1/ask", json=ASKED | {"stream": True})

    assert (200, 200) == (searched.status_code, asked.status_code)
    assert [each.chunk_id for each in index.hits[:10]] == ids(searched)
    assert [outcome] * 2 == [searched.json()["reranking"], asked.json()["reranking"]]
    assert f'"reranking": "{outcome}"' in streamed.text
    value = guards.metrics.registry.get_sample_value("mailroom_rerankings_total", {"outcome": outcome})
    assert 3 == value


def test_a_request_that_the_engine_refuses_keeps_the_order_of_the_search():
    ranked = Reranker(failing(EngineRefusedError("reranker", 400)), 50).reorder("q", hits_of(3))

    assert (hits_of(3), "unavailable") == (list(ranked.hits), ranked.reranking)


def test_it_has_its_own_share_of_the_time_and_never_more_than_the_request_has():
    given = []

    def score(_question: str, _texts: Sequence[str]) -> Vectors:
        given.append(seconds_left(1000))
        raise DeadlineError

    with deadline(100):
        assert "late" == Reranker(score, 50).reorder("q", hits_of(2), seconds=7).reranking
    with deadline(3):
        Reranker(score, 50).reorder("q", hits_of(2), seconds=7)
    with deadline(-1), pytest.raises(DeadlineError):
        Reranker(score, 50).reorder("q", hits_of(2), seconds=7)

    assert given[0] <= 7
    assert given[1] <= 3
    assert 2 == len(given)


@pytest.mark.parametrize("route", ["/v1/search", "/v1/ask"])
def test_a_hanging_engine_holds_up_nobody_longer_than_the_settings_say(
    door: Door, guards: Guards, route: str
):
    app, released = FastAPI(), threading.Event()

    @app.post("/score")
    def score(_body: dict[str, Any]) -> dict[str, Any]:
        released.wait(60)
        return {"data": []}

    hurried = replace(guards, limits=Limits(seconds=60, reranking_seconds=0.3))
    with served(app) as url, httpx.Client(trust_env=False) as http:
        reranker = Reranker(EngineClient({"reranker": url}, http).score, 50)
        reply = client_of(replace(door, reranker=reranker), hurried).post(route, json=ASKED)
        was_released = released.is_set()
        released.set()

    assert (200, "late", False) == (reply.status_code, reply.json()["reranking"], was_released)


def test_nobody_waits_for_a_reranker_that_sleeps_and_it_starts(door: Door, guards: Guards):
    app, sleeper = FastAPI(), Sleeper(asleep=True)

    @app.post("/score")
    def score(body: dict[str, Any]) -> dict[str, Any]:
        rows = [{"index": place, "score": float(place)} for place in range(len(body["documents"]))]
        return {"data": rows[::-1]}  # an engine may answer in any order

    with served(app) as url, httpx.Client(trust_env=False) as http:
        client = EngineClient({"reranker": url}, http, sleepers={"reranker": sleeper})
        gateway = client_of(replace(door, reranker=Reranker(client.score, 50)), guards)
        first = gateway.post("/v1/search", json=ASKED)
        is_wanted = sleeper.is_wanted(0)
        sleeper.awake()
        second = gateway.post("/v1/search", json=ASKED)

    assert ("starting", True, "done") == (first.json()["reranking"], is_wanted, second.json()["reranking"])
    assert ids(second) == ids(first)[::-1]


def test_texts_are_scored_in_batches_and_an_empty_one_is_a_text():
    asked: list[dict[str, Any]] = []
    app = FastAPI()

    @app.post("/score")
    def score(body: dict[str, Any]) -> dict[str, Any]:
        asked.append(body)
        rows = [
            {"index": place, "score": float(text)}
            for place, text in enumerate(body["documents"])
            if text.strip()
        ]
        return {"data": rows or [{"index": 0, "score": -1.0}]}

    with served(app) as url, httpx.Client(trust_env=False) as http:
        client = EngineClient({"reranker": url}, http)
        scores = client.score("q", [str(number) for number in range(70)])
        assert [-1.0] == client.score("q", [""]).tolist()
        assert [] == client.score("q", []).tolist()

    assert list(map(float, range(70))) == scores.tolist()
    assert [16, 16, 16, 16, 6, 1] == [len(body["documents"]) for body in asked]
    assert " " == asked[-1]["documents"][0]


class Ready:
    """A client whose reranker is gone."""

    asleep: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset({"reranker"})

    def is_ready(self, role: str) -> bool:
        return role != "reranker"


def test_a_gateway_without_its_reranker_is_ready_and_says_that_it_is_gone(door: Door, guards: Guards):
    doors = Doors()
    having = replace(door, client=Ready(), reranker=Reranker(last_first, 50))  # type: ignore[arg-type]
    gateway = client_of(having, guards, doors=doors)

    def is_up() -> float | None:
        assert gateway.get("/metrics").is_success
        return guards.metrics.registry.get_sample_value("mailroom_engine_up", {"role": "reranker"})

    ready = gateway.get("/readyz")

    assert (200, False) == (ready.status_code, ready.json()["engines"]["reranker"])
    assert 0 == is_up()
    doors.open(replace(door, client=Ready()), ExitStack())  # type: ignore[arg-type]
    assert is_up() is None, "the next bundle has none: nothing is down"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "modernbert"])
def test_a_cross_encoder_of_every_served_kind_is_taken(tmp_path: Path, kind: str):
    model = engine_model("reranker", write_reranker(tmp_path / "model", kind, positions=128))

    assert 128 == model.longest_input
    assert 512 == longest_pair(write_reranker(tmp_path / "long", kind, positions=1024))


@pytest.mark.slow
def test_what_is_no_cross_encoder_is_refused(tmp_path: Path, frozen_embedder: Path):
    with pytest.raises(UserError, match="has 3 labels"):
        engine_model("reranker", write_reranker(tmp_path / "three", labels=3))
    with pytest.raises(UserError, match="architecture BertModel cannot be served"):
        engine_model("reranker", frozen_embedder)
    with pytest.raises(UserError, match=r"architecture DistilBert\w+ cannot be served"):
        engine_model("reranker", write_reranker(tmp_path / "other", "distilbert"))
    with pytest.raises(UserError, match="holds no model"):
        engine_model("reranker", tmp_path)


@pytest.mark.parametrize("candidates", [0, 1, 201])
def test_a_number_of_candidates_that_makes_no_sense_is_refused(candidates: int):
    with pytest.raises(UserError, match="choose from 2 to 200"):
        check_candidates(candidates)


@pytest.mark.slow
def test_the_gateway_searches_in_the_order_of_the_engine_until_that_is_gone(
    tmp_path: Path, workspace: Path, small_dataset: Path, frozen_embedder: Path, guards: Guards
):
    folder = write_reranker(tmp_path / "models" / "reranker")
    with searching_door(tmp_path, small_dataset, frozen_embedder) as door:
        plain = client_of(door, guards).post("/v1/search", json=ASKED | {"k": 50}).json()["hits"]
        with (
            engines(tmp_path / "models", "transformers", roles=("reranker",)) as running,
            engine_client(running) as client,
        ):
            gateway = client_of(replace(door, reranker=Reranker(client.score, 50)), guards)
            reordered = gateway.post("/v1/search", json=ASKED | {"k": 50})
            answered = gateway.post("/v1/ask", json=ASKED)
            running.servers[0].process.kill()
            running.servers[0].process.wait()
            left = gateway.post("/v1/search", json=ASKED | {"k": 50})

    texts = [passage_input(hit["subject"], hit["text"]) for hit in plain]
    scores = PairScorer(folder).scores(question_input(ASKED["question"]), texts, batch=1)
    given = [hit["chunk_id"] for hit in plain]
    assert [given[place] for place in np.argsort(-scores, kind="stable")] == ids(reordered)
    assert given != ids(reordered)
    assert ("done", 200) == (answered.json()["reranking"], answered.status_code)
    assert (given, "unavailable") == (ids(left), left.json()["reranking"])


def test_every_bundle_has_three_engines_and_some_have_four(door: Door):
    assert ROLES == door.roles
    assert (*ROLES, "reranker") == replace(door, reranker=Reranker(last_first, 50)).roles

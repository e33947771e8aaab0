"""An engine that sleeps starts for the first request that needs it, and holds up nobody else."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from made_gateway import client_of, made_door
from test_bundle import write_bundle, write_manifest
from test_chat import served
from test_door import wait_until

from data.workspace import UserError
from serving import door as opened
from serving import pool, supervise, swap
from serving.bundle import Bundle
from serving.client import EngineRefusedError, EngineStartingError, EngineUnavailableError, engine_client
from serving.door import Door
from serving.engines import Engines
from serving.guard import Guards
from serving.index import Index, OpenIndex
from serving.launch import ROLES, Role
from serving.limits import Limits, deadline
from serving.metrics import Metrics
from serving.pool import EnginePool
from serving.reranking import Reranker
from serving.swap import start_door
from tests.training.made_decoders import write_decoder

CHAT = {"messages": [{"role": "user", "content": "Say hello."}]}


class Starts:
    """Starts engines that answer over HTTP, each when it is told to, and counts the starts."""

    def __init__(self) -> None:
        self.may_start = threading.Event()
        self.fails = False
        self.breaks: set[Role] = set()
        """Whose start ends in an error, whatever is started with it."""
        self.started: list[tuple[Role, ...]] = []

    @contextmanager
    def engines(
        self, _bundle: Path, kind: str, *, roles: tuple[Role, ...], stop: threading.Event, **_: Any
    ) -> Iterator[Engines]:
        self.started.append(roles)
        while not self.may_start.wait(0.02):
            if stop.is_set():
                raise RuntimeError("the start of the engines was stopped")
        if self.fails or self.breaks & set(roles):
            raise RuntimeError("no memory")
        app = FastAPI()
        app.get("/health")(lambda: {})

        @app.post("/v1/chat/completions")
        def chat(_body: dict[str, Any]) -> dict[str, Any]:
            said = {"message": {"content": "Hello."}, "finish_reason": "stop"}
            return {"choices": [said], "usage": {}}

        with served(app) as url:
            yield Engines("transformers", dict.fromkeys(roles, url), 0.0, ())


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    made = Starts()
    monkeypatch.setattr(supervise, "engines", made.engines)
    monkeypatch.setattr(pool, "engine_model", lambda *_: None)
    monkeypatch.setattr(supervise, "POLL_S", 0.02)
    return made


@pytest.fixture
def door(tmp_path: Path, small_dataset: Path, guards: Guards, starts: Starts) -> Iterator[Door]:
    """A door whose generator sleeps; classifier and embedder are made up, and always answer."""
    asleep: tuple[Role, ...] = ("generator",)
    metrics, stop = guards.metrics, threading.Event()
    starts.may_start.set()  # for those that do not sleep
    made = made_door(tmp_path / "bundle", small_dataset)
    with (
        EnginePool("transformers", metrics, stop=stop).lease(made.bundle, asleep=asleep) as running,
        engine_client(running) as client,
    ):
        starts.may_start.clear()
        starts.started.clear()
        yield replace(made, client=client)


@pytest.fixture
def gateway(door: Door, guards: Guards) -> TestClient:
    return client_of(door, guards)


def measured(gateway: TestClient, guards: Guards, name: str) -> float | None:
    assert gateway.get("/metrics").is_success
    return guards.metrics.registry.get_sample_value(f"mailroom_engine_{name}", {"role": "generator"})


def test_it_sleeps_until_it_is_needed_and_says_so(gateway: TestClient, guards: Guards, starts: Starts):
    classified = gateway.post("/v1/classify", json={"messages": [{"text": "hello"}]})
    ready = gateway.get("/readyz")

    assert (200, 200, ["generator"]) == (classified.status_code, ready.status_code, ready.json()["sleeping"])
    assert {"classifier": True, "embedder": True, "generator": False} == ready.json()["engines"]
    assert (1, []) == (measured(gateway, guards, "sleeping"), starts.started)
    assert measured(gateway, guards, "up") is None  # and so no alert


def test_who_needs_it_waits_and_is_answered_by_one_start(gateway: TestClient, guards: Guards, starts: Starts):
    threading.Timer(0.3, starts.may_start.set).start()

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: gateway.post("/v1/chat/completions", json=CHAT), range(4)))

    assert [200] * 4 == [reply.status_code for reply in replies]
    assert [("generator",)] == starts.started
    assert (0, 1) == (measured(gateway, guards, "sleeping"), measured(gateway, guards, "up"))
    assert [] == gateway.get("/readyz").json()["sleeping"]


@pytest.mark.parametrize("streams", [False, True])
def test_who_has_no_time_to_wait_is_told_when_to_come_back(
    door: Door, gateway: TestClient, guards: Guards, starts: Starts, streams: bool
):
    hurried = client_of(door, replace(guards, limits=Limits(seconds=0.5)))

    late = hurried.post("/v1/chat/completions", json=CHAT | {"stream": streams})
    other = gateway.post("/v1/classify", json={"messages": [{"text": "hello"}]})

    assert (503, "10", 200) == (late.status_code, late.headers["Retry-After"], other.status_code)
    assert "is starting" in late.json()["error"]["message"]
    assert [("generator",)] == starts.started  # it goes on


def test_a_start_that_fails_is_tried_again_by_the_next_request(gateway: TestClient, starts: Starts):
    starts.fails = True
    starts.may_start.set()
    failed = gateway.post("/v1/chat/completions", json=CHAT)
    starts.fails = False

    assert 503 == failed.status_code
    assert "is starting" not in failed.json()["error"]["message"]
    assert 200 == gateway.post("/v1/chat/completions", json=CHAT).status_code
    assert 2 == len(starts.started)


@pytest.mark.parametrize("added", ["generator/chat_template.jinja", "generator_adapter/adapter_config.json"])
def test_an_engine_does_not_wake_on_files_that_changed_while_it_slept(
    door: Door, gateway: TestClient, starts: Starts, capfd: pytest.CaptureFixture[str], added: str
):
    starts.may_start.set()
    path = door.bundle.folder / added
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    refused = gateway.post("/v1/chat/completions", json=CHAT)
    path.unlink()

    assert (503, []) == (refused.status_code, starts.started)
    assert f"holds {added}, which is not in its manifest" in capfd.readouterr().err
    assert 200 == gateway.post("/v1/chat/completions", json=CHAT).status_code


def test_a_model_that_cannot_be_served_is_refused_though_it_sleeps(tmp_path: Path):
    with (
        pytest.raises(UserError, match="holds no model"),
        EnginePool("transformers", Metrics(), stop=threading.Event()).lease(
            write_bundle(tmp_path / "bundle"), asleep=ROLES
        ),
    ):
        pass


def test_what_the_next_bundle_has_not_does_not_sleep_on_and_what_it_has_is_started(
    tmp_path: Path, starts: Starts
):
    starts.may_start.set()
    without, having = write_bundle(tmp_path / "without"), write_bundle(tmp_path / "having")
    (having.folder / "reranking.json").write_text('{"candidates": 50}')
    asleep: tuple[Role, ...] = ("generator", "reranker")

    for bundle, sleeping in ((without, {"generator"}), (having, {"generator", "reranker"})):
        engines = EnginePool("transformers", Metrics(), stop=threading.Event())
        with engines.lease(bundle, asleep=asleep) as running:
            assert sleeping == {role for role, sleeper in running.sleepers.items() if sleeper.asleep}
    with EnginePool("transformers", Metrics(), stop=threading.Event()).lease(having) as running:
        assert {*ROLES, "reranker"} == running.urls.keys()


def with_reranker(folder: Path) -> Bundle:
    bundle = write_bundle(folder)
    (bundle.folder / "reranking.json").write_text('{"candidates": 50}')
    (bundle.folder / "reranker").mkdir()
    (bundle.folder / "reranker" / "config.json").write_text("{}")
    (bundle.folder / "classifier" / "config.json").write_text('{"id2label": {"0": "ham", "1": "spam"}}')
    return write_manifest(bundle.folder)


@pytest.fixture
def made_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bundle's index is made up."""
    index = OpenIndex(Index("", "none", 3, 0, "", ""), client=None)
    monkeypatch.setattr(opened, "open_index", lambda _folder: nullcontext(index))


@pytest.mark.usefixtures("made_index")
def test_a_bundle_whose_reranker_does_not_start_is_served_without_it(tmp_path: Path, starts: Starts):
    starts.may_start.set()
    starts.breaks = {"reranker"}
    metrics, bundle = Metrics(), with_reranker(tmp_path / "bundle")
    served, closing = start_door(bundle, EnginePool("transformers", metrics, stop=threading.Event()), metrics)

    with closing:
        assert {"reranker"} == served.client.asleep
        wait_until(lambda: ("reranker",) in starts.started)
        assert served.client.ask("generator", "/v1/chat/completions", CHAT)["choices"]
        starts.breaks = set()
        wait_until(lambda: not _sleeps(served))
        assert [ROLES, ("reranker",)] == [*dict.fromkeys(starts.started)]


def _sleeps(served: Door) -> bool:
    """Ask the reranker as a search does, and say whether it sleeps yet."""
    with suppress(EngineStartingError, EngineUnavailableError, EngineRefusedError):
        served.client.score("question", ["text"])
    return "reranker" in served.client.asleep


@pytest.mark.usefixtures("made_index")
def test_a_reranker_is_started_with_its_bundle_unless_it_is_to_sleep(tmp_path: Path, starts: Starts):
    starts.may_start.set()
    metrics, bundle = Metrics(), with_reranker(tmp_path / "bundle")
    for asleep in ((), ROLES, (*ROLES, "reranker")):
        starts.started.clear()
        pool = EnginePool("transformers", metrics, stop=threading.Event())
        served, closing = start_door(bundle, pool, metrics, asleep=asleep)
        with closing:
            if "reranker" not in asleep:
                wait_until(lambda served=served: not served.client.asleep - set(ROLES))  # type: ignore[misc]

        assert ((ROLES in starts.started), ("reranker",) in starts.started) == (
            asleep == (),
            "reranker" not in asleep,
        )


def test_the_next_bundles_reranker_sleeps_only_where_engines_are_lazy(door: Door):
    reranked = replace(door, reranker=Reranker(lambda *_: np.zeros(0, np.float32), 50))

    assert {"generator"} == swap._asleep(door, tried=True, lazy=False)
    assert {"generator", "reranker"} == swap._asleep(door, tried=False, lazy=True)
    assert {"generator"} == swap._asleep(reranked, tried=False, lazy=True)  # it is awake


@pytest.mark.slow
def test_the_transformers_engine_wakes_alone_and_is_watched(
    tmp_path: Path, workspace: Path, frozen_embedder: Path, random_classifier: Path
):
    bundle = tmp_path / "bundle"
    write_decoder("llama", bundle / "generator", positions=2048)
    shutil.copytree(random_classifier, bundle / "classifier")
    shutil.copytree(frozen_embedder, bundle / "embedder")
    metrics = Metrics()

    with (
        EnginePool("transformers", metrics, stop=threading.Event()).lease(
            write_manifest(bundle), asleep=ROLES
        ) as running,
        engine_client(running) as client,
    ):
        assert {} == running.urls
        with deadline(0.2), pytest.raises(EngineStartingError):
            client.chat(CHAT["messages"], max_tokens=2)
        said = client.chat(CHAT["messages"], max_tokens=2)
        assert {"classifier", "embedder"} == client.asleep
        _kill_generator(running)
        until = threading.Event()
        for _ in range(600):
            try:
                again = client.chat(CHAT["messages"], max_tokens=2)
                break
            except EngineUnavailableError:
                until.wait(0.5)

    assert said == again
    restarts = metrics.registry.get_sample_value("mailroom_engine_restarts_total", {"role": "generator"})
    assert 1 == restarts


def _kill_generator(running: Engines) -> None:
    """Kill the process that listens where the generator is served."""
    import psutil

    port = int(running.urls["generator"].rpartition(":")[2])
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # ended, or another test's that nobody has waited for yet
            if str(port) in process.cmdline():
                found.append(process)
    (generator,) = found
    generator.kill()
    generator.wait(10)

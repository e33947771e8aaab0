"""Engines that die are started again, each by itself, and what is measured is of those that serve."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from made_gateway import client_of, made_door
from test_bundle import write_bundle, write_manifest
from test_door import wait_until

from serving import supervise
from serving.adapter import ADAPTER
from serving.bundle import Bundle
from serving.client import engine_client
from serving.engines import Engines
from serving.guard import Guards
from serving.launch import ROLES, Placements, Role
from serving.metrics import Metrics
from serving.placement import Placement
from serving.pool import EnginePool
from serving.supervise import Lessee


class MadeServer:
    """A server process that dies when a test says so."""

    def __init__(self, roles: tuple[Role, ...]) -> None:
        self.roles = roles
        self.dead: set[Role] = set()
        self.told: list[set[Role]] = []
        """Which roles were ended alone."""

    def end_roles(self, roles: tuple[Role, ...]) -> None:
        self.told.append(set(roles) - self.dead)

    def dead_roles(self) -> tuple[Role, ...]:
        return tuple(self.dead)


class MadeEngines:
    """Starts made-up engines; those that are ``held`` do not come up again, in their watch."""

    def __init__(self) -> None:
        self.servers: list[MadeServer] = []
        self.ended = 0
        self.placements: list[Placements | None] = []
        self.held: set[Role] = set()
        self.broken = 0
        """So many starts of one engine alone fail."""

    @contextmanager
    def __call__(
        self,
        _bundle: Path,
        _kind: str,
        *,
        roles: tuple[Role, ...],
        stop: threading.Event,
        placements: Placements | None,
    ) -> Iterator[Engines]:
        self.placements.append(placements)
        is_watch = threading.current_thread().name.startswith("supervise")
        while is_watch and self.held & set(roles):
            if stop.wait(0.01):
                raise RuntimeError("the start of the engines was stopped")
        if roles != ROLES and self.broken:
            self.broken -= 1
            raise RuntimeError("the engine ended at its start")
        server = MadeServer(roles)
        self.servers.append(server)
        urls = dict.fromkeys(roles, "http://engine")
        yield Engines("transformers", urls, 0.0, (server,))  # type: ignore[arg-type]
        self.ended += 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> MadeEngines:
    engines = MadeEngines()
    monkeypatch.setattr(supervise, "engines", engines)
    monkeypatch.setattr(supervise, "is_healthy", lambda _url: True)
    monkeypatch.setattr(supervise, "POLL_S", 0.01)
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.01)
    return engines


@pytest.mark.parametrize("dies", ["present", "candidate"])
def test_measures_are_of_the_engines_that_serve_not_of_those_on_trial(
    tmp_path: Path, small_dataset: Path, guards: Guards, made: MadeEngines, dies: str
):
    metrics, stop = guards.metrics, threading.Event()
    door = made_door(tmp_path / "present", small_dataset)
    with ExitStack() as stack:
        pool = EnginePool("transformers", metrics, stop=stop)
        present = stack.enter_context(pool.lease(door.bundle))
        gateway = client_of(replace(door, client=stack.enter_context(engine_client(present))), guards)
        candidate = write_bundle(tmp_path / "candidate", "other weights")
        made.held = {"generator"}
        if dies == "present":
            made.servers[0].dead.add("generator")
            wait_until(lambda: "generator" in present.down)
        trial = stack.enter_context(pool.lease(candidate))
        if dies == "candidate":
            made.servers[1].dead.add("generator")
            wait_until(lambda: "generator" in trial.down)

        assert gateway.get("/metrics").is_success

    up = [metrics.registry.get_sample_value("mailroom_engine_up", {"role": role}) for role in ROLES]
    assert ([1, 1, 0] if dies == "present" else [1, 1, 1]) == up


def test_an_engine_that_dies_is_noticed_while_another_does_not_come_up_again(
    tmp_path: Path, made: MadeEngines
):
    bundle, stop = write_bundle(tmp_path / "bundle"), threading.Event()
    with EnginePool("transformers", Metrics(), stop=stop).lease(bundle) as running:
        made.held = {"classifier"}
        made.servers[0].dead.add("classifier")
        wait_until(lambda: "classifier" in running.down)

        made.servers[0].dead.add("embedder")

        wait_until(lambda: len(made.servers) == 2 and running.down == {"classifier"})


def test_an_engine_that_does_not_come_up_is_tried_ever_less_often(
    tmp_path: Path, made: MadeEngines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervise, "STEADY_S", 0.0)  # however long it ran before
    bundle, stop = write_bundle(tmp_path / "bundle"), threading.Event()
    made.broken = 4
    pauses = note_pauses(monkeypatch)
    with EnginePool("transformers", Metrics(), stop=stop).lease(bundle) as running:
        made.servers[0].dead.add("classifier")

        wait_until(lambda: len(made.servers) == 2 and not running.down)

    assert [0.016, 0.032, 0.064, 0.128, 0.256] == pauses


def note_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note how long the watch means to wait before each start."""
    pauses: list[float] = []
    wait = threading.Event.wait

    def noted(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout in {0.016 * 2**times for times in range(9)}:
            pauses.append(timeout)
        return wait(event, timeout)

    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.016)
    monkeypatch.setattr(threading.Event, "wait", noted)
    return pauses


def test_an_engine_that_died_is_let_go_when_it_is_replaced(tmp_path: Path, made: MadeEngines):
    bundle, stop = write_bundle(tmp_path / "bundle"), threading.Event()
    with EnginePool("transformers", Metrics(), stop=stop).lease(bundle) as running:
        for times in (1, 2, 3):
            made.servers[-1].dead.add("classifier")
            wait_until(lambda times=times: len(made.servers) == times + 1 and not running.down)  # type: ignore[misc]

        assert 2 == made.ended

    assert 4 == made.ended


def test_an_engine_that_is_started_again_gets_the_same_place(tmp_path: Path, made: MadeEngines):
    bundle, stop = write_bundle(tmp_path / "bundle"), threading.Event()
    places: Placements = {"classifier": Placement(devices="1")}
    with EnginePool("transformers", Metrics(), stop=stop, placements=places).lease(bundle) as running:
        made.servers[0].dead.add("classifier")
        wait_until(lambda: len(made.servers) == 2 and not running.down)

    assert [places, places] == made.placements


def test_a_gateway_that_ends_starts_nothing_again(
    tmp_path: Path, made: MadeEngines, monkeypatch: pytest.MonkeyPatch
):
    bundle, stop, looks, wait = write_bundle(tmp_path / "bundle"), threading.Event(), [], threading.Event.wait

    def counted(event: threading.Event, timeout: float | None = None) -> bool:
        looks.append(threading.current_thread().name)
        return wait(event, timeout)

    with EnginePool("transformers", Metrics(), stop=stop).lease(bundle) as running:
        stop.set()
        made.servers[0].dead.add("classifier")
        monkeypatch.setattr(threading.Event, "wait", counted)
        wait_until(lambda: looks.count("supervise classifier") > 3)

        assert (set(), 1) == (running.down, len(made.servers))


def test_without_vllm_another_adapter_is_another_generator(tmp_path: Path, made: MadeEngines):
    first, second = _two_adapters(tmp_path)
    pool = EnginePool("transformers", Metrics(), stop=threading.Event())

    with ExitStack() as former:
        former.enter_context(pool.lease(first))
        with pool.lease(second):
            former.close()

            assert [ROLES, ("generator",)] == [server.roles for server in made.servers]
            assert [{"generator"}] == made.servers[0].told
            assert 0 == made.ended

    assert 2 == made.ended


def _two_adapters(folder: Path) -> list[Bundle]:
    bundles = []
    for words in ("first", "second"):
        written = write_bundle(folder / words, "the same weights")
        (written.folder / ADAPTER).mkdir()
        (written.folder / ADAPTER / "adapter_model.safetensors").write_text(words)
        bundles.append(write_manifest(written.folder))
    return bundles


def test_an_engine_that_was_starting_again_when_a_candidate_came_is_shared_by_the_next_one(
    tmp_path: Path, made: MadeEngines
):
    bundle = write_bundle(tmp_path / "bundle")
    pool = EnginePool("transformers", Metrics(), stop=threading.Event())
    with pool.lease(bundle) as present:
        made.held = {"generator"}
        made.servers[0].dead.add("generator")
        wait_until(lambda: "generator" in present.down)
        with pool.lease(bundle):  # has a generator of its own, and is refused
            assert [ROLES, ("generator",)] == [server.roles for server in made.servers]
        made.held = set()
        wait_until(lambda: not present.down)

        with pool.lease(bundle):
            assert 3 == len(made.servers), (
                "the present bundle's, a candidate's, and the one that came up again"
            )

    assert {} == pool._engines


def test_a_bundle_that_comes_as_an_engine_ends_waits_for_the_next_one(tmp_path: Path, made: MadeEngines):
    bundle = write_bundle(tmp_path / "bundle")
    pool = EnginePool("transformers", Metrics(), stop=threading.Event())
    late = Lessee(bundle, Engines("transformers", {}, 0.0, ()))
    with pool.lease(bundle) as running:
        made.held = {"generator"}
        made.servers[0].dead.add("generator")
        wait_until(lambda: "generator" in running.down)
        engine = next(each for (each,) in pool._engines.values() if each.role == "generator")
        engine.admit(late)
        assert {"generator"} == late.engines.down

        made.held = set()
        wait_until(lambda: not late.engines.down)
        assert {"generator": "http://engine"} == late.engines.urls
        engine.dismiss(late)

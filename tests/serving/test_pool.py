"""From bundle to bundle an engine runs on whose model is the same, and changes adapters while it runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from made_vllm import made_bundle, write_vllm
from test_engines import is_running, wait_until

from serving import engines as started
from serving import supervise
from serving.adapter import ADAPTER
from serving.bundle import Bundle
from serving.client import EngineClient, EngineUnavailableError, engine_client
from serving.digest import folder_digest
from serving.engines import Engines, engines
from serving.launch import ROLES, Role
from serving.metrics import Metrics
from serving.pool import EnginePool

GENERATOR: Role = "generator"


@dataclass(frozen=True)
class Leased:
    """A bundle's engines, and who asks them."""

    engines: Engines
    client: EngineClient

    def ask(self, role: Role = GENERATOR, **more: Any) -> dict[str, Any]:
        return self.client.ask(role, "/who", more)

    def processes(self) -> dict[Role, int]:
        return {role: self.ask(role)["process"] for role in ROLES}

    def says(self) -> str:
        return str(self.ask()["says"])


Lease = Callable[..., AbstractContextManager[Leased]]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lease(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, metrics: Metrics
) -> Iterator[Lease]:
    """Lease engines of a pool over a made-up vLLM; at the end no process is left."""
    monkeypatch.setenv("PYTHONPATH", str(write_vllm(tmp_path / "made")))
    monkeypatch.setattr(started, "vllm_device", lambda: "cpu")
    monkeypatch.setattr(supervise, "POLL_S", 0.02)
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.02)
    pool = EnginePool("vllm", metrics, stop=threading.Event())

    @contextmanager
    def leased(bundle: Bundle, **options: Any) -> Iterator[Leased]:
        with pool.lease(bundle, **options) as running, engine_client(running) as client:
            yield Leased(running, client)

    yield leased
    assert [] == fork_servers()
    assert {} == pool._engines


def fork_servers() -> list[int]:
    mine = psutil.Process().children()
    return [each.pid for each in mine if each.is_running() and "serving.fork_server" in each.cmdline()]


def loaded(leased: Leased) -> set[str]:
    """Return the adapters that the generator's engine has, by their names."""
    models = httpx.get(f"{leased.engines.urls[GENERATOR]}/v1/models", trust_env=False).json()["data"]
    return {each["id"] for each in models} - {"generator-base"}


def name_of(bundle: Bundle) -> str:
    return f"generator-{folder_digest(bundle.folder / ADAPTER)}"


def kill_generator(leased: Leased) -> int:
    """Kill the generator's process and wait until that is noticed."""
    process = leased.processes()[GENERATOR]
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: GENERATOR in leased.engines.down)
    return process


def test_where_no_model_differs_nothing_is_started(lease: Lease, tmp_path: Path):
    first, second = made_bundle(tmp_path / "first"), made_bundle(tmp_path / "second")

    with ExitStack() as former:
        before = former.enter_context(lease(first)).processes()
        with lease(second) as following:
            former.close()

            assert before == following.processes()
            assert 1 == len(fork_servers())


def test_another_classifier_leaves_the_other_engines_alone_there_and_back(lease: Lease, tmp_path: Path):
    first, second = made_bundle(tmp_path / "first"), made_bundle(tmp_path / "second", classifier="other")

    with ExitStack() as former, ExitStack() as following:
        before = former.enter_context(lease(first)).processes()
        after = following.enter_context(lease(second)).processes()
        beside = [is_running(before["classifier"]), is_running(after["classifier"])]
        former.close()
        ended = not is_running(before["classifier"])
        with lease(first) as rolled_back:
            following.close()
            again = rolled_back.processes()

            assert [True, True, True] == [*beside, ended]
            assert not is_running(after["classifier"])

    assert 3 == len({before["classifier"], after["classifier"], again["classifier"]})
    for role in ("embedder", "generator"):
        assert before[role] == after[role] == again[role]


def test_an_adapter_is_exchanged_under_requests_on_their_way(lease: Lease, tmp_path: Path):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")
    end = tmp_path / "end"

    with ExitStack() as former, ThreadPoolExecutor(1) as caller:
        before = former.enter_context(lease(first))
        process = before.processes()[GENERATOR]
        on_its_way = caller.submit(before.ask, wait_for=str(end))
        wait_until(end.with_suffix(".waiting").exists)
        with lease(second) as following:
            both = (before.says(), following.says(), loaded(following))
            end.touch()
            answered = on_its_way.result()
            former.close()

            assert ("the first", "the second", {name_of(first), name_of(second)}) == both
            assert (process, "the first") == (answered["process"], answered["says"])
            assert process == following.processes()[GENERATOR]


def test_two_bundles_with_one_adapter_share_it_to_the_end(lease: Lease, tmp_path: Path):
    first = made_bundle(tmp_path / "first", adapter="the same")
    second = made_bundle(tmp_path / "second", adapter="the same", classifier="other")

    with ExitStack() as former:
        before = former.enter_context(lease(first)).processes()
        with lease(second) as following:
            former.close()

            assert (before[GENERATOR], "the same") == (following.processes()[GENERATOR], following.says())


@pytest.mark.parametrize("other", [{}, {"adapter": "a wide one", "rank": 64}], ids=["none", "wider"])
def test_an_adapter_that_the_engine_has_no_room_for_gets_an_engine(lease: Lease, tmp_path: Path, other: Any):
    first = made_bundle(tmp_path / "first", **other)
    second = made_bundle(tmp_path / "second", adapter="the second")

    with ExitStack() as former:
        leased = former.enter_context(lease(first))
        before, said = leased.processes(), leased.says()
        with lease(second) as following:
            former.close()
            after = following.processes()

            assert (other.get("adapter", "the base"), "the second") == (said, following.says())
            assert before["embedder"] == after["embedder"]
            assert not is_running(before[GENERATOR])


def test_an_engine_that_dies_is_started_once_for_all_its_bundles(
    lease: Lease, tmp_path: Path, metrics: Metrics
):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")

    with lease(first) as present, lease(second) as candidate:
        killed = kill_generator(present)
        wait_until(lambda: not present.engines.down and not candidate.engines.down)

        assert ("the first", "the second") == (present.says(), candidate.says())
        assert present.processes() == candidate.processes()
        assert killed != present.processes()[GENERATOR]
        assert 1 == metrics.registry.get_sample_value("mailroom_engine_restarts_total", {"role": GENERATOR})


def test_a_bundle_whose_adapter_was_changed_takes_the_engine_from_nobody_else(
    lease: Lease, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")

    with lease(first) as present, lease(second) as candidate:
        weights = second.folder / ADAPTER / "adapter_model.safetensors"
        weights.write_text("the first")
        killed = kill_generator(present)
        wait_until(lambda: not present.engines.down)
        with pytest.raises(EngineUnavailableError):
            candidate.says()
        assert "the first" == present.says()
        assert killed != present.processes()[GENERATOR]
        assert f"{weights.relative_to(second.folder)} of the bundle {second.folder} was changed" in (
            capfd.readouterr().err
        )


def test_what_was_refused_comes_up_once_it_is_alone_and_whole(lease: Lease, tmp_path: Path):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")
    weights = second.folder / ADAPTER / "adapter_model.safetensors"

    with ExitStack() as former:
        present = former.enter_context(lease(first))
        with lease(second) as candidate:
            weights.write_text("changed")
            kill_generator(present)
            wait_until(lambda: not present.engines.down)
            weights.write_text("the second")
            former.close()
            wait_until(lambda: not candidate.engines.down)

            assert "the second" == candidate.says()


def test_what_was_refused_is_tried_again_while_another_bundle_has_the_engine(lease: Lease, tmp_path: Path):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")
    weights = second.folder / ADAPTER / "adapter_model.safetensors"

    with lease(first) as present, lease(second) as candidate:
        weights.write_text("changed")
        kill_generator(present)
        wait_until(lambda: not present.engines.down)
        before = present.processes()
        weights.write_text("the second")
        wait_until(lambda: not candidate.engines.down)

        assert ("the first", "the second") == (present.says(), candidate.says())
        assert before == present.processes() == candidate.processes()


@pytest.mark.parametrize("broken", ["a classifier that dies", "an adapter that is refused"])
def test_a_bundle_that_cannot_be_served_leaves_the_present_one_as_it_was(
    lease: Lease, tmp_path: Path, broken: str
):
    first = made_bundle(tmp_path / "first", adapter="the first")
    dies = broken == "a classifier that dies"
    second = made_bundle(
        tmp_path / "second",
        adapter="the second" if dies else "bad",
        **({"classifier": "broken"} if dies else {"embedder": "other"}),
    )

    with lease(first) as present:
        before, servers = present.processes(), fork_servers()
        with pytest.raises(RuntimeError, match="no memory" if dies else "refused the adapter"), lease(second):
            pass

        assert (before, "the first") == (present.processes(), present.says())
        names = {name_of(first), name_of(second)} if dies else {name_of(first)}
        assert (servers, names) == (fork_servers(), loaded(present))


def test_a_bundle_that_is_refused_again_and_again_loads_its_adapter_once(lease: Lease, tmp_path: Path):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second", classifier="broken")

    with lease(first) as present:
        for _ in range(5):
            with pytest.raises(RuntimeError, match="no memory"), lease(second):
                pass

        assert [name_of(first), name_of(second)] == present.ask()["loads"]


def test_of_the_adapters_that_nobody_needs_any_more_the_last_ones_keep_their_names(
    lease: Lease, tmp_path: Path
):
    first = made_bundle(tmp_path / "first", adapter="the first")
    others = [made_bundle(tmp_path / f"other-{number}", adapter=f"other {number}") for number in range(4)]

    with lease(first) as present:
        for other in (*others[:3], others[1], others[3]):
            with lease(other) as candidate:
                assert f"other {others.index(other)}" == candidate.says()

        assert {name_of(first), name_of(others[1]), name_of(others[3])} == loaded(present)
        assert 5 == len(present.ask()["loads"])
        kill_generator(present)
        wait_until(lambda: not present.engines.down)
        assert {name_of(first)} == loaded(present)
        assert "the first" == present.says()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hangs"])
def test_an_engine_that_does_not_answer_is_not_shared(
    lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
):
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(started, "HEALTHY_S", 1.0)
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")

    with lease(first) as present:
        before = present.processes()
        os.kill(before[GENERATOR], how)
        wait_until(lambda: how == signal.SIGSTOP or GENERATOR in present.engines.down)
        with lease(second) as following:
            after = following.processes()
            said = following.says()
        if how == signal.SIGSTOP:
            os.kill(before[GENERATOR], signal.SIGCONT)

    assert before["classifier"] == after["classifier"]
    assert before[GENERATOR] != after[GENERATOR]
    assert "the second" == said


def test_an_engine_that_sleeps_is_woken_once_for_all_its_bundles(lease: Lease, tmp_path: Path):
    first = made_bundle(tmp_path / "first", adapter="the first")
    second = made_bundle(tmp_path / "second", adapter="the second")

    with lease(first, asleep=[GENERATOR]) as present, lease(second, asleep=[GENERATOR]) as candidate:
        slept = (present.client.asleep, candidate.client.asleep)
        said = candidate.says()

        assert (frozenset({GENERATOR}), frozenset({GENERATOR}), "the second") == (*slept, said)
        assert (frozenset(), "the first") == (present.client.asleep, present.says())
        assert present.processes() == candidate.processes()


def test_what_a_trial_needs_is_woken_for_it(lease: Lease, tmp_path: Path):
    first, second = made_bundle(tmp_path / "first"), made_bundle(tmp_path / "second")

    with lease(first, asleep=ROLES) as present, lease(second, asleep=["embedder", GENERATOR]) as candidate:
        assert {"embedder", GENERATOR} == candidate.client.asleep == present.client.asleep


def test_a_deaf_engine_is_killed_and_the_others_of_its_fork_server_are_not(lease: Lease, tmp_path: Path):
    bundle = made_bundle(tmp_path / "bundle", classifier="deaf")

    with engines(bundle.folder, "vllm") as running, engine_client(running) as client:
        (server,) = running.servers
        before = Leased(running, client).processes()
        server.end_roles(["classifier"], patience_s=0.2)

        assert not is_running(before["classifier"])
        assert ("classifier",) == running.dead_roles()
        assert before["embedder"] == client.ask("embedder", "/who", {})["process"]

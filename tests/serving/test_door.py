"""A bundle is replaced without a request lost: the former door stays open until its last request has left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest
from test_bundle import write_bundle

from data.workspace import UserError
from serving import door as opened
from serving import swap
from serving.bundle import read_bundle
from serving.client import EngineClient
from serving.door import Door, Doors, open_door
from serving.engines import Engines
from serving.index import Index, OpenIndex
from serving.metrics import Metrics


def door_of(folder: Path) -> Door:
    client = EngineClient({}, http=None)  # type: ignore[arg-type]
    index = OpenIndex(Index("", "none", 3, 0, "", ""), client=None)
    return Door(write_bundle(folder), client, index, ("a",), client.classify, client.embed, client.embed)


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < until, "it did not happen within ten seconds"
        time.sleep(0.001)


def closing(log: list[str], name: str) -> ExitStack:
    stack = ExitStack()
    stack.callback(log.append, f"{name} closed")
    return stack


def test_the_former_door_closes_after_its_last_request(tmp_path: Path, workspace: Path):
    log: list[str] = []
    doors, first, second = Doors(), door_of(tmp_path / "first"), door_of(tmp_path / "second")
    doors.open(first, closing(log, "first"))
    with doors.lease() as leased:
        moving = threading.Thread(target=doors.open, args=(second, closing(log, "second")))
        moving.start()
        wait_until(lambda: doors.current is second)
        with doors.lease() as later:
            assert later is second
        assert (leased, log) == (first, [])
    moving.join(5)

    assert log == ["first closed"]
    doors.close()
    assert log == ["first closed", "second closed"]


def test_labels_that_were_exchanged_while_the_engines_started_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bundle = write_bundle(tmp_path / "bundle")
    index = OpenIndex(Index("", "none", 3, 0, "", ""), client=None)
    monkeypatch.setattr(opened, "open_index", lambda _folder: nullcontext(index))
    (bundle.folder / "classifier" / "config.json").write_text('{"id2label": {"0": "ham", "1": "spam"}}')

    with (
        pytest.raises(UserError, match=r"classifier/config\.json .* was changed"),
        open_door(bundle, Engines("transformers", {}, 0.0, ()), Metrics()),
    ):
        pass


def test_nothing_is_leased_before_a_bundle_is_served():
    with pytest.raises(RuntimeError), Doors().lease():
        pass


@pytest.fixture
def followed(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Doors, list[Path], Metrics]:
    """Doors that follow a list of live folders, without engines; the last one counts."""
    doors, live = Doors(), [tmp_path / "first"]
    doors.open(door_of(live[0]), ExitStack())
    monkeypatch.setattr(swap, "POLL_S", 0.01)
    monkeypatch.setattr(swap, "live_bundle", lambda: read_bundle(live[-1]))
    monkeypatch.setattr(swap, "served_bundle", read_bundle)
    return doors, live, Metrics()


def swaps(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("mailroom_swaps_total", {"outcome": outcome}) or 0.0


def test_what_becomes_live_is_served_next(followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    doors, live, metrics = followed
    started = door_of(tmp_path / "second")
    monkeypatch.setattr(swap, "start_door", lambda *_, **__: (started, ExitStack()))
    stop = threading.Event()
    follower = threading.Thread(
        target=swap.follow_live, args=(doors, "auto", metrics, None), kwargs={"stop": stop}
    )
    follower.start()
    live.append(tmp_path / "second")
    wait_until(lambda: swaps(metrics, "done") > 0)
    stop.set()
    follower.join(5)

    assert doors.current is started


def test_what_cannot_be_served_leaves_the_present_bundle(
    followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    doors, live, metrics = followed
    present, tries = doors.current, []
    door_of(tmp_path / "second")

    def refuse(folder: Path) -> None:
        tries.append(folder)
        raise UserError("it was changed after it was built")

    monkeypatch.setattr(swap, "served_bundle", refuse)
    live.append(tmp_path / "second")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()

    swap.follow_live(doors, "auto", metrics, None, stop=stop)  # type: ignore[arg-type]

    assert doors.current is present
    assert len(tries) == 1  # told once, not every second
    assert swaps(metrics, "refused") == 1


def test_what_was_refused_is_tried_again_later(followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    doors, live, metrics = followed
    started, tries, stop = door_of(tmp_path / "second"), [], threading.Event()

    def start(*_: object, **__: object) -> tuple[Door, ExitStack]:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("not ready in time")
        stop.set()
        return started, ExitStack()

    monkeypatch.setattr(swap, "start_door", start)
    monkeypatch.setattr(swap, "AGAIN_S", 0.05)
    live.append(tmp_path / "second")
    swap.follow_live(doors, "auto", metrics, None, stop=stop)  # type: ignore[arg-type]

    assert (len(tries), swaps(metrics, "refused")) == (2, 1)


def test_a_bundle_that_is_rolled_back_while_it_starts_is_closed_again(
    followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    doors, live, metrics = followed
    present, log, stop = doors.current, [], threading.Event()
    second = door_of(tmp_path / "second")
    live.append(tmp_path / "second")

    def start(*_: object, **__: object) -> tuple[Door, ExitStack]:
        live.pop()  # somebody rolls back meanwhile
        stop.set()
        return second, closing(log, "second")

    monkeypatch.setattr(swap, "start_door", start)
    swap.follow_live(doors, "auto", metrics, None, stop=stop)  # type: ignore[arg-type]

    assert (doors.current, log) == (present, ["second closed"])

"""What reads datasets and what takes messages out of them never run at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from data.at_rest import at_rest, at_work
from data.workspace import UserError

pytestmark = pytest.mark.usefixtures("workspace")


@at_work()
def step(begun: threading.Event, may_end: threading.Event) -> Path:
    """Stand for a training or an indexing."""
    begun.set()
    may_end.wait(30)
    return Path("what was made")


def test_nothing_is_erased_while_a_step_reads() -> None:
    begun, may_end = threading.Event(), threading.Event()
    worker = threading.Thread(target=step, args=(begun, may_end))
    worker.start()
    assert begun.wait(30)

    with pytest.raises(UserError, match=r"a step reads a dataset now; wait for its end"), at_rest():
        pass
    may_end.set()
    worker.join()

    with at_rest():
        pass


def test_steps_run_side_by_side_and_wait_for_an_erasure(capsys: pytest.CaptureFixture[str]) -> None:
    begun, ended = threading.Event(), threading.Event()
    ended.set()
    with at_rest():
        worker = threading.Thread(target=step, args=(begun, ended))
        worker.start()
        assert not begun.wait(0.2)
        assert "mailroom: messages are being erased or pruned; waiting" in capsys.readouterr().err
    worker.join(30)

    assert begun.is_set()
    with at_work():
        assert Path("what was made") == step(threading.Event(), ended)

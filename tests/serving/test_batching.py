"""Concurrent callers share batches, each gets its own rows, and nobody waits beyond the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.batching import batched, remembered
from serving.client import EngineRefusedError
from serving.embed import Vectors
from serving.limits import DeadlineError, Rate, deadline, seconds_left


def rows_of(texts: Sequence[str]) -> Vectors:
    return np.array([[float(text)] for text in texts], np.float32)


def test_every_caller_gets_its_own_rows():
    with batched(rows_of, workers=1) as ask, ThreadPoolExecutor(16) as pool:
        asked = [[str(number), str(number + 1)] for number in range(100)]
        answers = list(pool.map(ask, asked))

    assert [answer.ravel().tolist() for answer in answers] == [[n, n + 1] for n in range(100)]


def test_what_waits_while_the_engine_works_goes_together():
    sizes: list[int] = []
    working, go_on = threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> Vectors:
        working.set()
        go_on.wait(5)
        return rows_of(texts)

    with batched(slow, workers=1, most=8, observe=sizes.append) as ask, ThreadPoolExecutor(10) as pool:
        first = pool.submit(ask, ["0"])
        working.wait(5)
        others = [pool.submit(ask, [str(number)]) for number in range(1, 9)]
        while ask._waiting.qsize() < 8:
            time.sleep(0.001)
        go_on.set()
        assert [float(each.result()[0, 0]) for each in [first, *others]] == list(range(9))

    assert sizes == [1, 8]


def test_an_engines_failure_reaches_every_caller_of_the_batch():
    def fail(_texts: Sequence[str]) -> Vectors:
        raise ConnectionError

    with batched(fail) as ask, pytest.raises(ConnectionError):
        ask(["1"])


def test_a_refused_text_fails_its_own_caller_alone():
    working, go_on = threading.Event(), threading.Event()

    def choosy(texts: Sequence[str]) -> Vectors:
        working.set()
        go_on.wait(5)
        if "7" in texts:
            raise EngineRefusedError("embedder", 400)
        return rows_of(texts)

    with batched(choosy, workers=1) as ask, ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, ["0"])
        working.wait(5)
        others = [pool.submit(ask, [text]) for text in ("7", "8", "9")]
        while ask._waiting.qsize() < 3:
            time.sleep(0.001)
        go_on.set()
        assert [float(each.result()[0, 0]) for each in (first, *others[1:])] == [0, 8, 9]
        with pytest.raises(EngineRefusedError):
            others[0].result()


def test_nobody_waits_beyond_the_deadline():
    release = threading.Event()

    def stuck(texts: Sequence[str]) -> Vectors:
        release.wait(5)
        return rows_of(texts)

    with batched(stuck, workers=1) as ask:
        with pytest.raises(DeadlineError), deadline(0.05):
            ask(["1"])
        release.set()


def test_a_text_is_embedded_once_and_the_oldest_is_forgotten():
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return rows_of(texts)

    ask = remembered(embed, most=2)

    assert ask(["1", "2", "1"]).ravel().tolist() == [1, 2, 1]
    assert ask(["2", "3"]).ravel().tolist() == [2, 3]
    assert ask(["1"]).ravel().tolist() == [1]
    assert asked == ["1", "2", "3", "1"]


def test_a_rate_refills_evenly_and_by_caller():
    now = [0.0]
    rate = Rate(60, 2, clock=lambda: now[0])

    assert [rate.wait("a"), rate.wait("a")] == [0, 0]
    assert rate.wait("a") == pytest.approx(1.0)
    assert rate.wait("b") == 0
    now[0] = 1.0
    assert rate.wait("a") == 0
    assert rate.wait("a") > 0


def test_no_time_is_left_after_the_deadline():
    assert seconds_left(7) == 7
    with deadline(0.001):
        time.sleep(0.002)
        with pytest.raises(DeadlineError):
            seconds_left(7)

"""Requests of many callers in one batch: what arrives while the engine works goes together in the next."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from serving import request_id
from serving.client import EngineRefusedError
from serving.embed import Vectors
from serving.limits import DeadlineError, seconds_left

Ask = Callable[[Sequence[str]], Vectors]
MOST = 32  # texts of one batch
WORKERS = 2  # batches on the way at once: the engine never waits for the gateway
CACHED = 20_000  # vectors: 30 MB at 384 dimensions
WAIT_S = 120.0


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """The texts of one caller on their way to the engine, and the id of the request that they are of."""

    texts: Sequence[str]
    answer: Future[Vectors] = field(default_factory=Future)
    request: str = field(default_factory=request_id.current.get)  # read in the caller's thread


class Batches:
    """Collects the texts of concurrent calls; use it through ``batched``."""

    def __init__(self, ask: Ask, *, most: int, observe: Callable[[int], None]) -> None:
        self._ask = ask
        self._most = most
        self._observe = observe
        self._stopped = threading.Event()
        self._waiting: queue.SimpleQueue[Call | None] = queue.SimpleQueue()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order.

        Raises:
            DeadlineError: the request's time is over; its texts may still be computed.
            Exception: whatever the engine's client raised for the batch.
        """
        if self._stopped.is_set():
            raise DeadlineError  # its bundle is no longer served
        call = Call(texts)
        self._waiting.put(call)
        try:
            return call.answer.result(seconds_left(WAIT_S))
        except FutureTimeoutError:
            call.answer.cancel()
            raise DeadlineError from None

    def work(self) -> None:
        """Answer batches until ``stop``."""
        while (first := self._waiting.get()) is not None:
            batch, count = [first], len(first.texts)
            while count < self._most:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
                count += len(following.texts)
            self._answer([call for call in batch if call.answer.set_running_or_notify_cancel()])

    def stop(self) -> None:
        self._stopped.set()
        self._waiting.put(None)

    def dismiss(self) -> None:
        """Tell whoever still waits that nobody works any more."""
        while not self._waiting.empty():
            left = self._waiting.get()
            if left is not None and left.answer.set_running_or_notify_cancel():
                left.answer.set_exception(DeadlineError())

    def _answer(self, batch: list[Call]) -> None:
        texts = [text for call in batch for text in call.texts]
        if not texts:
            for call in batch:
                call.answer.set_result(np.zeros((0, 0), np.float32))
            return
        self._observe(len(texts))
        try:
            with request_id.on_behalf_of(call.request for call in batch if call.texts):
                rows = self._ask(texts)
        except Exception as error:
            if isinstance(error, EngineRefusedError) and len(batch) > 1:
                for alone in batch:  # one caller's text must not fail the others
                    self._answer([alone])
                return
            for call in batch:
                call.answer.set_exception(error)
            return
        start = 0
        for call in batch:
            call.answer.set_result(rows[start : start + len(call.texts)].copy())
            start += len(call.texts)


@contextmanager
def batched(
    ask: Ask, *, most: int = MOST, workers: int = WORKERS, observe: Callable[[int], None] = lambda _size: None
) -> Iterator[Batches]:
    """Yield a function like ``ask`` that shares batches between the threads that call it."""
    batches = Batches(ask, most=most, observe=observe)
    threads = [threading.Thread(target=batches.work, name="batches", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield batches
    finally:
        for _ in threads:
            batches.stop()
        for thread in threads:
            thread.join()
        batches.dismiss()


def remembered(ask: Ask, *, most: int = CACHED, observe: Callable[[bool], None] = lambda _hit: None) -> Ask:
    """Return a function like ``ask`` that asks for a text once, as long as it is among the last ``most``.

    Kept are digests and vectors, no text. It belongs to one model: another bundle gets one of its own.
    """
    kept: OrderedDict[bytes, Vectors] = OrderedDict()
    lock = threading.Lock()

    def answer(texts: Sequence[str]) -> Vectors:
        codes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        with lock:
            rows: dict[bytes, Vectors] = {}
            for code in codes:
                if code in kept:
                    kept.move_to_end(code)
                    rows[code] = kept[code]
        for code in codes:
            observe(code in rows)
        missing = {code: text for code, text in zip(codes, texts, strict=True) if code not in rows}
        if missing:
            rows |= dict(zip(missing, ask(list(missing.values())), strict=True))
            with lock:
                for code in missing:
                    kept[code] = rows[code].copy()  # a slice would keep its whole batch in memory
                while len(kept) > most:
                    kept.popitem(last=False)
        return np.stack([rows[code] for code in codes]) if codes else np.zeros((0, 0), np.float32)

    return answer

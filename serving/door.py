"""One bundle being served: its engines, its index, its messages; and the change from one to the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.label_sets import given, named
from serving.archive import Archive, open_archive
from serving.batching import Ask, batched, remembered
from serving.bundle import Bundle, check_files
from serving.client import EngineClient, Observe, calibrated, engine_client, labels_of, thresholds_of
from serving.embed import Vectors
from serving.engines import Engines
from serving.index import OpenIndex, open_index
from serving.launch import ROLES, Role
from serving.metrics import Metrics
from serving.reranker import RERANKER
from serving.reranking import FAILURES, Reranker, Reranking
from serving.traces import as_step, step

if TYPE_CHECKING:
    from serving.canary import Trial

DRAIN_S = 60.0


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """All that an answer needs; ``classify`` and ``embed`` share batches between callers."""

    bundle: Bundle
    client: EngineClient
    index: OpenIndex
    labels: tuple[str, ...]
    classify: Ask
    embed: Ask
    embed_afresh: Ask  # for texts that callers bring: what is remembered would tell what others read
    archive: Archive | None = None
    thresholds: tuple[float, ...] | None = None  # of a classifier that may give a message several labels
    reranker: Reranker | None = None

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of the bundle's engines."""
        return (*ROLES, RERANKER) if self.reranker else ROLES

    def called(self, scores: Vectors) -> list[str]:
        """Return what the classifier's scores (``classify``) call every message: a label, or a set."""
        return named(given(scores, self.thresholds), self.labels)

    def calibrated(self, scores: Vectors) -> Vectors:
        """Return the probabilities that the scores stand for."""
        temperature = self.bundle.thresholds.temperature
        return calibrated(scores, temperature, several=self.thresholds is not None)


@contextmanager
def open_door(bundle: Bundle, running: Engines, metrics: Metrics) -> Iterator[Door]:
    """Connect a bundle with its running engines."""
    batch_of, cached = metrics.batch_texts, metrics.cached
    with (
        ExitStack() as stack,
        engine_client(running, observe=_observer(metrics)) as client,
        open_index(bundle.folder / "index") as index,
        batched(client.classify, observe=batch_of.labels("classifier").observe) as classify,
        batched(client.embed, observe=batch_of.labels("embedder").observe) as embed,
    ):
        embedder = as_step("embedder", _woken("embedder", client, embed))
        archive = open_archive(index.index.dataset, index.index.dataset_digest)
        if archive is not None:
            stack.callback(archive.close)
        check_files(bundle, "classifier/config.json")  # it names the labels
        yield Door(
            bundle=bundle,
            client=client,
            index=index,
            labels=labels_of(bundle.folder / "classifier"),
            thresholds=thresholds_of(bundle.folder / "classifier"),
            classify=as_step("classifier", _woken("classifier", client, classify)),
            embed_afresh=embedder,
            embed=remembered(embedder, observe=lambda hit: cached.labels("yes" if hit else "no").inc()),
            archive=archive,
            reranker=_reranker_of(bundle, client, metrics),
        )


def _woken(role: Role, client: EngineClient, ask: Ask) -> Ask:
    """Return ``ask`` that waits for a sleeping engine in its caller's time, not in a batch of many."""

    def woken(texts: Sequence[str]) -> Vectors:
        client.wake(role)
        return ask(texts)

    return woken


def _reranker_of(bundle: Bundle, client: EngineClient, metrics: Metrics) -> Reranker | None:
    """Return the bundle's reranker, if it has one; its calls are batches of one question each."""
    if not bundle.candidates:
        return None

    def score(question: str, texts: Sequence[str]) -> Vectors:
        metrics.batch_texts.labels(RERANKER).observe(len(texts))
        with step(RERANKER, texts=len(texts)):
            return client.score(question, texts)

    def observe(outcome: Reranking) -> None:
        metrics.rerankings.labels(outcome).inc()

    for outcome in FAILURES:
        metrics.rerankings.labels(outcome)  # at 0 from the start: the first one is an increase too
    return Reranker(score, bundle.candidates, observe)


def _observer(metrics: Metrics) -> Observe:
    def observe(role: Role, seconds: float, answered: bool) -> None:
        metrics.engine_seconds.labels(role).observe(seconds)
        if not answered:
            metrics.engine_failures.labels(role).inc()

    return observe


class Doors:
    """The door that requests go through now; another one takes its place without a request being lost."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._door: Door | None = None
        self._closing: ExitStack | None = None
        self._leases: dict[int, int] = {}
        self.trial: Trial | None = None  # of the bundle that is to be next

    @property
    def current(self) -> Door | None:
        return self._door

    @contextmanager
    def lease(self) -> Iterator[Door]:
        """Yield the present door; it stays open until the block ends, whatever takes its place."""
        with self._lock:
            door = self._door
            if door is None:
                raise RuntimeError("no bundle is served")
            self._leases[id(door)] = self._leases.get(id(door), 0) + 1
        try:
            yield door
        finally:
            with self._lock:
                left = self._leases.get(id(door), 1) - 1
                self._leases[id(door)] = left
                if not left:
                    del self._leases[id(door)]
                self._lock.notify_all()

    def open(self, door: Door, closing: ExitStack) -> None:
        """Send new requests through ``door``; wait for those in the former one, then close it.

        ``closing`` ends what belongs to the new door, when its time comes.
        """
        with self._lock:
            former, ending = self._door, self._closing
            self._door, self._closing = door, closing
            if former is not None:
                self._lock.wait_for(lambda: not self._leases.get(id(former)), timeout=DRAIN_S)
        if ending is not None:
            ending.close()

    def close(self) -> None:
        """Close the present door."""
        if self._closing is not None:
            self._closing.close()
        self._door, self._closing = None, None

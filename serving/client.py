"""Questions to the engines, answers as arrays and text."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from data.label_sets import PROBLEM_TYPE, THRESHOLDS, sigmoid_at
from serving.embed import Vectors
from serving.engine_key import key_headers
from serving.engines import Engines
from serving.launch import Role
from serving.limits import DeadlineError, seconds_left
from serving.request_id import id_headers
from serving.reranker import RERANKER
from serving.sleep import Sleeper
from serving.traces import step

BATCH = 32
PAIRS = 16  # of one call: what an engine goes on with, and others wait for, when nobody waits for it any more
REQUEST_S = 120.0


Parts = Generator[dict[str, Any], None, None]  # of an answer, as they come
Observe = Callable[[Role, float, bool], None]  # role, seconds, whether it answered


def unobserved(_role: Role, _seconds: float, _answered: bool) -> None:
    """Tell nobody."""


class EngineUnavailableError(Exception):
    """An engine does not answer; the role says which one."""

    def __init__(self, role: Role) -> None:
        super().__init__(f"the {role} engine does not answer")
        self.role = role


class EngineStartingError(EngineUnavailableError):
    """An engine that slept did not come up in the request's time; it goes on starting."""

    def __init__(self, role: Role) -> None:
        super().__init__(role)
        self.args = (f"the {role} engine is starting",)


class EngineRefusedError(Exception):
    """An engine refused a request; the message has the status and no text of the request."""

    def __init__(self, role: Role, status: int) -> None:
        super().__init__(f"the {role} engine refused the request with status {status}")
        self.role, self.status = role, status


@dataclass(frozen=True, slots=True)
class Completion:
    """What the generator wrote, and whether it came to an end by itself."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class EngineClient:
    """A connection to the engines; every text over the model's length is cut, as in training."""

    def __init__(
        self,
        urls: Mapping[Role, str],
        http: httpx.Client,
        observe: Observe = unobserved,
        *,
        down: Collection[Role] = (),
        sleepers: Mapping[Role, Sleeper] | None = None,
        models: Mapping[Role, str] | None = None,
    ) -> None:
        self._urls = urls
        self.down = down  # known to be dead, and being started again
        self._sleepers = sleepers or {}
        self._models = models or {}  # what an engine calls the bundle's model, where not as its role
        self._http = http
        self._observe = observe

    @property
    def asleep(self) -> frozenset[Role]:
        """The engines that start when they are first asked for, and do not answer yet."""
        return frozenset(role for role, sleeper in self._sleepers.items() if sleeper.asleep)

    def wake(self, role: Role) -> None:
        """Have an engine started that sleeps, and wait for it.

        Raises:
            EngineStartingError: it does not answer within the request's time, and goes on starting.
            EngineUnavailableError: its start failed; whoever asks next has it tried again.
        """
        sleeper = self._sleepers.get(role)
        if sleeper and sleeper.asleep and not sleeper.wake(seconds_left(REQUEST_S)):
            starts = sleeper.is_wanted(0)
            raise EngineStartingError(role) if starts else EngineUnavailableError(role)

    def classify(self, texts: Sequence[str]) -> Vectors:
        """Return class probabilities, float32 of shape (texts, labels), in the model's order."""
        return self._rows("classifier", "/classify", texts, "probs")

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return normalised vectors, float32 of shape (texts, dimension)."""
        return self._rows("embedder", "/v1/embeddings", texts, "embedding")

    def score(self, question: str, texts: Sequence[str]) -> Vectors:
        """Return how well each text answers a question, as logits of the reranker, in the texts' order.

        Raises:
            EngineStartingError: it sleeps and begins to start; nobody waits for what can be done without.
        """
        sleeper = self._sleepers.get(RERANKER)
        if sleeper and not sleeper.wake(0):
            raise EngineStartingError(RERANKER)
        scores = [np.zeros(0, np.float32)]
        for start in range(0, len(texts), PAIRS):
            batch = [text or " " for text in texts[start : start + PAIRS]]  # or vLLM would see no pair
            body = {"queries": question, "documents": batch, "truncate_prompt_tokens": -1,
                    "use_activation": False}  # fmt: skip
            data = self.ask(RERANKER, "/score", body)["data"]
            scores.append(np.array([row["score"] for row in sorted(data, key=lambda row: row["index"])]))
        return np.concatenate(scores).astype(np.float32)

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int = 64,
        schema: Mapping[str, Any] | None = None,
    ) -> Completion:
        """Return the generator's next turn, greedy.

        With a JSON schema vLLM writes nothing else; the transformers engine refuses it.
        """
        body: dict[str, Any] = {"messages": list(messages), "max_tokens": max_tokens, "temperature": 0.0,
                                "seed": 7}  # fmt: skip
        if schema is not None:
            asked = {"name": "answer", "schema": dict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": asked}
        with step("generator", max_tokens=max_tokens):
            reply = self.ask("generator", "/v1/chat/completions", body)
        choice, usage = reply["choices"][0], reply["usage"]
        return Completion(
            text=choice["message"]["content"] or "",
            finish_reason=str(choice["finish_reason"]),
            prompt_tokens=int(usage["prompt_tokens"]),
            completion_tokens=int(usage["completion_tokens"]),
        )

    def ask(self, role: Role, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post to an engine, to the bundle's model.

        Raises:
            EngineUnavailableError: nobody answers, or the engine behind the server is dead.
            EngineRefusedError: the request is not acceptable.
            DeadlineError: the request's time was over before the engine answered.
        """
        self.wake(role)
        if role in self.down:  # a process that its dead server has left may keep the connection open
            raise EngineUnavailableError(role)
        started, answered = time.monotonic(), False
        try:
            reply = self._http.post(
                f"{self._urls[role]}{route}",
                json=self._named(role, body),
                headers=id_headers(),
                timeout=seconds_left(REQUEST_S),
            )
            answered = reply.status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.ReadTimeout:
            raise DeadlineError from None
        except (httpx.TransportError, KeyError):
            raise EngineUnavailableError(role) from None
        finally:
            self._observe(role, time.monotonic() - started, answered)
        if not answered:
            raise EngineUnavailableError(role)
        if reply.status_code != httpx.codes.OK:
            raise EngineRefusedError(role, reply.status_code)
        return dict(reply.json())

    def stream(self, role: Role, route: str, body: Mapping[str, Any]) -> Parts:
        """Post to an engine and yield its server-sent events up to ``[DONE]``; closing ends its work.

        Raises:
            EngineUnavailableError: nobody answers, or the engine died before the end.
            EngineRefusedError: the request is not acceptable.
            DeadlineError: the request's time was over before the end.
        """
        self.wake(role)
        if role in self.down:
            raise EngineUnavailableError(role)
        started, answered = time.monotonic(), False
        left = seconds_left(REQUEST_S)
        try:
            with (
                self._http.stream(
                    "POST",
                    f"{self._urls[role]}{route}",
                    json=self._named(role, body),
                    headers=id_headers(),
                    timeout=left,
                ) as reply,
                _cut_off(reply, left),
            ):
                if reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                    raise EngineUnavailableError(role)
                answered = True
                if reply.status_code != httpx.codes.OK:
                    raise EngineRefusedError(role, reply.status_code)
                yield from _events(role, reply)
        except httpx.ReadTimeout:
            raise DeadlineError from None
        except (httpx.TransportError, KeyError):
            seconds_left(1)  # cut off, because its time is over
            answered = False
            raise EngineUnavailableError(role) from None
        finally:
            self._observe(role, time.monotonic() - started, answered)

    def is_ready(self, role: Role) -> bool:
        """Return whether the engine of a role answers its health check."""
        if role in self.down:
            return False
        try:
            return self._http.get(f"{self._urls[role]}/health", timeout=2).status_code == httpx.codes.OK
        except (httpx.TransportError, KeyError):
            return False

    def _named(self, role: Role, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request's body with the model that the bundle has: the engine may serve another's too."""
        return {**body, "model": self._models.get(role, role)}

    def _rows(self, role: Role, route: str, texts: Sequence[str], field: str) -> Vectors:
        rows: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            batch = [text or " " for text in texts[start : start + BATCH]]
            body = {"input": batch, "truncate_prompt_tokens": -1}
            data = self.ask(role, route, body)["data"]
            rows += [row[field] for row in sorted(data, key=lambda row: row["index"])]
        return np.asarray(rows, np.float32)


def _events(role: Role, reply: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in reply.iter_lines():
        seconds_left(1)
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event: dict[str, Any] = json.loads(data)
        if "error" in event:
            break
        yield event
    raise EngineUnavailableError(role)


@contextmanager
def _cut_off(reply: httpx.Response, seconds: float) -> Iterator[None]:
    """Hang up after so long: httpx bounds the silence between two words, not the whole answer."""
    line = reply.extensions["network_stream"].get_extra_info("socket")

    def hang_up() -> None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # or it might hang up on the connection's next user


@contextmanager
def engine_client(engines: Engines, *, observe: Observe = unobserved) -> Iterator[EngineClient]:
    """Connect to running engines; ``observe`` is told of every call."""
    with httpx.Client(timeout=REQUEST_S, trust_env=False, headers=key_headers()) as http:
        yield EngineClient(
            engines.urls,
            http,
            observe,
            down=engines.down,
            sleepers=engines.sleepers,
            models=engines.models,
        )


def labels_of(classifier: Path) -> tuple[str, ...]:
    """Return a classifier's labels in the order of its probabilities."""
    id2label = json.loads((classifier / "config.json").read_text())["id2label"]
    return tuple(id2label[place] for place in sorted(id2label, key=int))


def thresholds_of(classifier: Path) -> tuple[float, ...] | None:
    """Return from which score on each label is given; None where a message has one label."""
    config = json.loads((classifier / "config.json").read_text())
    if config.get("problem_type") != PROBLEM_TYPE:
        return None
    return tuple(config.get(THRESHOLDS) or [0.5] * len(config["id2label"]))


def calibrated(probabilities: Vectors, temperature: float, *, several: bool = False) -> Vectors:
    """Return the probabilities that the logits divided by ``temperature`` would have given.

    ``several`` labels of one message have a probability each; otherwise they add up to one.
    """
    if several:
        return np.asarray(sigmoid_at(probabilities, temperature), np.float32)
    logits = np.log(np.clip(probabilities, 1e-12, None)) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

"""A bundle that became live answers a share of the classifications first; a regression takes it back.

Only what a signed decision made live is ever tried. What goes back is the bundle that answered before:
it becomes live again by a `deployed` line of the decision log. The champion and its alias stay where the
decision put them, until a reviewer signs something else.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from serving.door import Door
from serving.embed import Vectors
from serving.limits import DeadlineError, deadline, seconds_left
from serving.metrics import Metrics

NOTICEABLE_S = 0.05  # by less nobody is slower: of engines that answer at once it would be noise
PATIENCE_S = 2.0  # a caller waits for the candidate, beside ``slower`` times what the present bundle took


class Canary(BaseModel):
    """The rule of a trial, declared before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, lt=1, description="of the requests that the candidate answers, by their hash")
    messages: int = Field(default=1_000, ge=1, description="compared before the candidate answers everything")
    failed: float = Field(default=0.01, ge=0, le=1, description="most of them that it may fail on")
    differing: float = Field(default=0.1, ge=0, le=1, description="most of them that it may label otherwise")
    score_difference: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="most that a message's probabilities may differ: the mean of the largest difference",
    )
    slower: float = Field(default=2.0, gt=0, description="most its p95 may be of the present bundle's")


@dataclass(slots=True)
class Tally:
    """What both bundles said so far; seconds are those of calls that both answered."""

    messages: int = 0
    failed: int = 0
    differing: int = 0
    score_difference: float = 0.0  # the largest difference of a probability, summed over the messages
    seconds: list[float] = field(default_factory=list)
    present_seconds: list[float] = field(default_factory=list)

    @property
    def mean_score_difference(self) -> float:
        return self.score_difference / max(1, self.messages - self.failed)


def regressions(tally: Tally, rule: Canary) -> tuple[str, ...] | None:
    """Return why the candidate goes back, nothing when it may answer everything, None while it is tried.

    A bound is on all ``rule.messages``, so that it can be known to be broken before they have come.
    """
    found = []
    if tally.failed > rule.failed * rule.messages:
        found.append(f"failed on {tally.failed} of {tally.messages} messages")
    if tally.differing > rule.differing * rule.messages:
        found.append(f"labels {tally.differing} of {tally.messages} messages otherwise")
    if tally.score_difference > rule.score_difference * rule.messages:
        found.append(f"gives probabilities that differ by {tally.mean_score_difference:.2f} on average")
    if found:
        return tuple(found)
    if tally.messages < rule.messages:
        return None
    if not tally.seconds:
        return ()
    p95, present = np.percentile(tally.seconds, 95), np.percentile(tally.present_seconds, 95)
    if p95 > rule.slower * present and p95 - present > NOTICEABLE_S:
        return (f"takes {1000 * p95:.0f} ms at p95, the present bundle {1000 * present:.0f} ms",)
    return ()


class Trial:
    """A candidate beside the present door; safe from any thread."""

    def __init__(self, candidate: Door, rule: Canary, metrics: Metrics) -> None:
        self.candidate = candidate
        self.rule = rule
        self.tally = Tally()
        self._metrics = metrics
        self._lock = threading.Lock()
        self._counted: set[bytes] = set()

    def takes(self, texts: Sequence[str]) -> bool:
        """Say whether the candidate answers these texts: always the same ones."""
        code = hashlib.sha256(self.candidate.bundle.digest.encode())
        for text in texts:
            code.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        return int.from_bytes(code.digest()[:8]) < self.rule.share * 2**64

    def classify(self, texts: Sequence[str], present: Door) -> tuple[Door, Vectors]:
        """Score by both; return the candidate's rows, or the present door's where the candidate fails.

        Raises:
            Exception: whatever the present door's engine raised.
        """
        started = time.monotonic()
        expected = present.classify(texts)
        between = time.monotonic()
        patience = PATIENCE_S + self.rule.slower * (between - started)
        try:
            if seconds_left(patience) < patience:
                return present, expected  # no time to be fair to the candidate
        except DeadlineError:
            return present, expected
        try:
            with deadline(patience):
                rows = self.candidate.classify(texts)
            pairs = list(zip(present.called(expected), self.candidate.called(rows), strict=True))
            apart = score_differences(present, expected, self.candidate, rows)
        except Exception:  # whatever it is: the caller has an answer
            fresh = self._fresh(texts)
            self._count(len(fresh), failed=len(fresh))
            return present, expected
        fresh = self._fresh(texts)
        self._count(
            len(fresh),
            differing=sum(pairs[place][0] != pairs[place][1] for place in fresh),
            score_differences=[float(apart[place]) for place in fresh],
        )
        with self._lock:
            self.tally.present_seconds.append(between - started)
            self.tally.seconds.append(time.monotonic() - between)
        return self.candidate, rows

    def regressions(self) -> tuple[str, ...] | None:
        """Return what `regressions` says of the trial so far."""
        with self._lock:
            return regressions(self.tally, self.rule)

    def _fresh(self, texts: Sequence[str]) -> list[int]:
        """Return the places of texts that were not counted: nobody decides a trial by repeating one."""
        found = []
        with self._lock:
            for place, text in enumerate(texts):
                code = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
                if code not in self._counted:
                    self._counted.add(code)
                    found.append(place)
        return found

    def _count(
        self,
        messages: int,
        *,
        failed: int = 0,
        differing: int = 0,
        score_differences: Sequence[float] = (),
    ) -> None:
        with self._lock:
            self.tally.messages += messages
            self.tally.failed += failed
            self.tally.differing += differing
            self.tally.score_difference += sum(score_differences)
        for each in score_differences:
            self._metrics.canary_score_difference.observe(each)
        counts = {"failed": failed, "differing": differing, "agreeing": messages - failed - differing}
        for outcome, count in counts.items():
            self._metrics.canary.labels(outcome).inc(count)


def score_differences(present: Door, expected: Vectors, candidate: Door, rows: Vectors) -> Vectors:
    """Return of each message the largest difference between two bundles' calibrated probabilities.

    Labels are paired by name; one that only one of them knows is improbable to the other.
    """
    places = {label: place for place, label in enumerate(dict.fromkeys([*present.labels, *candidate.labels]))}
    apart = np.zeros((len(rows), len(places)), np.float32)
    apart[:, [places[label] for label in present.labels]] += present.calibrated(expected)
    apart[:, [places[label] for label in candidate.labels]] -= candidate.calibrated(rows)
    return np.asarray(np.abs(apart).max(axis=1, initial=0.0), np.float32)


def classified(trial: Trial | None, door: Door, texts: Sequence[str]) -> tuple[Door, Vectors]:
    """Return class probabilities, and the door whose they are."""
    if trial is None or not texts or not trial.takes(texts):
        return door, door.classify(texts)
    return trial.classify(texts, door)

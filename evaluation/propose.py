"""Which messages to label next: those a model is least sure of, and some by chance.

By chance alone, labels are mostly ordinary mail; by a model alone, nothing can be said of the archive
from them. Uncertain is a small margin between the two best labels (Scheffer, Decomain and Wrobel 2001),
one message a thread, since neighbours teach the same. The random ones follow one fixed order of all
messages, whatever thread they are in: how far that order is labelled, by either rule, is a simple
random sample (:func:`random_sample`). Those that were chosen by chance are none: a model has taken
some of what is sought before chance came to it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from data.feedback import Rule
from evaluation.metrics import Floats

RANDOM_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A message that nobody has labelled; only those of train may be chosen by a model."""

    message_id: str
    thread_id: str
    in_train: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """The place of a message among the unlabelled, and why it was chosen."""

    place: int
    rule: Rule


def choose(
    messages: Sequence[Unlabelled],
    probabilities: Floats | None,
    *,
    count: int,
    seed: int,
    random_share: float = RANDOM_SHARE,
    thresholds: Sequence[float] | None = None,
) -> tuple[Chosen, ...]:
    """Return up to ``count`` messages: a share by chance, the rest by the smallest margins.

    ``probabilities`` is (messages, labels); rows with NaN are not known. With ``thresholds`` the margin is
    the distance of the label that is nearest to its own. Without a model, and where too
    few messages of train are left, all are chosen by chance.
    """
    order = sorted(range(len(messages)), key=lambda place: by_chance(messages[place].message_id, seed=seed))
    share = count if probabilities is None else math.ceil(count * random_share)
    drawn = order[:share]
    uncertain = []
    if probabilities is not None:
        differences = margins(probabilities, thresholds)
        uncertain = _uncertain(messages, differences, drawn, count - len(drawn))
    chosen = [Chosen(place, "random") for place in drawn] + [
        Chosen(place, "uncertain") for place in uncertain
    ]
    rest = [place for place in order[share:] if place not in set(uncertain)]
    return (*chosen, *(Chosen(place, "random") for place in rest[: count - len(chosen)]))


def by_chance(message_id: str, *, seed: int) -> bytes:
    """Return a message's place in the fixed random order; later mail falls in between."""
    return hashlib.sha256(f"label:{seed}:{message_id}".encode()).digest()


def random_sample(labelled: Collection[str], unlabelled: Collection[str], *, seed: int) -> frozenset[str]:
    """Return the labelled messages that stand before all unlabelled ones in the random order.

    Both are ids of the same messages, those among which chance may choose. Shares among the returned
    are unbiased for all of them.
    """
    end = min((by_chance(each, seed=seed) for each in unlabelled), default=None)
    return frozenset(each for each in labelled if end is None or by_chance(each, seed=seed) < end)


def margins(probabilities: Floats, thresholds: Sequence[float] | None = None) -> Floats:
    """Return the difference of the two largest probabilities of each row; 1 with a single label.

    With thresholds, the distance of the label that is nearest to its own.
    """
    if thresholds is not None:
        return np.asarray(np.abs(probabilities - np.asarray(thresholds)).min(axis=1))
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    best = np.partition(probabilities, -2, axis=1)
    return best[:, -1] - best[:, -2]


def _uncertain(
    messages: Sequence[Unlabelled], differences: Floats, drawn: Sequence[int], count: int
) -> list[int]:
    found: list[int] = []
    threads, excluded = set[str](), set(drawn)
    for place in np.argsort(differences, kind="stable").tolist():
        if len(found) == count or not np.isfinite(differences[place]):
            break
        message = messages[place]
        if message.in_train and place not in excluded and message.thread_id not in threads:
            threads.add(message.thread_id)
            found.append(place)
    return found

"""How good a classifier is on the test messages, each figure with its uncertainty.

Messages of one thread resemble each other, so the unit that is resampled is the thread. Every
statistic here is a sum over threads first (the counts of each class, the bins of a reliability plot);
resampling is then one matrix product for all statistics of all models at once, and two models
are compared on the very same draws.

Messages may have several labels: then truth and answers are matrices of classes, a class is found or
raised by itself, and an answer is right when the whole set is. One label a message is the special case.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.label_sets import Truths, joined

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Answers = Integers | Truths  # a label's place for each message, or messages × labels

CALIBRATION_BINS = 10
ANOTHER = "another label"  # one that no test message has


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the range that holds the true one with the stated confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def known(self) -> bool:
        """False when any of the three is NaN or infinite."""
        return all(math.isfinite(number) for number in (self.value, self.low, self.high))


@dataclass(frozen=True, slots=True)
class TestSet:
    """The labelled test messages without their text; every array has one entry a message."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    message_ids: tuple[str, ...]
    threads: Integers  # 0-based thread number
    labels: tuple[str, ...]  # the classes that occur in the truth, sorted
    truth: Answers  # index into labels; where messages may have several, which of them apply

    def __len__(self) -> int:
        return len(self.message_ids)

    @property
    def thread_count(self) -> int:
        """How many independent units the test has."""
        return int(self.threads.max()) + 1 if len(self.threads) else 0

    @property
    def is_multi_label(self) -> bool:
        """Whether messages may have several labels."""
        return self.truth.ndim == 2

    @property
    def applies(self) -> Truths:
        """Which labels every message has (messages × labels)."""
        return as_matrix(self.truth, len(self.labels))


@dataclass(frozen=True, slots=True)
class Predictions:
    """One model's answers to the test messages, in their order.

    ``predicted`` indexes the test's labels; a label that the test does not know is
    ``len(labels)``, which is never right. Of a model that gives several labels to a message it is
    messages × (labels + 1). ``probabilities`` has a column for every test label and is absent for models
    that give none.
    """

    name: str
    predicted: Answers
    probabilities: Floats | None = None
    alert_score: Floats | None = None  # higher = more worth a reviewer's look

    @property
    def complete(self) -> int:
        """How many messages have a whole answer (no NaN among the scores)."""
        if self.probabilities is None:
            return len(self.predicted)
        return int(np.isfinite(self.probabilities).all(axis=1).sum())

    def given(self, test: TestSet) -> Truths:
        """Which labels every message was given (messages × (labels + "another label"))."""
        return as_matrix(self.predicted, len(test.labels) + 1)


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Precision, recall and F1 of one class."""

    label: str
    support: int
    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model is worth on the test messages."""

    name: str
    macro_f1: Interval
    accuracy: Interval
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]  # truth × (labels + "another label"), see `confusion_of`


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a stated confidence of 80 % is right in 80 % of cases."""

    error: Interval  # expected calibration error
    confidence: tuple[float, ...]  # mean per filled bin
    accuracy: tuple[float, ...]
    count: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision against recall while the threshold falls."""

    label: str
    average_precision: Interval
    positives: int
    recall: tuple[float, ...]
    precision: tuple[float, ...]


def interval(value: float, draws: Floats, confidence: float = 0.95) -> Interval:
    """Return the percentile interval of the draws around the value that was measured."""
    if not np.isfinite(value) or not np.isfinite(draws).any():
        return Interval(float("nan"), float("nan"), float("nan"))
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return Interval(float(value), min(float(low), float(value)), max(float(high), float(value)))


def wilson(hits: float, total: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a share (Wilson 1927); NaN when nothing was counted."""
    if total == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    share = hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def wider(one: Interval, other: Interval) -> Interval:
    """Return the first figure with the hull of both ranges.

    Resampling says nothing when every message was right, and Wilson takes the messages of one
    thread for independent: each covers the other's blind spot.
    """
    if not other.known:
        return one
    return Interval(one.value, min(one.low, other.low), max(one.high, other.high))


def by_thread(threads: Integers, columns: Floats) -> Floats:
    """Sum the columns (messages × statistics) over the messages of each thread."""
    count = int(threads.max()) + 1 if len(threads) else 0
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, threads, columns)
    return sums


def resample(sums: Floats, *, draws: int = 2000, seed: int = 7) -> Floats:
    """Draw whole threads with replacement; return draws × statistics (the same draws for one seed)."""
    return np.vstack([weights @ sums for weights in thread_weights(len(sums), draws=draws, seed=seed)])


def thread_weights(threads: int, *, draws: int = 2000, seed: int = 7) -> Iterator[Floats]:
    """Yield blocks of draws × threads: how often each thread was drawn; `resample` sees the same draws."""
    random = np.random.default_rng(seed)
    block = max(1, 2_000_000 // max(threads, 1))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        chosen = random.integers(0, threads, (size, threads)) + threads * np.arange(size)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=size * threads)
        yield counts.reshape(size, threads).astype(np.float64)


def as_matrix(answers: Answers, width: int) -> Truths:
    """Return answers as messages × width, whichever way they are written."""
    if answers.ndim == 2:
        return np.asarray(answers, dtype=bool)
    return np.asarray(answers[:, None] == np.arange(width))


def right(test: TestSet, predictions: Predictions) -> Truths:
    """Return which messages were answered rightly: every label that they have, and no other."""
    given = predictions.given(test)
    return np.asarray((given[:, :-1] == test.applies).all(axis=1) & ~given[:, -1])


def called(test: TestSet, predictions: Predictions) -> list[str]:
    """Return what the model calls every message: a label, a set, or `ANOTHER`."""
    names = (*test.labels, ANOTHER)
    return [joined(names[place] for place in np.flatnonzero(row)) for row in predictions.given(test)]


def truly_called(test: TestSet) -> list[str]:
    """Return what every message is: a label, or a set."""
    return [joined(test.labels[place] for place in np.flatnonzero(row)) for row in test.applies]


def counts(test: TestSet, predictions: Predictions) -> Floats:
    """Return threads × (3 · labels + 2): found, having and given each label; right, and all messages."""
    applies, given = test.applies, predictions.given(test)[:, :-1]
    whole = np.column_stack([right(test, predictions), np.ones(len(test))])
    return by_thread(test.threads, np.hstack([applies & given, applies, given, whole]).astype(np.float64))


def confusion_of(test: TestSet, predictions: Predictions) -> Integers:
    """Return labels × (labels + "another label"): what was said of the messages that have each label.

    On the diagonal what was found, beside it what was said of them and does not apply. Of one label a
    message that is the confusion matrix; of several, what was missed with nothing wrong said is not in it.
    """
    applies, given = test.applies, predictions.given(test)
    wrong = given.copy()
    wrong[:, :-1] &= ~applies
    confusion = applies.T.astype(np.int64) @ wrong.astype(np.int64)
    np.fill_diagonal(confusion, (applies & given[:, :-1]).sum(axis=0))
    return confusion


def macro_f1(counted: Floats, classes: int) -> Floats:
    """Return the macro-F1 of `counts` (… × at least 3 · classes).

    A class without any message in a draw is left out of that draw's mean.
    """
    found, support, alarms = (counted[..., place * classes : (place + 1) * classes] for place in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(support > 0, 2 * found / (support + alarms), np.nan)
        present = (support > 0).sum(axis=-1)
        return np.where(present > 0, np.nansum(scores, axis=-1) / present, np.nan)


def assess(
    test: TestSet, predictions: Predictions, *, draws: int = 2000, confidence: float = 0.95, seed: int = 7
) -> ModelResult:
    """Measure one model: macro-F1, accuracy, and precision, recall and F1 of every class."""
    classes = len(test.labels)
    sums = counts(test, predictions)
    total = sums.sum(axis=0)
    drawn = resample(sums, draws=draws, seed=seed)
    found, support, alarms = total[: 3 * classes].reshape(3, classes)
    drawn_found, drawn_support, drawn_alarms = np.split(drawn[:, : 3 * classes], 3, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls, precisions = drawn_found / drawn_support, drawn_found / drawn_alarms
        accuracies = drawn[:, -2] / drawn[:, -1]
        f1s = np.where(drawn_support > 0, 2 * drawn_found / (drawn_support + drawn_alarms), np.nan)
    results = tuple(
        ClassResult(
            label,
            int(support[code]),
            _share(found[code], alarms[code], precisions[:, code], confidence),
            _share(found[code], support[code], recalls[:, code], confidence),
            _f1(found[code], support[code] + alarms[code] - found[code], f1s[:, code], confidence),
        )
        for code, label in enumerate(test.labels)
    )
    return ModelResult(
        predictions.name,
        interval(float(macro_f1(total, classes)), macro_f1(drawn, classes), confidence),
        _share(total[-2], total[-1], accuracies, confidence),
        results,
        tuple(tuple(int(cell) for cell in row) for row in confusion_of(test, predictions)),
    )


def _share(hits: float, total: float, draws: Floats, confidence: float) -> Interval:
    counted = wilson(int(hits), int(total), confidence)
    return wider(counted, interval(counted.value, draws, confidence))


def _f1(found: float, either: float, draws: Floats, confidence: float) -> Interval:
    """Return the F1 of a class that ``either`` messages have or were given.

    It is 2j / (1 + j) of the share j that was found among them, and so are the bounds of that share.
    """
    shares = wilson(int(found), int(either), confidence)
    value, low, high = (2 * share / (1 + share) for share in (shares.value, shares.low, shares.high))
    return wider(interval(value, draws, confidence), Interval(value, low, high))


def calibration(
    test: TestSet,
    probabilities: Floats,
    *,
    given: Truths | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Calibration:
    """Return the expected calibration error of the winning label's probability (Guo et al. 2017).

    With ``given`` (messages × labels), where several may win, of the probability of each label given.
    """
    rows, places = np.arange(len(test)), probabilities.argmax(axis=1)
    if given is not None:
        rows, places = np.nonzero(given)
    stated, is_right = probabilities[rows, places], test.applies[rows, places]
    bins = np.minimum((stated * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    columns = np.zeros((len(test), 3 * CALIBRATION_BINS))
    np.add.at(columns, (rows, bins), 1)
    np.add.at(columns, (rows, CALIBRATION_BINS + bins), stated)
    np.add.at(columns, (rows, 2 * CALIBRATION_BINS + bins), is_right)
    sums = by_thread(test.threads, columns)
    total = sums.sum(axis=0)
    error = _calibration_error(total[None, :])[0]
    drawn = _calibration_error(resample(sums, draws=draws, seed=seed))
    counts, confidences, hits = total.reshape(3, CALIBRATION_BINS)
    filled = counts > 0
    return Calibration(
        interval(float(error), drawn, confidence),
        tuple((confidences[filled] / counts[filled]).tolist()),
        tuple((hits[filled] / counts[filled]).tolist()),
        tuple(int(count) for count in counts[filled]),
    )


def _calibration_error(sums: Floats) -> Floats:
    counts, confidences, hits = np.split(sums, 3, axis=1)
    return np.abs(confidences - hits).sum(axis=1) / counts.sum(axis=1)


def curve(
    label: str,
    positive: NDArray[np.bool_],
    scores: Floats,
    threads: Integers,
    *,
    points: int = 80,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Curve | None:
    """Return the precision-recall curve, thinned for drawing; None without a positive message.

    The range of the average precision is the hull of the draws and the binomial interval of Boyd, Eng and
    Page (2013) in Wilson's form: where every positive comes first, resampling says nothing.
    """
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    found, own = positive[order], threads[order]
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each score
    hits, total = np.cumsum(found)[ends], int(positive.sum())
    recall, precision = hits / total, hits / (ends + 1)
    raised = ends[np.diff(hits, prepend=0) > 0]  # elsewhere the recall does not move
    average = float(_average_precision(np.ones((1, len(found))), found, raised)[0])
    drawn = [
        _average_precision(weights[:, own], found, raised)
        for weights in thread_weights(int(threads.max()) + 1, draws=draws, seed=seed)
    ]
    kept = np.unique(np.linspace(0, len(recall) - 1, points).astype(int))
    return Curve(
        label,
        wider(
            interval(average, np.concatenate(drawn), confidence), wilson(average * total, total, confidence)
        ),
        total,
        (0.0, *recall[kept].tolist()),
        (float(precision[0]), *precision[kept].tolist()),
    )


def _average_precision(weights: Floats, positive: NDArray[np.bool_], ends: Integers) -> Floats:
    """Return the average precision of every draw (draws × messages, surest first)."""
    hits = np.cumsum(weights[:, positive], axis=1)[:, np.cumsum(positive)[ends] - 1]
    counted = np.cumsum(weights, axis=1)[:, ends]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(counted > 0, hits / counted, 0.0)
        return (np.diff(hits, prepend=0.0, axis=1) * precision).sum(axis=1) / hits[:, -1]

"""How often the drift checks fire where nothing drifted.

The reference is cut into random halves again and again: both come from the same messages, so every
check that fires on them is a false alarm. The effect sizes are Evidently's, computed directly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evaluation.drift import FalseAlarms, Sketch, in_same_space
from evaluation.metrics import Floats, wilson

FEWEST = 40  # reference messages: below, a half tells nothing


def measure_false_alarms(
    reference: Sketch,
    *,
    embedding_limit: float,
    descriptor_limit: float,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 7,
) -> FalseAlarms | None:
    """Count how often each drift check fires on random halves; None for a reference of under 40 messages."""
    half = len(reference) // 2
    if 2 * half < FEWEST:
        return None
    random = np.random.default_rng(seed)
    space = in_same_space(reference, _rows(reference, np.arange(0)))[0]  # both halves together are the whole
    fired = np.zeros(2, dtype=int)
    for _ in range(draws):
        order = random.permutation(len(space))
        one, other = _rows(space, order[:half]), _rows(space, order[half : 2 * half])
        fired += [embedding_auc(one, other) > embedding_limit, largest_effect(one, other) > descriptor_limit]
    shares = [wilson(int(count), draws, confidence) for count in fired]
    return FalseAlarms(draws, half, *shares)


def largest_effect(reference: Sketch, current: Sketch) -> float:
    """Return the largest effect of a descriptor or of the predictions, as the drift check reads it."""
    descriptors = [
        wasserstein(before, now)
        for before, now in zip(reference.descriptors.T, current.descriptors.T, strict=True)
    ]
    return max(*descriptors, jensen_shannon(reference.predicted, current.predicted))


def wasserstein(reference: Floats, current: Floats) -> float:
    """Return the first Wasserstein distance in standard deviations of the reference."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(reference, current) / max(float(np.std(reference)), 0.001))


def jensen_shannon(reference: Sequence[str], current: Sequence[str]) -> float:
    """Return the Jensen-Shannon distance of two sets of labels, in nats' square roots."""
    from scipy.spatial.distance import jensenshannon

    before, now = Counter(reference), Counter(current)
    names = sorted({*before, *now})
    return float(jensenshannon([before[name] for name in names], [now[name] for name in names]))


def embedding_auc(reference: Sketch, current: Sketch) -> float:
    """Return how well a linear classifier tells the two sides apart on the half that it was not shown."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    sides = np.repeat([1, 0], [len(reference), len(current)])
    both = np.vstack([reference.embeddings, current.embeddings])
    train, test, train_sides, test_sides = train_test_split(both, sides, test_size=0.5, random_state=42)
    model = SGDClassifier(loss="log_loss", random_state=42).fit(train, train_sides)
    return float(roc_auc_score(test_sides, model.predict_proba(test)[:, 1]))


def _rows(sketch: Sketch, rows: np.ndarray) -> Sketch:
    predicted = tuple(sketch.predicted[row] for row in rows)
    return Sketch(sketch.descriptors[rows], sketch.embeddings[rows], predicted)

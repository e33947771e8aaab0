"""How long one message takes alone: what somebody who waits for an answer would feel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data.redact import model_view
from evaluation.findings import Latency

ASKED = 50
WARM_UP = 3
PERCENTILE = 95
LONGEST = 256  # tokens, as the engines cut


def measure_latency(challenger: Path, champion: Path | None, texts: Sequence[str]) -> Latency | None:
    """Time both classifiers on the same messages, one at a time; None without a message.

    They are asked in turns, so that whatever else the machine does slows both alike: the ratio
    means something where the milliseconds alone do not.
    """
    if not texts:
        return None
    chosen = [texts[place] for place in np.unique(np.linspace(0, len(texts) - 1, ASKED).astype(int))]
    models = [_loaded(folder) for folder in (challenger, champion) if folder]
    for text in chosen[:WARM_UP]:
        for ask in models:
            ask(text)
    taken = np.array([[_milliseconds(ask, text) for ask in models] for text in chosen])
    slow = [float(value) for value in np.percentile(taken, PERCENTILE, axis=0)]
    return Latency(len(chosen), slow[0], slow[1] if champion else None)


def _loaded(folder: Path) -> Callable[[str], object]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from training.encode import choose_device, quietly
    from training.predict import score

    with quietly():
        model = AutoModelForSequenceClassification.from_pretrained(folder).to(choose_device())
        tokenizer = AutoTokenizer.from_pretrained(folder)
    labels = list(model.config.id2label.values())
    return lambda text: score(model, tokenizer, [model_view(text)], LONGEST, labels)


def _milliseconds(ask: Callable[[str], object], text: str) -> float:
    started = time.perf_counter()
    ask(text)
    return 1000 * (time.perf_counter() - started)

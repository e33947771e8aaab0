"""Whether the messages of today look like those that the champion learned from.

Three views, each with an effect size instead of a p-value, which would only tell the size of the
sample: descriptors of the text (lengths, layout), embeddings, and the model's own predictions.
No text reaches Evidently: it would write it into its HTML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.metrics import Floats, Interval

SAMPLE = 300  # messages on each side
COMPONENTS = 16
DESCRIPTORS = (
    "characters",
    "words",
    "sentences",
    "non_letters",
    "placeholders",
    "questions_asked",
    "upper_case",
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of one side: numbers alone, so that it may be stored and compared later."""

    descriptors: Floats  # messages × DESCRIPTORS
    embeddings: Floats  # messages × dimensions
    predicted: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(frozen=True, slots=True)
class Drifted:
    """The effect size of one column: 0 is none, .1 small, .3 plain to see."""

    column: str
    method: str
    effect: float


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Shares of the draws without drift in which a check fired, with Wilson's interval."""

    draws: int
    messages: int  # on each side of a draw; the check itself sees more, and fires by chance less often
    embeddings: Interval
    descriptors: Interval


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the current messages lie from the reference."""

    reference: str
    reference_messages: int
    current_messages: int
    columns: tuple[Drifted, ...]
    embedding_auc: float  # .5 = a classifier cannot tell the two apart, 1 = always
    false_alarms: FalseAlarms | None = None  # how often the checks fire on the reference alone

    @property
    def largest(self) -> float:
        """The largest effect of a descriptor or of the predictions; NaN if any is missing."""
        effects = [column.effect for column in self.columns]
        return max(effects) if effects and all(math.isfinite(effect) for effect in effects) else math.nan


def sample_rows(count: int, *, seed: int, size: int = SAMPLE) -> np.ndarray:
    """Return the sorted places of a random sample of the rows."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:size])


def describe(texts: Sequence[str]) -> Floats:
    """Return the descriptors of each text (texts × DESCRIPTORS)."""
    return np.array([_describe(text) for text in texts], dtype=np.float64).reshape(-1, len(DESCRIPTORS))


def _describe(text: str) -> list[float]:
    length = max(len(text), 1)
    return [
        len(text),
        len(text.split()),
        sum(text.count(mark) for mark in ".!?") or 1,
        sum(not letter.isalpha() and not letter.isspace() for letter in text) / length,
        text.count("["),
        text.count("?"),
        sum(letter.isupper() for letter in text) / length,
    ]


def save_sketch(sketch: Sketch, path: Path) -> None:
    """Write the sketch; embeddings in half precision."""
    np.savez_compressed(
        path,
        descriptors=sketch.descriptors.astype(np.float32),
        embeddings=sketch.embeddings.astype(np.float16),
        predicted=np.array(sketch.predicted, dtype=np.str_),
    )


def load_sketch(path: Path) -> Sketch:
    """Read a sketch that `save_sketch` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Sketch(
            stored["descriptors"].astype(np.float64),
            stored["embeddings"].astype(np.float64),
            tuple(str(label) for label in stored["predicted"]),
        )


def measure_drift(reference: Sketch, current: Sketch, html_path: Path, *, described_as: str) -> Drift:
    """Compare both sides with Evidently and write its page (3-4 MB, for the curious) to ``html_path``."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift
    from evidently.metrics.embeddings import EmbeddingsDrift, ModelDriftMethod

    frames = [_frame(side) for side in in_same_space(reference, current)]
    vectors = [column for column in frames[0].columns if column.startswith("e")]
    definition = DataDefinition(
        numerical_columns=list(DESCRIPTORS), categorical_columns=["predicted"], embeddings={"text": vectors}
    )
    metrics: list[Any] = [ValueDrift(column=name, method="wasserstein") for name in DESCRIPTORS]
    metrics.append(ValueDrift(column="predicted", method="jensenshannon"))
    metrics.append(EmbeddingsDrift(embeddings_name="text", drift_method=ModelDriftMethod()))
    datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    snapshot = Report(metrics).run(datasets[1], datasets[0])
    snapshot.save_html(str(html_path))
    # Evidently sums over a set of labels, whose order differs from process to process in the last digit
    values = [round(float(entry["value"]), 12) for entry in snapshot.dict()["metrics"]]
    columns = [
        Drifted(name, "Wasserstein distance in standard deviations", value)
        for name, value in zip(DESCRIPTORS, values, strict=False)
    ]
    columns.append(Drifted("predicted label", "Jensen-Shannon distance", values[len(DESCRIPTORS)]))
    return Drift(described_as, len(reference), len(current), tuple(columns), values[-1])


def in_same_space(reference: Sketch, current: Sketch) -> tuple[Sketch, Sketch]:
    """Reduce both sides' embeddings to the leading components of the two together."""
    both = np.vstack([reference.embeddings, current.embeddings])
    centred = both - both.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    reduced = centred @ directions[:COMPONENTS].T
    reduced /= reduced.std(axis=0) + 1e-12
    split = len(reference)
    return (
        Sketch(reference.descriptors, reduced[:split], reference.predicted),
        Sketch(current.descriptors, reduced[split:], current.predicted),
    )


def _frame(sketch: Sketch) -> Any:
    import pandas as pd

    columns: dict[str, Any] = dict(zip(DESCRIPTORS, sketch.descriptors.T, strict=True))
    columns["predicted"] = list(sketch.predicted)
    columns |= {f"e{place}": column for place, column in enumerate(sketch.embeddings.T)}
    return pd.DataFrame(columns)

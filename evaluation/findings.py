"""Everything that was measured, and nothing that was written by a person: what gate and report read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluation.answer_loss import AnswerLoss
from evaluation.answers import Answers
from evaluation.behaviour import Behaviour
from evaluation.changes import ADAPTER, Changes, DatasetCounts
from evaluation.drift import Drift
from evaluation.errors import Errors
from evaluation.judge import Judged
from evaluation.leakage import Leakage
from evaluation.metrics import Calibration, Curve, ModelResult
from evaluation.paired import Comparison
from evaluation.planning import Planning
from evaluation.retrieval import Retrieval
from evaluation.slices import SliceResult
from evaluation.workload import Workload
from serving.adapter import NONE


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Whether the registered copy of a model answers as the model on disk does."""

    model: str
    version: str
    messages: int
    same_labels: float  # share; an embedder has no labels and counts as 1
    largest_difference: float
    copy_digest: str = ""  # of all files of the registered copy


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one message takes alone on this machine: the 95th percentile, in milliseconds."""

    messages: int
    challenger_ms: float
    champion_ms: float | None  # asked in turns with the challenger; None when there is no champion


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was judged, made of what: names, digests and versions."""

    dataset: str
    recipe: str
    seed: int
    gate: str  # SHA-256 of the declared rules
    parts: Mapping[str, str]  # part of the release → digest of the dataset it was made of
    details: Mapping[str, str] = field(default_factory=dict)  # what else a reviewer may want to quote


@dataclass(frozen=True, slots=True)
class Findings:
    """The measurements of one evaluation; None where something could not be measured."""

    labels: tuple[str, ...]
    messages: int
    threads: int
    scored: int  # test messages with a whole answer of the challenger
    challenger: ModelResult | None
    others: tuple[ModelResult, ...]  # lexicon, TF-IDF, and the champion if there is one
    comparisons: tuple[Comparison, ...]
    has_champion: bool
    slices: tuple[SliceResult, ...]
    slice_reference: str
    calibration: Calibration | None
    curves: tuple[Curve, ...]
    workload: tuple[Workload, ...]
    questions: int  # answerable questions of the archive
    retrieval: Retrieval | None
    answers: Answers | None
    drift: Drift | None
    leakage: Leakage | None
    round_trips: tuple[RoundTrip, ...]
    adapter_megabytes: float | None
    model_megabytes: float | None  # the larger of the two plain models, as the engines load them
    latency: Latency | None
    provenance: Provenance
    notes: tuple[str, ...] = ()  # what was left out and why, in words
    behaviour: Behaviour | None = None
    judged: Judged | None = None  # None where no judge is configured
    dataset: DatasetCounts | None = None  # what the challenger was made of, for the next comparison
    changes: Changes | None = None  # since the champion, if there is one
    errors: Errors | None = None
    planning: Planning | None = None  # what a reviewing department counts with
    answer_loss: AnswerLoss | None = None  # of the generator's adapter, where the recipe trains one
    multi_label: bool = False  # messages may have several labels

    @property
    def champions_adapter(self) -> str:
        """The digest of the adapter that the champion's generator has; "" where it has none."""
        facts = self.changes.facts if self.changes else ()
        before = next((fact.before for fact in facts if fact.name == ADAPTER), None)
        return "" if before in {None, NONE} else str(before)

    def comparison(self, other: str) -> Comparison | None:
        """Return the comparison with a model whose name starts so."""
        return next((found for found in self.comparisons if found.other.startswith(other)), None)

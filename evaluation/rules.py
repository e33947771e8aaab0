"""The declared rules of the gate: read and hashed before anything is measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from data.declared import read_declared
from data.workspace import locate

DEFAULT_PATH = Path(__file__).with_name("gate.yaml")


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Margins(_Declared):
    """How much worse still counts as not worse; for the lexicon, how much better is better."""

    lexicon_macro_f1: float = Field(ge=-1, le=1)
    champion_macro_f1: float = Field(ge=0, le=1)
    baseline_macro_f1: float = Field(ge=0, le=1)
    critical_recall: float = Field(ge=0, le=1)
    slice_accuracy: float = Field(ge=0, le=1)
    retrieval_recall: float = Field(ge=0, le=1)
    answer_loss: float = Field(ge=0)


class Limits(_Declared):
    """Bounds that hold whatever the champion does."""

    calibration_error: float = Field(ge=0, le=1)
    critical_recall_floor: float = Field(ge=0, le=1)
    adapter_megabytes: float = Field(gt=0)
    model_megabytes: float = Field(gt=0)
    latency_ms: float = Field(gt=0)
    latency_ratio: float = Field(gt=0)
    round_trip_messages: int = Field(ge=1)
    round_trip_score: float = Field(ge=0)
    answer_threads: int = Field(ge=2)
    answers_scored: float = Field(ge=0, le=1)
    embedding_drift: float = Field(ge=0.5, le=1)
    descriptor_drift: float = Field(ge=0)
    slice_messages: int = Field(ge=1)
    invariance_failures: float = Field(ge=0, le=1)
    directional_failures: float = Field(ge=0, le=1)
    functionality_failures: float = Field(ge=0, le=1)


class Rules(_Declared):
    """Everything that evaluation/gate.yaml declares."""

    benign: tuple[str, ...]
    critical: tuple[str, ...]
    margins: Margins
    limits: Limits
    split_by_time: bool
    significance: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0.5, lt=1)
    draws: int = Field(ge=200)
    minutes_per_alert: float = Field(gt=0)
    digest: str = ""
    source: bytes = Field(default=b"", exclude=True)  # the file as it was read


def load_rules(path: str | Path = "") -> Rules:
    """Read the rules and put the file's SHA-256 beside them; "" is the shipped file.

    Raises:
        UserError: no such file, or a key that is unknown, missing or out of range.
    """
    chosen = locate(path) if path else DEFAULT_PATH
    return read_declared(
        chosen,
        Rules,
        what="the gate's rules",
        way_out=f"compare with {DEFAULT_PATH}",
        beside=lambda content: {"digest": hashlib.sha256(content).hexdigest(), "source": content},
    )

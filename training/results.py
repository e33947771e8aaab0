"""What a training gives back to the notebook: figures and a learning curve, never a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import Literal

from training.scores import Metrics
from training.tracking import Provenance


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the learning curve; epoch 0 is the warm start, before any step."""

    epoch: int
    step: int
    train_loss: float | None
    valid: Metrics


@dataclass(frozen=True, slots=True)
class Effort:
    """What training took: real tokens per second of the steps, and how much of it went into padding."""

    tokens_per_second: float
    padding_share: float
    resumed_at_step: int  # 0: in one go


def effort_of(tokens: int, positions: int, seconds: float, resumed_at: int) -> Effort:
    """Return the effort of steps that read so many tokens, and with padding so many positions."""
    return Effort(
        tokens_per_second=tokens / seconds if seconds else 0.0,
        padding_share=1 - tokens / positions if positions else 0.0,
        resumed_at_step=resumed_at,
    )


@dataclass(frozen=True, slots=True)
class Prefix:
    """How well texts are found by their partner when only so many dimensions are compared."""

    dimension: int
    recall_at_10: float
    ndcg_at_10: float


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well texts are found by their partner among all valid positives of other threads.

    ``own_mrr`` is how well texts are found by a sentence of their own.
    """

    pairs: int
    recall_at_10: float
    mrr: float
    own_mrr: float
    prefixes: tuple[Prefix, ...] = ()  # of an embedder that was taught some, the whole vector first


class _Shown:
    """What a notebook and a terminal show: the rows, as a table or as lines."""

    __slots__ = ()

    def _rows(self) -> dict[str, str]:
        raise NotImplementedError

    def __str__(self) -> str:
        return _as_text(self._rows())

    def _repr_html_(self) -> str:
        return _as_table(self._rows())


@dataclass(frozen=True, slots=True)
class TrainedClassifier(_Shown):
    """A trained classifier: where it lies, what made it, how it does on valid."""

    path: str
    provenance: Provenance
    labels: tuple[str, ...]
    train_messages: int
    best_epoch: int
    metrics: Metrics
    temperature: float
    history: tuple[Epoch, ...]
    effort: Effort
    weights_digest: str
    mlflow_run_id: str
    model_id: str
    model_uri: str
    seconds: float
    thresholds: Mapping[str, float]  # of a multi-label classifier, else empty

    def _rows(self) -> dict[str, str]:
        start = self.history[0].valid
        return {
            "recipe": f"{self.provenance.recipe} ({self.provenance.recipe_digest[:12]})",
            "train messages": f"{self.train_messages:,} with {len(self.labels)} labels",
            "valid messages": f"{self.metrics.messages:,}",
            "valid macro-F1": f"{self.metrics.macro_f1:.3f} (warm start {start.macro_f1:.3f})",
            "valid accuracy": f"{self.metrics.accuracy:.3f} (warm start {start.accuracy:.3f})",
            "best epoch": str(self.best_epoch) if self.best_epoch else "0: the warm start was not bettered",
            "temperature": f"{self.temperature:.2f}",
            **self._thresholds(),
            "time": f"{self.seconds:.0f} s{_resumed(self.effort)}",
            "tokens per second": f"{self.effort.tokens_per_second:,.0f}",
            "padding": f"{self.effort.padding_share:.1%}",
            "MLflow run": self.mlflow_run_id,
            "written to": self.path,
        }

    def _thresholds(self) -> dict[str, str]:
        if not self.thresholds:
            return {}
        return {"thresholds": ", ".join(f"{label} {bound:.2f}" for label, bound in self.thresholds.items())}

    def plot(self) -> Curve:
        """Return the learning curve."""
        macro_f1 = tuple(epoch.valid.macro_f1 for epoch in self.history)
        return Curve("macro-F1 on valid", tuple(epoch.step for epoch in self.history), macro_f1)


@dataclass(frozen=True, slots=True)
class TrainedEmbedder(_Shown):
    """A trained embedder; ``kept`` says whether tuning helped on valid or the frozen weights stayed."""

    path: str
    provenance: Provenance
    train_pairs: Mapping[str, int]
    kept: Literal["tuned", "frozen"]
    frozen: Retrieval
    tuned: Retrieval
    losses: tuple[float, ...]
    effort: Effort
    dimension: int
    weights_digest: str
    mlflow_run_id: str
    model_id: str
    model_uri: str
    seconds: float

    def _rows(self) -> dict[str, str]:
        pairs = ", ".join(f"{kind} {number:,}" for kind, number in self.train_pairs.items())
        return {
            "recipe": f"{self.provenance.recipe} ({self.provenance.recipe_digest[:12]})",
            "train pairs": pairs,
            "valid pairs": f"{self.frozen.pairs:,}",
            "valid recall@10": f"{self.tuned.recall_at_10:.3f} (frozen {self.frozen.recall_at_10:.3f})",
            "valid MRR": f"{self.tuned.mrr:.3f} (frozen {self.frozen.mrr:.3f})",
            "valid MRR of own sentences": f"{self.tuned.own_mrr:.3f} (frozen {self.frozen.own_mrr:.3f})",
            **self._prefixes(),
            "dimension": str(self.dimension),
            "kept": self.kept,
            "time": f"{self.seconds:.0f} s{_resumed(self.effort)}",
            "tokens per second": f"{self.effort.tokens_per_second:,.0f}",
            "padding": f"{self.effort.padding_share:.1%}",
            "MLflow run": self.mlflow_run_id,
            "written to": self.path,
        }

    def _prefixes(self) -> dict[str, str]:
        return {
            f"valid by {tuned.dimension} dimensions": f"recall@10 {tuned.recall_at_10:.3f} (frozen "
            f"{frozen.recall_at_10:.3f}), nDCG@10 {tuned.ndcg_at_10:.3f} (frozen {frozen.ndcg_at_10:.3f})"
            for tuned, frozen in zip(self.tuned.prefixes, self.frozen.prefixes, strict=True)
        }

    def plot(self) -> Curve:
        """Return the contrastive loss by step."""
        return Curve("contrastive loss on train", tuple(range(1, len(self.losses) + 1)), self.losses)


@dataclass(frozen=True, slots=True)
class TrainedGenerator(_Shown):
    """A trained adapter of the generator; without ``adapter`` the base was not bettered and stays alone."""

    path: str
    provenance: Provenance
    train_pairs: Mapping[str, int]
    valid_pairs: int
    valid_losses: tuple[float, ...]  # of an answer's token, one an epoch; the base's first
    losses: tuple[float, ...]
    adapter: str
    weights_digest: str
    mlflow_run_id: str
    seconds: float

    def _rows(self) -> dict[str, str]:
        pairs = ", ".join(f"{kind} {number:,}" for kind, number in self.train_pairs.items())
        return {
            "recipe": f"{self.provenance.recipe} ({self.provenance.recipe_digest[:12]})",
            "train pairs": pairs,
            "valid pairs": f"{self.valid_pairs:,}",
            "loss on valid": f"{min(self.valid_losses):.3f} (base {self.valid_losses[0]:.3f})",
            "kept": self.adapter or "nothing: the base was not bettered",
            "time": f"{self.seconds:.0f} s",
            "MLflow run": self.mlflow_run_id,
            "written to": self.path,
        }

    def plot(self) -> Curve:
        """Return the loss by step."""
        return Curve("loss of the answers on train", tuple(range(1, len(self.losses) + 1)), self.losses)


def write_training_json(folder: Path, result: TrainedClassifier | TrainedEmbedder | TrainedGenerator) -> None:
    """Write ``training.json``: everything but where the folder lies, the provenance at the top level."""
    content = asdict(result)
    del content["path"]
    document = json.dumps(content | content.pop("provenance"), indent=1, sort_keys=True, allow_nan=False)
    (folder / "training.json").write_text(document + "\n", encoding="utf-8")


def _resumed(effort: Effort) -> str:
    return f" since step {effort.resumed_at_step}" if effort.resumed_at_step else ""


def _as_text(rows: Mapping[str, str]) -> str:
    wide = max(map(len, rows))
    return "\n".join(f"{name:<{wide}}  {value}" for name, value in rows.items())


def _as_table(rows: Mapping[str, str]) -> str:
    cells = (f"<th>{escape(name)}</th><td>{escape(value)}</td>" for name, value in rows.items())
    return f"<table>{''.join(f'<tr>{each}</tr>' for each in cells)}</table>"


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure by step, drawn where a notebook shows it, whichever Matplotlib backend is set up."""

    title: str
    steps: tuple[int, ...]
    values: tuple[float, ...]

    def _repr_svg_(self) -> str:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.steps, self.values, marker="o" if len(self.steps) < 20 else None)
        axes.set(title=self.title, xlabel="step")
        axes.grid(alpha=0.3)
        drawn = StringIO()
        with rc_context({"svg.hashsalt": self.title}):  # the same figures give the same bytes
            figure.savefig(drawn, format="svg", metadata={"Date": None})
        return drawn.getvalue()

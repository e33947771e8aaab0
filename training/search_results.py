"""What a search gives back: the trials, what mattered, and the best recipe; figures alone, never a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

from training.space import RATES, Value


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial; without a score it was ended early."""

    number: int
    macro_f1: float | None
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Search:
    """A search so far. The best score of many on valid flatters: what the recipe is worth, test says."""

    path: str
    study: str
    base: str
    tried: tuple[Tried, ...]
    importance: Mapping[str, float]
    recipe: str  # YAML

    @property
    def best(self) -> Tried:
        """Return the trial with the best score, the first of equals."""
        return max(self.tried, key=lambda each: -1.0 if each.macro_f1 is None else each.macro_f1)

    def __str__(self) -> str:
        rows = self._rows()
        wide = max(map(len, rows))
        return "\n".join(f"{name:<{wide}}  {value}" for name, value in rows.items())

    def _repr_html_(self) -> str:
        cells = (f"<th>{escape(name)}</th><td>{escape(value)}</td>" for name, value in self._rows().items())
        return f"<table>{''.join(f'<tr>{each}</tr>' for each in cells)}</table>"

    def _rows(self) -> dict[str, str]:
        early = sum(each.macro_f1 is None for each in self.tried)
        best, first = self.best, self.tried[0]
        began = f" (trial 0: {first.macro_f1:.3f})" if first.macro_f1 is not None else ""
        return {
            "trials": f"{len(self.tried)}, of which {early} ended early",
            "best valid macro-F1": f"{best.macro_f1:.3f} in trial {best.number}{began}",
            **{f"best {key}": _shown(key, value) for key, value in best.values.items()},
            "study": self.study,
            "written to": self.path,
        }

    def plot(self) -> Chart:
        """Return every trial's score, and the best so far."""
        return Chart("macro-F1 on valid by trial", self.tried)

    def plot_importance(self) -> Bars:
        """Return how much each key told good trials from the others."""
        return Bars("what told good trials from the others", self.importance)


@dataclass(frozen=True, slots=True)
class Chart:
    """Scores by trial, as SVG."""

    title: str
    tried: tuple[Tried, ...]

    def _repr_svg_(self) -> str:
        figure, axes = _axes()
        scored = [(each.number, each.macro_f1) for each in self.tried if each.macro_f1 is not None]
        numbers = [number for number, _ in scored]
        scores = [score for _, score in scored]
        axes.plot(numbers, scores, "o", label="trial")
        axes.step(numbers, [max(scores[: end + 1]) for end in range(len(scores))], where="post", label="best")
        axes.set(title=self.title, xlabel="trial")
        axes.legend()
        return _svg(figure, self.title)


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares by name, as SVG; empty where there is too little to tell."""

    title: str
    shares: Mapping[str, float]

    def _repr_svg_(self) -> str:
        figure, axes = _axes()
        names = list(self.shares)[::-1]
        axes.barh(names, [self.shares[name] for name in names])
        axes.set(title=self.title if names else "too few trials to tell", xlabel="share")
        return _svg(figure, self.title)


def _shown(key: str, value: Value) -> str:
    return f"{value:.3g}" if key in RATES else str(value)


def _axes() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Any, title: str) -> str:
    from matplotlib import rc_context

    drawn = StringIO()
    with rc_context({"svg.hashsalt": title}):  # the same figures give the same bytes
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()

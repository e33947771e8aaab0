"""Small drawings in SVG, without a script: the page's style sheet colours them, so they follow dark mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from evaluation.equal_work import EqualWork
from evaluation.metrics import Calibration, Curve, Interval

SIZE, LEFT, TOP = 250, 34, 12
PLOT = SIZE - LEFT - TOP
COLOURS = 6  # classes c0 … c5 of the style sheet


def precision_recall_plot(curves: tuple[Curve, ...]) -> str:
    """Draw precision against recall, one line a class; line styles differ as well as colours."""
    lines = []
    for number, curve in enumerate(curves):
        places = " ".join(
            f"{_x(recall):.1f},{_y(precision):.1f}"
            for recall, precision in zip(curve.recall, curve.precision, strict=True)
        )
        style = f"line c{number % COLOURS} d{number % 4}"
        title = f"{escape(curve.label)}: average precision {curve.average_precision}"
        lines.append(f'<polyline class="{style}" points="{places}"><title>{title}</title></polyline>')
    return _plot("Precision against recall", "recall (share found)", "precision (share right)", lines)


def reliability_plot(calibration: Calibration) -> str:
    """Draw how often the model was right against how sure it said it was; area follows the count."""
    most = max(calibration.count, default=1)
    marks = [f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>']
    for stated, right, count in zip(
        calibration.confidence, calibration.accuracy, calibration.count, strict=True
    ):
        radius = 3 + 7 * (count / most) ** 0.5
        title = f"said {stated:.2f}, right {right:.2f}, {count} messages"
        marks.append(
            f'<circle class="dot" cx="{_x(stated):.1f}" cy="{_y(right):.1f}" r="{radius:.1f}">'
            f"<title>{title}</title></circle>"
        )
    return _plot("Stated confidence against how often it is right", "stated confidence", "share right", marks)


def recall_by_hours_plot(work: EqualWork, *, drawn: int = 3) -> str:
    """Draw the share found against hours per 1,000 messages; the first way with its range and its point."""
    widest = max(work.curves[0].hours)

    def places(hours: Sequence[float], shares: Sequence[float]) -> str:
        return " ".join(
            f"{_x(hour / widest):.1f},{_y(share):.1f}" for hour, share in zip(hours, shares, strict=True)
        )

    own = work.curves[0]
    edge = places((*own.hours, *reversed(own.hours)), (*own.low, *reversed(own.high)))
    marks = [f'<polygon class="band" points="{edge}"/>']
    for number, curve in enumerate(work.curves[:drawn]):
        style = f"line c{number % COLOURS} d{number % 4}"
        title = f"<title>{escape(curve.name)}</title>"
        marks.append(
            f'<polyline class="{style}" points="{places(curve.hours, curve.found)}">{title}</polyline>'
        )
    here, found = work.hours_per_1000, work.strategies[0].found.value
    title = f"<title>{found:.3f} of the wanted messages in {here:.3g} hours per 1,000</title>"
    marks.append(
        f'<circle class="dot" cx="{_x(here / widest):.1f}" cy="{_y(found):.1f}" r="4.5">{title}</circle>'
    )
    across = "reviewer's hours per 1,000 messages"
    return _plot("Share found against hours", across, "share of the wanted found", marks, widest=widest)


def interval_bar(figure: Interval, *, width: int = 120) -> str:
    """Draw a share and its interval on a line from 0 to 1."""
    if not figure.known:
        return ""
    low, value, high = (
        max(0.0, min(1.0, part)) * (width - 8) + 4 for part in (figure.low, figure.value, figure.high)
    )
    return (
        f'<svg class="bar" viewBox="0 0 {width} 12" width="{width}" height="12" role="img" '
        f'aria-label="{figure.value:.3f} between {figure.low:.3f} and {figure.high:.3f}">'
        f'<line class="rail" x1="4" x2="{width - 4}" y1="6" y2="6"/>'
        f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="6" y2="6"/>'
        f'<circle class="dot" cx="{value:.1f}" cy="6" r="3"/></svg>'
    )


def _x(share: float) -> float:
    return LEFT + PLOT * share


def _y(share: float) -> float:
    return TOP + PLOT * (1 - share)


def _plot(title: str, across: str, upwards: str, marks: list[str], *, widest: float = 1.0) -> str:
    middle = TOP + PLOT / 2
    return (
        f'<svg class="plot" viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="{title}">'
        + "".join(_grid(widest))
        + "".join(marks)
        + f'<text x="{LEFT + PLOT / 2}" y="{SIZE - 6}" text-anchor="middle">{across}</text>'
        + f'<text x="10" y="{middle}" text-anchor="middle" transform="rotate(-90 10 {middle})">'
        + f"{upwards}</text></svg>"
    )


def _grid(widest: float) -> Iterator[str]:
    for tick in (0, 0.25, 0.5, 0.75, 1):
        yield f'<line class="grid" x1="{_x(tick)}" x2="{_x(tick)}" y1="{_y(0)}" y2="{_y(1)}"/>'
        yield f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(tick)}" y2="{_y(tick)}"/>'
    for tick in (0, 0.5, 1):
        yield f'<text x="{_x(tick)}" y="{_y(0) + 12}" text-anchor="middle">{tick * widest:.3g}</text>'
        yield f'<text x="{_x(0) - 4}" y="{_y(tick) + 3}" text-anchor="end">{tick:g}</text>'

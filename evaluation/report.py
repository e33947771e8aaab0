"""The page a reviewer decides by: one HTML file, no script, nothing loaded from anywhere, no message text."""

from __future__ import annotations

import math
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from data.label_sets import SEPARATOR
from evaluation.drawings import interval_bar, precision_recall_plot, recall_by_hours_plot, reliability_plot
from evaluation.findings import Findings
from evaluation.metrics import Interval
from evaluation.rules import Rules
from evaluation.verdict import Check, Verdict

TEMPLATE = "report.html.j2"
NEGATIVE = re.compile(r"(?<!\w)-(?=\d)")
DIGEST = re.compile("[0-9a-f]{32,}")
SLICES = "slices"  # a dozen lines that mostly pass: one line in the gate table, all in their own
WORDS = {
    "promote": "PASS: may be promoted",
    "hold": "HOLD: a reviewer has to decide",
    "reject": "FAIL: may not be promoted",
}
WHY = {
    "promote": "Nothing stands against it:",
    "hold": "The gate cannot decide alone, because:",
    "reject": "It stays where it is, because:",
}
ORDER = {"reject": 0, "hold": 1, "note": 2}
SHOWN = {"pass": "pass", "reject": "fail: rejects", "hold": "fail: holds", "note": "note"}


def write_report(path: Path, findings: Findings, verdict: Verdict, rules: Rules, *, run_id: str = "") -> None:
    """Render the findings and the verdict into one self-contained page.

    ``run_id`` names the evaluation in the command that opens the worst errors.
    """
    page = (
        environment()
        .get_template(TEMPLATE)
        .render(
            findings=findings,
            verdict=verdict,
            rules=rules,
            run_id=run_id,
            word=WORDS[verdict.outcome],
            why=WHY[verdict.outcome],
            failed=sorted(
                (check for check in verdict.checks if not check.passed), key=lambda check: ORDER[check.effect]
            ),
            passed=[check for check in verdict.checks if check.passed and check.group != SLICES],
            passed_slices=[check for check in verdict.checks if check.passed and check.group == SLICES],
            measured=measured,
            state=state,
            heat=_heat(findings),
            curves_plot=Markup(precision_recall_plot(findings.curves)) if findings.curves else "",  # noqa: S704
            hours_plot=_hours(findings),
            reliability=Markup(reliability_plot(findings.calibration)) if findings.calibration else "",  # noqa: S704
        )
    )
    path.write_text(page, encoding="utf-8")


def environment() -> Environment:
    """Return what renders the pages: everything is escaped, and a name that is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "share": share,
        "cell": cell,
        "signed": signed,
        "signed_cell": signed_cell,
        "number": number,
        "bar": _bar,
        "short": short,
        "plain": plain,
        "difference": _sign,
        "bounds": bounds,
        "words": words,
        "minus": minus,
    }
    return made


def share(figure: Interval) -> str:
    """Return ".934 (.910–.951)", short enough for a narrow column."""
    if not math.isfinite(figure.value):
        return "–"
    if not figure.known:
        return _plain(figure.value)
    return f"{_plain(figure.value)} ({_plain(figure.low)}–{_plain(figure.high)})"


def plain(figure: Interval | float | None) -> str:
    """Return a figure without its range; – when there is none."""
    value = figure.value if isinstance(figure, Interval) else figure
    return "–" if value is None or not math.isfinite(value) else _plain(value)


def cell(figure: Interval) -> Markup:
    """Return a figure for a narrow column, its range below it."""
    value, _, held = share(figure).partition(" ")
    return Markup("{}<small>{}</small>").format(value, held.strip("()"))


def signed_cell(figure: Interval) -> Markup:
    """Return a difference for a narrow column, its range below it."""
    value, _, held = signed(figure).partition(" ")
    return Markup("{}<small>{}</small>").format(value, held.strip("()"))


def signed(figure: Interval) -> str:
    """Return a difference with its sign: "+.012 (−.004 to +.029)"."""
    if not figure.known:
        return "–"
    value, low, high = (_sign(part) for part in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def bounds(figure: Interval) -> str:
    """Return the range of a difference, "−.004 to +.029"; – when it is not known."""
    return f"{_sign(figure.low)} to {_sign(figure.high)}" if figure.known else "–"


def words(name: str) -> str:
    """Return the name of a class, set, split or column as a reader would write it."""
    return name.replace("_", " ").replace(SEPARATOR, " + ")


def minus(text: str) -> str:
    """Return text with the sign that belongs before a number: it does not break the line."""
    return NEGATIVE.sub("−", text)


def number(value: float) -> str:
    """Return a figure with three significant digits; – when there is none."""
    return f"{value:,.3g}" if math.isfinite(value) else "–"


def short(digest: str) -> str:
    """Return the first letters of a digest, enough to compare by eye; any other name as it is."""
    return digest[:12] if DIGEST.fullmatch(digest) else digest or "–"


def measured(check: Check) -> Markup:
    """Return what a check measured, its interval below it."""
    if check.measured is None:
        return Markup("not measured")
    if check.interval is None:
        plain = f"{check.measured:.3g}" if check.measured % 1 else f"{check.measured:,.0f}"
        return Markup("{}").format(plain)
    figure = Interval(check.measured, *check.interval)
    return signed_cell(figure) if "interval" in check.rule or "drop" in check.rule else cell(figure)


def state(check: Check) -> str:
    """Return the words of the last column; the colour says the same."""
    return SHOWN["pass" if check.passed else check.effect]


def _plain(value: float) -> str:
    digits = f"{value:.3f}"
    return digits.removeprefix("0") if digits.startswith("0.") else f"{value:.1f}"


def _sign(value: float) -> str:
    digits = f"{abs(value):.3f}".removeprefix("0")
    return f"{'−' if value < 0 and float(digits) else '+' if float(digits) else '±'}{digits}"


def _bar(figure: Interval) -> Markup:
    return Markup(interval_bar(figure))  # noqa: S704 - drawn from numbers alone


def _hours(findings: Findings) -> Markup:
    work = findings.planning.equal_work if findings.planning else None
    return Markup(recall_by_hours_plot(work)) if work else Markup("")  # noqa: S704 - names are escaped


def _heat(findings: Findings) -> list[list[int]]:
    """Return the confusion matrix as shades 0-5 of each true class's row."""
    if findings.challenger is None:
        return []
    return [
        [0 if not cell else max(1, math.ceil(5 * cell / max(sum(row), 1))) for cell in row]
        for row in findings.challenger.confusion
    ]

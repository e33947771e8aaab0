"""One line of the gate table, the ways to fill it, and the verdict that all lines make.

A paired difference has three outcomes: shown not worse (passes), shown worse (rejects), and not
decided by so few messages (holds for a reviewer). What could not be measured never passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from evaluation.metrics import Interval

Effect = Literal["reject", "hold", "note"]
Outcome = Literal["promote", "hold", "reject"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the gate table; ``effect`` is what a failure does."""

    name: str
    measured: float | None
    interval: tuple[float, float] | None
    rule: str
    passed: bool
    effect: Effect
    detail: str = ""  # half a line of explanation
    group: str = ""  # integrity | cost | quality | critical classes | slices | search | generator | …

    @property
    def figure(self) -> str:
        """What was measured, with its interval, as text."""
        if self.measured is None:
            return "not measured"
        if self.interval is None:
            return f"{self.measured:.3g}"
        return f"{self.measured:.3f} [{self.interval[0]:.3f}, {self.interval[1]:.3f}]"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger may replace the champion, and why."""

    outcome: Outcome
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


def at_most(
    name: str, value: float | Interval | None, limit: float, effect: Effect, detail: str = ""
) -> Check:
    """Pass when the measured figure is finite and no larger than the limit."""
    check = _measured(name, value, f"≤ {limit:g}", effect, detail)
    return replace(check, passed=check.measured is not None and check.measured <= limit)


def at_least(
    name: str, value: float | Interval | None, limit: float, effect: Effect, detail: str = ""
) -> Check:
    """Pass when the measured figure is finite and no smaller than the limit."""
    check = _measured(name, value, f"≥ {limit:g}", effect, detail)
    return replace(check, passed=check.measured is not None and check.measured >= limit)


def exactly(name: str, value: float | None, wanted: float, effect: Effect, detail: str = "") -> Check:
    """Pass when the measured figure is the wanted one."""
    check = _measured(name, value, f"= {wanted:g}", effect, detail)
    return replace(check, passed=check.measured is not None and check.measured == wanted)


def _measured(name: str, value: float | Interval | None, rule: str, effect: Effect, detail: str) -> Check:
    """Return the check with its figure, not yet passed."""
    number = value.value if isinstance(value, Interval) else value
    if number is None or not math.isfinite(number) or (isinstance(value, Interval) and not value.known):
        return missing(name, rule, detail)
    bounds = (value.low, value.high) if isinstance(value, Interval) else None
    return Check(name, float(number), bounds, rule, passed=False, effect=effect, detail=detail)


def missing(name: str, rule: str, detail: str = "") -> Check:
    """Return the failed check of something that was not measured, or came out as no number."""
    return Check(name, None, None, rule, False, "reject", detail)


def not_worse(name: str, difference: Interval | None, margin: float, detail: str = "") -> Check:
    """Pass when the whole interval lies above −margin; reject when it lies below; otherwise hold."""
    rule = f"interval above −{margin:g}"
    if difference is None or not difference.known:
        return missing(name, rule, detail)
    bounds = (difference.low, difference.high)
    effect: Effect = "reject" if difference.high < -margin else "hold"
    return Check(name, difference.value, bounds, rule, difference.low >= -margin, effect, detail)


def better(name: str, difference: Interval | None, by: float, detail: str = "") -> Check:
    """Pass when the whole interval lies above ``by``; reject when it lies below; otherwise hold."""
    rule = f"interval above {by:g}"
    if difference is None or not difference.known:
        return missing(name, rule, detail)
    bounds = (difference.low, difference.high)
    effect: Effect = "reject" if difference.high < by else "hold"
    return Check(name, difference.value, bounds, rule, difference.low > by, effect, detail)


_ORDER = {"reject": 0, "hold": 1, "note": 2}


def decide(checks: tuple[Check, ...]) -> Verdict:
    """Return the verdict of the checks: the worst effect among those that failed."""
    failed = [check for check in checks if not check.passed]
    effects = {check.effect for check in failed}
    outcome: Outcome = "promote"
    if "reject" in effects or not checks:
        outcome = "reject"
    elif "hold" in effects:
        outcome = "hold"
    reasons = [_reason(check) for check in sorted(failed, key=lambda check: _ORDER[check.effect])]
    return Verdict(outcome, tuple(reasons or ["every declared check passed"]), checks)


def _reason(check: Check) -> str:
    if check.measured is None:
        return f"{check.effect}: {check.name} was not measured (rule: {check.rule})"
    return f"{check.effect}: {check.name} is {check.figure} (rule: {check.rule})"

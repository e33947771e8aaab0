"""How a run may end other than well and other than by a mistake of the caller."""

from __future__ import annotations


class StepError(Exception):
    """A step failed for a reason that is not the caller's mistake: one line."""


class RunStoppedError(Exception):
    """The run was stopped; what is finished is in the cache."""

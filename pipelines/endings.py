"""How a run may end other than well and other than by a mistake that is seen before it starts."""

from __future__ import annotations

from components.failure import Failure

MENDABLE = ("UserError", "ContractError")
DISK_FULL = "No space left on device"
FREE_SPACE = "the disk is full; free some space and run the same command again"


class StepError(Exception):
    """A step failed: one line. ``status`` is 2 when the caller can mend it, as for any mistake of theirs."""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure

    @property
    def status(self) -> int:
        return 2 if self.failure and is_mendable(self.failure) else 1


class RunStoppedError(Exception):
    """The run was stopped; what is finished is in the cache."""


def is_mendable(failure: Failure) -> bool:
    """Say whether a step failed by something that the person at the terminal can put right."""
    return failure.error in MENDABLE or DISK_FULL in failure.message


def in_one_line(failure: Failure) -> str:
    """Return what a person reads: the way out of their own mistake, or where a step broke."""
    if DISK_FULL in failure.message:
        return FREE_SPACE
    return failure.message if is_mendable(failure) else str(failure)

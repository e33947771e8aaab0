"""Where a request spent its time, as MLflow traces: steps, ids and numbers; off unless the settings say so.

A trace names the request as the audit, the engines and the answer's header do. Of the content it has the
question alone, as the models see it: without a pseudonym in it, an erasure has nothing to find there.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from data.redact import model_view
from data.workspace import UserError, tracking

if TYPE_CHECKING:
    from mlflow.entities import Span

EXPERIMENT = "mailroom gateway"
R = TypeVar("R")

_share = 0.0
_root: ContextVar[Span | None] = ContextVar("root", default=None)


def start_tracing(share: float) -> None:
    """Trace this share of the requests, chosen by chance, into the workspace's MLflow; 0 is off.

    Raises:
        UserError: MLflow's store cannot be opened.
    """
    global _share  # noqa: PLW0603 (one gateway, one process)
    _share = share
    if not share:
        return
    os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "true"  # an answer never waits for the store
    import mlflow

    try:
        tracking()
        mlflow.set_experiment(EXPERIMENT)
    except (mlflow.MlflowException, OSError) as error:
        raise UserError(f"no traces can be kept: MLflow's store gives {type(error).__name__}") from error


def stop_tracing() -> None:
    """Write what is still on its way, and trace no more."""
    global _share  # noqa: PLW0603
    if _share:
        import mlflow

        mlflow.flush_trace_async_logging()
    _share = 0.0


@contextmanager
def traced(request: str, method: str) -> Iterator[None]:
    """Open the trace of a request, if it is one of those that are traced."""
    if not _share or secrets.randbelow(2**32) >= _share * 2**32:
        yield
        return
    import mlflow

    with _span("request", {"request": request, "method": method}) as span:
        mlflow.update_current_trace(client_request_id=request)
        token = _root.set(span)
        try:
            yield
        finally:
            _root.reset(token)


def say(**facts: Any) -> None:
    """Add names and numbers to the trace of this request, if there is one: never text of a message."""
    if (span := _root.get()) is not None:
        span.set_attributes(facts)


def asked(question: str) -> None:
    """Add the question (redacted) to the trace of this request, its placeholders as plain words."""
    if (span := _root.get()) is not None:
        span.set_inputs({"question": model_view(question)})


@contextmanager
def step(name: str, **facts: Any) -> Iterator[None]:
    """Time a part of a traced request; otherwise nothing happens."""
    if _root.get() is None:
        yield
        return
    with _span(name, facts):
        yield


@contextmanager
def _span(name: str, facts: dict[str, Any]) -> Iterator[Span]:
    """Open a span that learns the type of what goes wrong in it alone: an error's words may quote."""
    import mlflow

    failed: Exception | None = None
    with mlflow.start_span(name, attributes=facts) as span:
        try:
            yield span
        except Exception as error:
            failed = error
            span.set_status("ERROR")
            span.set_attribute("error", type(error).__name__)
    if failed is not None:
        raise failed


def as_step(name: str, ask: Callable[[Sequence[str]], R]) -> Callable[[Sequence[str]], R]:
    """Return ``ask`` with every call of it a step; the number of texts is told, no text."""

    @functools.wraps(ask)
    def timed(texts: Sequence[str]) -> R:
        with step(name, texts=len(texts)):
            return ask(texts)

    return timed

"""After a run: what was produced, what the gate said, and where to look."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from data.workspace import home
from pipelines.run import Produced

Row = tuple[str, str]


def show(produced: Produced, console: Console) -> None:
    """Print the table; what has no file leaves its rows out.

    Lines are not wrapped: a path must survive being copied.
    """
    console.print()
    for name, value in rows(produced):
        line = Text.assemble((f"  {name:9}", "bold"), value)
        console.print(line, soft_wrap=True, highlight=False)


def rows(produced: Produced) -> Iterator[Row]:
    """Return the lines of the table, each a name and a value."""
    yield from _messages(_read(produced.prepared / "manifest.json"))
    yield from _verdict(_read(produced.evaluation / "gate.json"))
    yield from _release(_read(produced.release / "release.json"))
    yield from _deployment(_read(produced.bundle / "deploy.json"))
    report = produced.evaluation / "eval_report.html"
    if report.exists():
        yield "report", str(report)
    yield "MLflow", mlflow_address()
    yield "log", str(produced.log)


def mlflow_address() -> str:
    """Return the server's address, or the command that opens the workspace's database."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("http"):
        return uri
    port = 5000
    return (
        f"mlflow server --port {port} --allowed-hosts 127.0.0.1:{port},localhost:{port} "
        f"--backend-store-uri {uri or f'sqlite:///{home()}/mlflow.db'}"
    )


def _messages(manifest: Mapping[str, Any]) -> Iterator[Row]:
    counts = manifest.get("counts", {})
    if not counts:
        return
    balance = " + ".join(
        f"{counts[name]:,} {name}" for name in ("kept", "duplicates", "rejects") if name in counts
    )
    yield "messages", f"{counts.get('read', 0):,} read = {balance}"
    if reasons := manifest.get("reasons"):
        yield "rejects", ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))


def _verdict(gate: Mapping[str, Any]) -> Iterator[Row]:
    if not gate:
        return
    reasons = [str(reason) for reason in gate.get("reasons", ())]
    yield "verdict", gate.get("outcome", "?") + (f": {reasons[0]}" if reasons else "")
    for reason in reasons[1:]:
        yield "", reason
    challenger = gate.get("challenger") or {}
    if versions := [
        f"mailroom-{model} version {challenger[f'{model}_version']}"
        for model in ("classifier", "embedder")
        if challenger.get(f"{model}_version")
    ]:
        yield "models", ", ".join(versions)


def _release(release: Mapping[str, Any]) -> Iterator[Row]:
    if not release:
        return
    state = release.get("state") or release.get("status") or release.get("outcome") or ""
    identifier = release.get("release_id") or release.get("id") or ""
    if state or identifier:
        yield "release", f"{identifier} {state}".strip()
    if state == "pending":
        yield "", f"waits for a reviewer: mailroom review approve {identifier}"


def _deployment(deployment: Mapping[str, Any]) -> Iterator[Row]:
    if not deployment:
        return
    yield from _flat("serving", deployment)


def _flat(name: str, values: Mapping[str, Any]) -> Iterator[Row]:
    """Return the plain values of a record, and those of the records in it, one line for each record."""
    plain = {key: value for key, value in values.items() if isinstance(value, str | int | float | bool)}
    if plain:
        shown = (
            f"{key} {f'{value:.3g}' if isinstance(value, float) else value}" for key, value in plain.items()
        )
        yield name, ", ".join(shown)
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(key, value)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}

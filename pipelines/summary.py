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
MLFLOW_PORT = 5000


def show(produced: Produced, console: Console) -> None:
    """Print the table; what has no file leaves its rows out.

    Lines are not wrapped: a path must survive being copied.
    """
    for number, (name, value) in enumerate(rows(produced)):
        line = Text.assemble("\n" if number == 0 else "", (f"  {name:9}", "bold"), value)
        console.print(line, soft_wrap=True, highlight=False)


def rows(produced: Produced) -> Iterator[Row]:
    """Return the lines of the table, each a name and a value."""
    release = _read(produced.release, "release.json")
    evaluation = produced.evaluation or (Path(release["evaluation"]) if "evaluation" in release else None)
    yield from _messages(_read(produced.prepared, "manifest.json"))
    yield from _verdict(_read(evaluation, "gate.json"))
    yield from _release(release)
    yield from _deployment(_read(produced.bundle, "deploy.json"))
    if produced.bundle:
        yield from _answer(_read(produced.bundle.parent, f"{produced.bundle.name}.smoke.json"))
    if evaluation and (evaluation / "eval_report.html").exists():
        yield "report", str(evaluation / "eval_report.html")
        yield from _mlflow(str(release.get("report", "")))
    if produced.log:
        yield "log", str(produced.log)


def _messages(manifest: Mapping[str, Any]) -> Iterator[Row]:
    counts = manifest.get("counts", {})
    if not counts:
        return
    parts = " + ".join(
        f"{counts[name]:,} {name}" for name in ("kept", "duplicates", "rejects") if name in counts
    )
    yield "messages", f"{counts.get('read', 0):,} read = {parts}"
    if reasons := manifest.get("reasons"):
        yield "rejects", ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))


def _verdict(gate: Mapping[str, Any]) -> Iterator[Row]:
    if not gate:
        return
    if headline := gate.get("headline"):
        yield "quality", str(headline)
    yield "verdict", str(gate.get("outcome", "?"))
    for reason in gate.get("reasons", ()):
        yield "", str(reason)
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
    was_rejected = release.get("status") == "pending" and release.get("outcome") == "reject"
    yield (
        "release",
        f"{release.get('id')} is {'turned down by the gate' if was_rejected else release.get('status')}",
    )
    if release.get("status") == "pending" and not was_rejected:
        yield "", f"to decide: mailroom review approve {release.get('id')} --reviewer NAME --reason TEXT"


def _deployment(deployment: Mapping[str, Any]) -> Iterator[Row]:
    if not deployment:
        return
    ready = f", ready in {deployment['seconds_to_ready']:.0f} s" if "seconds_to_ready" in deployment else ""
    digest, release = str(deployment.get("digest", ""))[:12], deployment.get("release_id") or "none"
    yield "serving", f"{deployment.get('engine')} engines{ready}; bundle {digest} of release {release}"
    if parity := deployment.get("parity"):
        yield (
            "parity",
            ", ".join(
                f"{name.replace('_', ' ')} {_figure(value)}"
                for name, value in parity.items()
                if value is not None
            ),
        )
    if reranker := deployment.get("reranker"):
        yield "reranker", _reranker(reranker)


def _reranker(proof: Mapping[str, Any]) -> str:
    """Return what the search gained by its reranker, with the range."""
    if not proof["questions"]:
        return "not measured: the archive brings no questions"
    gains = (
        f"{each['measure']} {each['before']:.3f} to {each['after']:.3f} "
        f"({each['gain']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}])"
        for each in proof["changes"]
    )
    return f"{', '.join(gains)} on {proof['questions']} questions, {proof['seconds_each']:.2f} s each"


def _answer(shown: Mapping[str, Any]) -> Iterator[Row]:
    """Return one question and its answer: redacted before they were written, and cited."""
    answer = shown.get("answer") or {}
    if not answer:
        return
    yield "asked", str(shown.get("question", ""))
    cited = ", ".join(f"{each['message_id']}[{each['start']}:{each['end']}]" for each in answer["citations"])
    yield "answered", f"{answer.get('text', '')} ({f'cites {cited}' if cited else 'cites nothing'})"


def _mlflow(report: str) -> Iterator[Row]:
    """Return the report's address in MLflow, and without a server the command that starts one."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("http"):
        yield "MLflow", f"{uri.rstrip('/')}/{report}"
        return
    hosts = f"127.0.0.1:{MLFLOW_PORT},localhost:{MLFLOW_PORT}"
    store = uri or f"sqlite:///{home()}/mlflow.db"
    yield "MLflow", f"mlflow server --port {MLFLOW_PORT} --allowed-hosts {hosts} --backend-store-uri {store}"
    yield "", f"then http://127.0.0.1:{MLFLOW_PORT}/{report}"


def _figure(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _read(folder: Path | None, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / name).read_text(encoding="utf-8"))) if folder else {}
    except (OSError, ValueError):
        return {}

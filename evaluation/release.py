"""One release: classifier, embedder, index and maybe the generator's adapter stand or fall together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from data.workspace import UserError, locate
from evaluation.verdict import Outcome
from serving.adapter import DIGEST, NONE
from serving.digest import file_digest

Status = Literal["pending", "live", "rejected", "superseded"]
EVIDENCE = ("gate.json", "eval_report.html", "predictions.parquet", "gate.yaml")


@dataclass(frozen=True, slots=True)
class Release:
    """What is proposed, decided and deployed, with the hashes of the evidence it was decided on."""

    id: str
    status: Status
    outcome: Outcome
    classifier_version: str
    embedder_version: str
    index: str  # folder with index.json
    index_digest: str
    evaluation: str  # folder with the evidence
    run_id: str  # the MLflow run that shows the same evidence
    report: str  # relative address of the report in MLflow
    authors: tuple[str, ...]
    evidence: Mapping[str, str]
    digests: Mapping[str, str]
    accounts: tuple[str, ...] = ()  # of the operating system, that trained
    challenged: str | None = None  # the champion it was judged against, "" for none; not said in earlier days

    def __str__(self) -> str:
        line = f"release {self.id} is {self.status} (gate: {self.outcome})"
        models = f"classifier version {self.classifier_version}, embedder version {self.embedder_version}"
        if (adapter := self.digests.get(DIGEST, NONE)) != NONE:
            models += f", the generator's adapter {adapter[:12]}"
        if self.status != "pending" or self.outcome == "reject":
            return f"{line}: {models}"
        return f"{line}: {models}\nto decide: mailroom review approve {self.id} --reviewer NAME --reason TEXT"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def release_of(evaluation: str | Path, index: str | Path) -> Release:
    """Return the pending release of an evaluation and the index that it was made with.

    The id follows from the content: proposing the same twice is proposing it once.

    Raises:
        UserError: the evaluation or the index is not complete, or they do not belong together.
    """
    folder, index_folder = locate(evaluation), locate(index)
    try:
        gate = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
        evidence = {name: file_digest(folder / name) for name in EVIDENCE}
        index_digest = file_digest(index_folder / "index.json")
    except (OSError, ValueError) as error:
        raise UserError(
            f"no complete evaluation in {folder} with index {index_folder} ({type(error).__name__})"
        ) from None
    if gate["digests"]["index"] != index_digest:
        raise UserError(
            f"the evaluation in {folder} was made with another index than {index_folder}; evaluate again"
        )
    challenger = gate["challenger"]
    content = {
        "classifier_version": challenger["classifier_version"],
        "embedder_version": challenger["embedder_version"],
        "index_digest": index_digest,
        "evidence": evidence,
    }
    name = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return Release(
        id=name,
        status="pending",
        outcome=gate["outcome"],
        classifier_version=challenger["classifier_version"],
        embedder_version=challenger["embedder_version"],
        index=str(index_folder),
        index_digest=index_digest,
        evaluation=str(folder),
        run_id=gate["run_id"],
        report=gate["report"],
        authors=tuple(challenger["authors"]),
        evidence=evidence,
        digests=gate["digests"],
        accounts=tuple(challenger["accounts"]),
        challenged=challenged_by(gate),
    )


def challenged_by(gate: Mapping[str, Any]) -> str:
    """Return the id of the champion that a gate.json compares with; "" when there was none."""
    champion = gate.get("champion")
    return str(champion["release"]) if champion else ""


def as_json(release: Release) -> dict[str, Any]:
    """Return the release as it stands in the decision log and in release.json."""
    return {**asdict(release), "authors": list(release.authors), "accounts": list(release.accounts)}


def from_json(written: Mapping[str, Any]) -> Release:
    """Return the release that `as_json` wrote."""
    people = {name: tuple(written.get(name, ())) for name in ("authors", "accounts")}
    return Release(**{**written, **people})

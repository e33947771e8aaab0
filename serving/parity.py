"""Do the engines say what the trained models say? Checked before anything goes live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import read_messages
from data.model_input import classifier_input
from serving.bundle import Bundle
from serving.client import EngineClient
from serving.embed import Vectors, embed_texts, load_embedder, passage_input

MESSAGES = 64
PROMPTS = (
    "What is the capital of France?",
    "Name three colours.",
    "Complete the sentence: The early bird catches",
    "Say in one sentence what a contract is.",
)
PROMPT_TOKENS = 24
PROBABILITY_TOLERANCE = 1e-3
COSINE_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Parity:
    """How far engines and reference are apart; all figures are worst cases over the messages."""

    messages: int
    max_probability_difference: float
    label_agreement: float
    max_cosine_distance: float
    generator_agreement: float  # share of leading words that greedy decoding has in common
    passed: bool

    def __str__(self) -> str:
        return (
            f"parity on {self.messages} messages: probabilities within {self.max_probability_difference:.1e}, "
            f"labels {self.label_agreement:.0%}, embeddings within {self.max_cosine_distance:.1e}, "
            f"generator {self.generator_agreement:.0%}: {'passed' if self.passed else 'FAILED'}"
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """A message as classifier and embedder see it."""

    classifier_text: str
    embedder_text: str


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


def check_parity(bundle: Bundle, client: EngineClient, probes: Sequence[Probe]) -> Parity:
    """Compare engine and transformers in this process on the same texts.

    The generator's agreement is reported and not judged: bfloat16 kernels may part ways at a near tie.
    """
    from tqdm import tqdm

    with tqdm(total=3, desc="check parity", unit="model", leave=False) as bar:
        texts = [probe.classifier_text for probe in probes]
        expected, served = (
            reference_probabilities(bundle.folder / "classifier", texts),
            client.classify(texts),
        )
        difference = float(np.abs(expected - served).max())
        agreement = float((expected.argmax(axis=1) == served.argmax(axis=1)).mean())
        bar.update()
        passages = [probe.embedder_text for probe in probes]
        vectors = embed_texts(load_embedder(bundle.folder / "embedder"), passages)
        distance = float((1.0 - (vectors * client.embed(passages)).sum(axis=1)).max())
        bar.update()
        generator = generator_agreement(bundle.folder / "generator", client)
        bar.update()
    return Parity(
        messages=len(probes),
        max_probability_difference=difference,
        label_agreement=agreement,
        max_cosine_distance=distance,
        generator_agreement=generator,
        passed=difference <= PROBABILITY_TOLERANCE and agreement == 1.0 and distance <= COSINE_TOLERANCE,
    )


def reference_probabilities(folder: Path, texts: Sequence[str]) -> Vectors:
    """Return the probabilities of transformers in this process, float32, one thread."""
    import torch

    from serving.transformers_engine import TextClassifier

    torch.set_num_threads(1)
    return TextClassifier(folder).probabilities(list(texts))


def generator_agreement(folder: Path, client: EngineClient) -> float:
    """Return the share of leading words that engine and transformers have in common, greedily decoded."""
    from serving.transformers_engine import ChatMessage, ChatRequest, TextGenerator

    reference = TextGenerator(folder)
    shares = []
    for prompt in PROMPTS:
        turn = ChatMessage(role="user", content=prompt)
        _, ids = reference.answer(ChatRequest(messages=[turn], max_tokens=PROMPT_TOKENS))
        expected = reference.tokenizer.decode(ids, skip_special_tokens=True).split()
        served = client.chat([turn.model_dump()], max_tokens=PROMPT_TOKENS).text.split()
        shares.append(_common_lead(expected, served) / max(len(expected), len(served), 1))
    return float(np.mean(shares))


def _common_lead(expected: Sequence[str], served: Sequence[str]) -> int:
    for place, (one, other) in enumerate(zip(expected, served, strict=False)):
        if one != other:
            return place
    return min(len(expected), len(served))

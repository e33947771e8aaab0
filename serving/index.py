"""Chunks into Milvus, by meaning and by wording, and back out again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from data.at_rest import at_work
from data.dataset import custodians_of, read_chunks, read_manifest
from data.workspace import UserError, locate, write_atomically
from serving.digest import folder_digest
from serving.embed import (
    Vectors,
    embed_passages,
    embed_texts,
    load_embedder,
    passage_input,
    question_input,
    servable_folder,
)
from serving.fusion import fuse
from serving.limits import DeadlineError, seconds_left
from serving.milvus import milvus_client
from serving.scope import EVERYTHING, custodian_code
from serving.traces import step

Mode = Literal["hybrid", "dense", "bm25"]
LITE_FILE = "vectors.db"
MARKER = "index.json"
RETURNED = ["chunk_id", "message_id", "thread_id", "start", "end", "text", "subject", "sent_at", "channel"]
STORED = [*RETURNED, "language", "label", "custodians", "words", "vector"]
INSERT_ROWS = 1_000
EXACT_UP_TO = 20_000  # rows; below it an exact scan is as fast as any approximate index
VARCHAR_BYTES = 65_535
SEARCH_S = 60.0
MOST_CUSTODIANS = 4_096  # Milvus' own limit of an array


@dataclass(frozen=True, slots=True)
class Index:
    """A complete index: where its vectors lie and what they were made of."""

    uri: str
    collection: str
    dimension: int
    rows: int
    embedder_digest: str
    dataset_digest: str
    dataset: str = ""  # where it lay: for whoever reads whole messages


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers a search, best first by ``score``.

    ``similarity`` is the cosine to the question, NaN where only the wording matched; ``score`` is
    that cosine (dense), the BM25 weight (bm25) or the fused rank weight (hybrid).
    """

    chunk_id: str
    message_id: str
    thread_id: str
    start: int
    end: int
    score: float
    similarity: float
    text: str
    subject: str
    sent_at: str
    channel: str


@at_work()
def build_index(
    prepared: str | Path, embedder: str | Path, index: str | Path, *, milvus_uri: str = ""
) -> Index:
    """Embed every chunk of the dataset and write it into Milvus; ``index.json`` comes last.

    Without ``milvus_uri`` the vectors are a Milvus Lite file in the folder, otherwise a collection
    on that server, named after dataset and embedder, so that an index in use is never overwritten.

    Raises:
        UserError: no dataset, no embedder, an empty dataset, or a server that does not answer.
    """
    dataset_digest, chunks = read_manifest(prepared).digest, read_chunks(prepared)
    model = servable_folder(embedder)
    if not chunks.num_rows:
        raise UserError(
            f"the dataset {locate(prepared)} holds no chunk to index; prepare an archive with text"
        )
    encoder = load_embedder(model)
    inputs = [
        passage_input(subject, text)
        for subject, text in zip(chunks["subject"].to_pylist(), chunks["text"].to_pylist(), strict=True)
    ]
    vectors = embed_passages(encoder, inputs, progress="embed chunks")
    embedder_digest = folder_digest(model)
    collection = f"mailroom_{dataset_digest[:12]}_{embedder_digest[:12]}"
    with write_atomically(locate(index)) as unfinished:
        unfinished.mkdir()
        with milvus_client(milvus_uri or str(unfinished / LITE_FILE)) as client:
            rows = _rows(chunks, vectors, custodians_of(prepared))
            dimension = vectors.shape[1]
            write_collection(client, collection, rows, count=len(rows), dimension=dimension)
        built = Index(
            uri=milvus_uri,
            collection=collection,
            dimension=dimension,
            rows=chunks.num_rows,
            embedder_digest=embedder_digest,
            dataset_digest=dataset_digest,
            dataset=str(locate(prepared).resolve()),
        )
        (unfinished / MARKER).write_text(json.dumps(asdict(built), indent=1))
    return built


def read_index(index: str | Path) -> Index:
    """Return what a complete index says of itself.

    Raises:
        UserError: there is no complete index in the folder.
    """
    try:
        return Index(**json.loads((locate(index) / MARKER).read_text()))
    except FileNotFoundError:
        raise UserError(f"no index in {locate(index)}; run notebook 04_index, or: mailroom run") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"the index {locate(index)} is damaged ({error}); build it again") from error


class OpenIndex:
    """An index with its client open: searches in batches, many times."""

    def __init__(self, index: Index, client: Any) -> None:
        self.index = index
        self._client = client

    def search(
        self,
        questions: Sequence[str],
        vectors: Vectors,
        *,
        k: int = 10,
        mode: Mode = "hybrid",
        within: str = EVERYTHING,
    ) -> list[list[Hit]]:
        """Return the best ``k`` chunks for every question; ``vectors`` has one row per question.

        ``within`` is the condition of ``serving.scope`` that every chunk meets.

        Raises:
            DeadlineError: the request's time was over before Milvus answered.
            MilvusException: Milvus does not answer, or refused.
        """
        if not questions:
            return []
        depth = k if mode != "hybrid" else max(50, k)
        nothing: list[list[Hit]] = [[] for _ in questions]
        dense = self._near(vectors, depth, within) if mode != "bm25" else nothing
        worded = self._worded(questions, depth, within) if mode != "dense" else nothing
        if mode == "hybrid":
            return [fuse(near, words)[:k] for near, words in zip(dense, worded, strict=True)]
        return dense if mode == "dense" else worded

    def _near(self, vectors: Vectors, k: int, within: str) -> list[list[Hit]]:
        with step("vectors", k=k):
            found = self._found("vector", list(vectors), k, within)
        return [[_hit(row, row["distance"], row["distance"]) for row in rows] for rows in found]

    def _worded(self, questions: Sequence[str], k: int, within: str) -> list[list[Hit]]:
        with step("words", k=k):
            found = self._found("sparse", [_clip(question) or "?" for question in questions], k, within)
        # Milvus Lite gives BM25 as a negative distance, a server as a positive weight.
        return [[_hit(row, abs(row["distance"]), math.nan) for row in rows] for rows in found]

    def _found(self, field: str, data: list[Any], k: int, within: str) -> Any:
        import grpc  # type: ignore[import-untyped]

        try:
            return self._client.search(
                self.index.collection,
                data=data,
                anns_field=field,
                limit=k,
                filter=_condition(within),
                output_fields=RETURNED,
                timeout=seconds_left(SEARCH_S),
            )
        except grpc.RpcError as error:  # pymilvus makes an exception of its own of every other one
            if getattr(error, "code", lambda: None)() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineError from None
            raise


@contextmanager
def open_index(index: str | Path) -> Iterator[OpenIndex]:
    """Open an index for searching; a Lite file can be open in one process at a time."""
    stated = read_index(index)
    with milvus_client(stated.uri or str(locate(index) / LITE_FILE)) as client:
        if not client.has_collection(stated.collection):
            raise UserError(f"Milvus holds no collection {stated.collection}; build the index again")
        client.load_collection(stated.collection)
        yield OpenIndex(stated, client)


def search_many(
    index: str | Path, questions: Sequence[str], vectors: Vectors, *, k: int = 10, mode: Mode = "hybrid"
) -> list[list[Hit]]:
    """Return the best ``k`` chunks for every question, with one opening of the index."""
    with open_index(index) as opened:
        return opened.search(questions, vectors, k=k, mode=mode)


def search(
    index: str | Path, question: str, *, embedder: str | Path, k: int = 10, mode: Mode = "hybrid"
) -> list[Hit]:
    """Return the best ``k`` chunks for one question, embedded by the model that made the index."""
    vector = embed_texts(load_embedder(servable_folder(embedder)), [question_input(question)])
    return search_many(index, [question], vector, k=k, mode=mode)[0]


def write_collection(
    client: Any, collection: str, rows: Iterable[Mapping[str, Any]], *, count: int, dimension: int
) -> None:
    """Insert so many rows, flush, and only then index: Milvus Lite never builds an index declared before."""
    from tqdm import tqdm

    if client.has_collection(collection):
        # On a server it may be in use; its name says that it was made of the same data and model.
        is_whole = client.get_collection_stats(collection)["row_count"] == count
        if is_whole and {"vector", "sparse"} <= set(client.list_indexes(collection)):
            return
        client.drop_collection(collection)
    client.create_collection(collection, schema=_schema(client, dimension))
    left = iter(rows)
    with tqdm(total=count, desc="index chunks", unit="chunk", leave=False) as bar:
        while batch := list(islice(left, INSERT_ROWS)):
            client.insert(collection, batch)
            bar.update(len(batch))
    client.flush(collection)
    indexes = client.prepare_index_params()
    if count <= EXACT_UP_TO:
        indexes.add_index("vector", index_type="FLAT", metric_type="COSINE")
    else:
        lists = int(4 * math.sqrt(count))
        indexes.add_index("vector", index_type="IVF_FLAT", metric_type="COSINE", params={"nlist": lists})
    indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    client.create_index(collection, indexes)
    client.load_collection(collection)


def _schema(client: Any, dimension: int) -> Any:
    from pymilvus import DataType, Function, FunctionType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("chunk_id", DataType.VARCHAR, is_primary=True, max_length=128)
    for name in ("message_id", "thread_id", "sent_at", "channel", "language"):
        schema.add_field(name, DataType.VARCHAR, max_length=128)
    schema.add_field("label", DataType.VARCHAR, max_length=1024)
    schema.add_field("custodians", DataType.ARRAY, element_type=DataType.VARCHAR,
                     max_capacity=MOST_CUSTODIANS, max_length=16)  # fmt: skip
    for name in ("subject", "text"):
        schema.add_field(name, DataType.VARCHAR, max_length=VARCHAR_BYTES)
    schema.add_field("words", DataType.VARCHAR, max_length=VARCHAR_BYTES, enable_analyzer=True)
    for name in ("start", "end"):
        schema.add_field(name, DataType.INT64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function(name="bm25", function_type=FunctionType.BM25,
                                 input_field_names=["words"], output_field_names=["sparse"]))  # fmt: skip
    return schema


def _rows(chunks: Any, vectors: Vectors, custodians: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    rows = chunks.select([*RETURNED, "language", "label"]).to_pylist()
    for row, vector in zip(rows, vectors, strict=True):
        row["language"], row["label"] = row["language"] or "", row["label"] or ""
        row["custodians"] = [custodian_code(name) for name in custodians[row["message_id"]]][:MOST_CUSTODIANS]
        row["sent_at"] = row["sent_at"].isoformat() if row["sent_at"] else ""
        row["subject"], row["text"] = _clip(row["subject"]), _clip(row["text"])
        row["words"] = _clip(f"{row['subject']}\n{row['text']}")
        row["vector"] = vector
    return rows


def _condition(within: str) -> str:
    return "" if within == EVERYTHING else within


def _clip(text: str) -> str:
    return text.encode()[:VARCHAR_BYTES].decode(errors="ignore")


def _hit(row: Any, score: float, similarity: float) -> Hit:
    return Hit(score=float(score), similarity=float(similarity), **row["entity"])

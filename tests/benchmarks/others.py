"""What others would prepare an archive with: a process pool with polars, and datatrove."""

from __future__ import annotations

import email
import os
import tempfile
from collections.abc import Iterator
from email import policy
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.assign import Index, assign, read_bands, read_index
from data.chunks import CARRIED, chunk_batches
from data.dedupe import Link, candidate_pairs, verify
from data.intake import TAKEN_IN, take_all
from data.mbox import split
from data.outputs import manifest_of, write_duplicates, write_manifest, write_rejects
from data.schema import CHUNKS, MESSAGES
from data.sources import discover
from data.stages import grouped
from data.tables import write_rows

KEY = bytes(32)


def by_polars(archive: Path, folder: Path, cores: int, *, standard_parser: bool = False) -> int:
    """Prepare with our functions in a pool of processes, with polars in between; return what was read.

    ``standard_parser`` reads mail with Python's own parser instead of ours.
    """
    import polars as pl

    taken = folder / "taken_in"
    for each in (taken, folder / "messages", folder / "chunks"):
        each.mkdir(parents=True)
    items = discover(archive)
    groups = list(enumerate(grouped(items, cores * 4)))
    with get_context("forkserver").Pool(cores) as pool:
        pool.starmap(_take, [(str(taken), *each, standard_parser) for each in groups], chunksize=1)
        index = read_index(taken)
        rows = pl.scan_parquet(taken / "*.parquet").filter(pl.col("outcome") == "message")
        pairs = _pairs(rows, index, candidate_pairs(*read_bands(taken, index)))
        split = [pairs.slice(start, 5000).to_arrow() for start in range(0, len(pairs), 5000)]
        links = [Link(**row) for found in pool.imap(_verified, split) for row in found]
        links.sort(key=lambda link: (link.later, link.earlier))
        assigned = assign(index, links, {}, seed=7)
        kept = assigned.kept_ranks
        columns = pl.LazyFrame(
            {
                "message_id": [index.message_ids[rank] for rank in kept],
                "thread_id": [assigned.thread_ids[rank] for rank in kept],
                "label": pl.Series([assigned.labelling.labels[rank] for rank in kept], dtype=pl.String),
                "label_source": pl.Series(
                    [assigned.labelling.sources[rank] for rank in kept], dtype=pl.String
                ),
                "split": [assigned.splits[rank] for rank in kept],
            }
        )
        messages = rows.join(columns, on="message_id").select(MESSAGES.names).sort("source", "locator")
        messages.sink_parquet(folder / "messages" / "part-0.parquet", compression="zstd")
        file = pq.ParquetFile(folder / "messages" / "part-0.parquet")
        batches = file.iter_batches(5000, columns=["text", *CARRIED])
        with pq.ParquetWriter(folder / "chunks" / "part-0.parquet", CHUNKS, compression="zstd") as writer:
            for table in pool.imap(_chunked, batches):
                writer.write_table(table)
    write_duplicates(folder / "duplicates", index, assigned)
    write_rejects(folder / "rejects", taken)
    manifest = manifest_of(folder, taken, assigned, {}, seed=7)
    write_manifest(folder, manifest)
    return manifest.counts.read


def _take(taken: str, number: int, items: list[Any], standard_parser: bool) -> None:
    if standard_parser:
        import data.mime

        data.mime._from_fast = _with_standard_parser  # type: ignore[assignment]
    write_rows(Path(taken) / f"{number:06d}.parquet", TAKEN_IN, take_all(items, KEY))


def _with_standard_parser(*_: object, **__: object) -> None:
    raise ValueError("the standard parser is wanted")


def _pairs(rows: Any, index: Index, pairs: np.ndarray) -> Any:
    """Return the candidate pairs with both texts."""
    import polars as pl

    ranks = np.unique(pairs)
    named = pl.LazyFrame({"message_id": [index.message_ids[rank] for rank in ranks], "rank": ranks})
    texts = rows.join(named, on="message_id").select("rank", "text", "attached")
    left = texts.select(earlier="rank", earlier_text="text", earlier_attached="attached")
    right = texts.select(later="rank", later_text="text", later_attached="attached")
    stated = pl.LazyFrame({"earlier": pairs[:, 0], "later": pairs[:, 1]})
    return stated.join(left, on="earlier").join(right, on="later").collect()


def _verified(table: pa.Table) -> list[dict[str, Any]]:
    return [row for batch in verify(iter(table.to_batches())) for row in batch.to_pylist()]


def _chunked(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches(list(chunk_batches(iter([batch]))), schema=CHUNKS)


def by_datatrove(archive: Path, folder: Path, cores: int) -> int:
    """Prepare with datatrove: Python's parser, its PII formatter, MinHash in four steps.

    It finds addresses of mail and of machines alone, knows no threads, splits, zones or chunks, and
    splits words at blanks here, which is quicker than its default tokenizer.
    """
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    def run(pipeline: list[Any], tasks: int) -> None:
        workers, logs = (
            min(tasks, cores),
            tempfile.mkdtemp(dir=folder, prefix="logs-"),
        )  # by default in ./logs
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=workers, logging_dir=logs, start_method="fork"
        ).run()

    hashed = HashConfig(hash_fc="sha1")  # its default fails with the locked version of xxhash
    config = minhash.MinhashConfig(hash_config=hashed, num_buckets=20, hashes_per_bucket=6)
    tasks = cores * 4
    read = partial(_documents, archive=archive, counts=folder)
    run([read, PIIFormatter(), JsonlWriter(str(folder / "read"))], tasks)
    signature = minhash.MinhashDedupSignature(str(folder / "signatures"), config, language=_words())
    run([JsonlReader(str(folder / "read")), signature], tasks)
    run([minhash.MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)], 20)
    run([minhash.MinhashDedupCluster(str(folder / "buckets"), str(folder / "removed"), config=config)], 1)
    kept = [
        JsonlReader(str(folder / "read")),
        minhash.MinhashDedupFilter(str(folder / "removed")),
        JsonlWriter(str(folder / "kept")),
    ]
    run(kept, tasks)
    return sum(int(path.read_text()) for path in folder.glob("count-*"))


def _words() -> Any:
    """Return a tokenizer that splits at blanks."""
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Words(WordTokenizer):  # type: ignore[misc]
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return text.splitlines()

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    return Words()


def _documents(_: object, rank: int, world_size: int, *, archive: Path, counts: Path) -> Iterator[Any]:
    """Yield every n-th file, or the mails of every n-th range of an mbox, as datatrove's documents."""
    from datatrove.data import Document

    count = 0
    for item in discover(archive)[rank::world_size]:
        content = Path(os.fsdecode(item.path)).read_bytes()[item.start : item.end]
        raw = [each for _, each in split(content)] if item.format == "mbox" else [content]
        for number, each in enumerate(raw):
            count += 1
            mail = email.message_from_bytes(each, policy=policy.default)
            body = mail.get_body(("plain", "html"))
            text = body.get_content() if body else ""
            if text.strip():
                yield Document(text, f"{item.source}#{item.first + number}", metadata={"date": mail["date"]})
    (counts / f"count-{rank}").write_text(str(count))

"""The four Spark stages of preparing: take in, find what is alike, write messages, write chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.assign import Assignment, Index, read_bands
from data.chunks import CARRIED, chunk_batches
from data.dedupe import Link, candidate_pairs, verified_links
from data.intake import TAKEN_IN, take_all
from data.schema import CHUNKS, MESSAGES
from data.sources import Item
from data.tables import write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GROUP_BYTES = 8 << 20
GROUPS_PER_CORE = 4
MESSAGES_PER_FILE = 100_000
CHUNKED_AT_ONCE = 500


def take_in(spark: SparkSession, items: Sequence[Item], taken: Path, key: bytes) -> None:
    """Read, normalise, redact and fingerprint everything: what is written holds no raw text.

    The workers write their files themselves: Spark's own rows would double the work.
    """
    groups = list(enumerate(grouped(items, spark.sparkContext.defaultParallelism * GROUPS_PER_CORE)))

    def take(group: tuple[int, list[Item]]) -> None:
        write_rows(taken / f"{group[0]:06d}.parquet", TAKEN_IN, take_all(group[1], key))

    taken.mkdir()
    spark.sparkContext.parallelize(groups, len(groups)).foreach(take)


def grouped(items: Sequence[Item], wanted: int) -> Iterator[list[Item]]:
    """Yield runs of work items of about equal cost: enough of them for every core, none over 32 MB."""
    limit = min(GROUP_BYTES, sum(item.cost for item in items) // max(1, wanted) + 1)
    group: list[Item] = []
    cost = 0
    for item in items:
        if group and cost + item.cost > limit:
            yield group
            group, cost = [], 0
        group.append(item)
        cost += item.cost
    yield group


def find_links(spark: SparkSession, taken: Path, index: Index) -> list[Link]:
    """Return the pairs of messages whose texts are alike: candidates by their bands, then by their texts."""
    pairs = candidate_pairs(*read_bands(taken, index))
    if not len(pairs):
        return []
    ranks = np.unique(pairs)
    named = pa.table({"message_id": [index.message_ids[rank] for rank in ranks], "rank": ranks})
    texts = (
        spark.read.schema(spark_schema(TAKEN_IN))
        .parquet(taken.as_uri())
        .where("outcome = 'message'")
        .join(spark.createDataFrame(named), "message_id")
        .select("rank", "text", "attached")
    )
    stated = pa.table({"earlier": pairs[:, 0], "later": pairs[:, 1]})
    return verified_links(spark.createDataFrame(stated), texts)


def write_messages(
    spark: SparkSession, taken: Path, messages: Path, index: Index, assigned: Assignment
) -> None:
    """Write the kept messages with what they were assigned, ordered by source and locator."""
    kept = assigned.kept_ranks
    columns = {
        "message_id": [index.message_ids[rank] for rank in kept],
        "thread_id": [assigned.thread_ids[rank] for rank in kept],
        "label": [assigned.labelling.labels[rank] for rank in kept],
        "label_source": [assigned.labelling.sources[rank] for rank in kept],
        "split": [assigned.splits[rank] for rank in kept],
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    files = max(1, -(-len(kept) // MESSAGES_PER_FILE))
    (
        spark.read.schema(spark_schema(TAKEN_IN))
        .parquet(taken.as_uri())
        .where("outcome = 'message'")
        .join(spark.createDataFrame(table), "message_id")
        .select(*MESSAGES.names)
        .repartitionByRange(files, "source", "locator")
        .sortWithinPartitions("source", "locator")
        .write.parquet(messages.as_uri())
    )


def write_chunks(spark: SparkSession, messages: Path, chunks: Path) -> None:
    """Cut the messages into chunks, in their order, on every core."""
    files = sorted(messages.glob("*.parquet"))
    groups = [(file, group) for file in files for group in range(pq.read_metadata(file).num_row_groups)]

    def cut(numbered: tuple[int, tuple[Path, int]]) -> None:
        number, (file, group) = numbered
        with pq.ParquetFile(file) as opened:
            rows = opened.read_row_group(group, columns=["text", *CARRIED])
        write_rows(
            chunks / f"{number:06d}.parquet", CHUNKS, chunk_batches(iter(rows.to_batches(CHUNKED_AT_ONCE)))
        )

    chunks.mkdir()
    if groups:
        spark.sparkContext.parallelize(list(enumerate(groups)), len(groups)).foreach(cut)
    else:
        write_rows(chunks / "000000.parquet", CHUNKS, [])


def spark_schema(schema: pa.Schema) -> object:
    """Return an Arrow schema as Spark writes it."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)

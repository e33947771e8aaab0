"""The four Spark stages of preparing: take in, find what is alike, write messages, write chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from data.assign import Assignment, Index, distinct_ranks
from data.chunks import CARRIED, chunk_batches
from data.dedupe import Link, near_links
from data.intake import ITEM, TAKEN_IN, WORK, taking_in
from data.schema import CHUNKS, MESSAGES
from data.sources import Item

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GROUP_BYTES = 8 << 20
GROUPS_PER_CORE = 4
MESSAGES_PER_FILE = 100_000


def take_in(spark: SparkSession, items: Sequence[Item], taken: Path, key: bytes) -> None:
    """Read, normalise, redact and fingerprint everything: what is written holds no raw text."""
    groups = list(grouped(items, spark.sparkContext.defaultParallelism * GROUPS_PER_CORE))
    rows = [[as_row(item) for item in group] for group in groups]
    work = spark.createDataFrame(pa.table({"items": pa.array(rows, WORK.field("items").type)}))
    (
        work.repartition(len(groups))
        .mapInArrow(taking_in(key), spark_schema(TAKEN_IN))
        .write.mode("error")
        .parquet(taken.as_uri())
    )


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
    """Return the pairs of messages whose texts are alike."""
    ranks = spark.createDataFrame(distinct_ranks(index))
    fingerprinted = (
        spark.read.schema(spark_schema(TAKEN_IN))
        .parquet(taken.as_uri())
        .where("outcome = 'message' and size(bands) > 0")
        .select("message_id", "text", "attached", "bands")
        .join(ranks, "message_id")
    )
    return near_links(fingerprinted)


def write_messages(
    spark: SparkSession, taken: Path, messages: Path, index: Index, assigned: Assignment
) -> None:
    """Write the kept messages with what they were assigned, ordered by source and locator."""
    kept = assigned.kept_ranks
    columns = {
        "message_id": [index.message_ids[rank] for rank in kept],
        "thread_id": [assigned.thread_ids[rank] for rank in kept],
        "label": [assigned.labels[rank] for rank in kept],
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
    """Cut the messages into chunks, on every core."""
    (
        spark.read.parquet(messages.as_uri())
        .select("text", *CARRIED)
        .repartition(spark.sparkContext.defaultParallelism, "message_id")
        .sortWithinPartitions("message_id")
        .mapInArrow(chunk_batches, spark_schema(CHUNKS))
        .write.parquet(chunks.as_uri())
    )


def as_row(item: Item) -> dict[str, object]:
    return {field.name: getattr(item, field.name) for field in ITEM}


def spark_schema(schema: pa.Schema) -> object:
    """Return an Arrow schema as Spark writes it."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)

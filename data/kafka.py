"""Kafka as a streaming source of Spark: offsets in Spark's checkpoint, no Java library needed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from data.declared import read_declared
from data.workspace import UserError

RECORDS = pa.schema([("partition", pa.int32()), ("offset", pa.int64()), ("value", pa.binary())])
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
BROKER = re.compile(r"[A-Za-z0-9._-]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}")
OURS = frozenset(
    {"bootstrap.servers", "group.id", "enable.auto.commit", "enable.partition.eof", "auto.offset.reset"}
)
ANSWER_S = 15
SILENCE_S = 60
BATCH_RECORDS = 500
BATCH_BYTES = 8 << 20
LARGEST_RECORD = 64 << 20


@dataclass(frozen=True)
class Topic:
    """A topic and how its brokers are reached; ``settings`` are librdkafka's (TLS, SASL)."""

    name: str
    broker: str
    settings: Mapping[str, str]


def topic_of(name: str, broker: str, settings: Mapping[str, str]) -> Topic:
    """Return a topic whose name and brokers are well-formed.

    Raises:
        UserError: they are not.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"no topic can be called {name!r}; use letters, digits, dots, dashes and underscores")
    if not all(BROKER.fullmatch(each) for each in broker.split(",")):
        raise UserError(f"{broker!r} is no address of a broker; write host:port, several with commas between")
    return Topic(name, broker, settings)


def read_settings(path: Path) -> dict[str, str]:
    """Return librdkafka's settings from a YAML file.

    Raises:
        UserError: no such file, no mapping, or a setting that is ours to choose.
    """
    stated = read_declared(
        path, dict[str, Any], what="librdkafka's settings", way_out="write one setting and its value per line"
    )
    settings = {name: str(value) for name, value in stated.items()}
    if ours := sorted(OURS & settings.keys()):
        raise UserError(f"{path} sets {', '.join(ours)}, which exactly-once reading depends on; leave it out")
    return settings


@dataclass
class Range(InputPartition):
    """The records of a partition from ``start`` to before ``end``."""

    partition: int
    start: int
    end: int


class KafkaSource(DataSource):
    """``spark.readStream.format("mailroom-kafka")`` with the options topic, broker, settings and most."""

    @classmethod
    def name(cls) -> str:
        return "mailroom-kafka"

    def schema(self) -> str:
        return "partition int, offset bigint, value binary"

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802 - Spark's name
        return KafkaReader(dict(self.options))


class KafkaReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Plans micro-batches of at most ``most`` records, evenly over the partitions."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._topic = Topic(options["topic"], options["broker"], json.loads(options["settings"]))
        self._most = int(options["most"])
        self._target: dict[str, int] | None = None

    def initialOffset(self) -> dict[str, int]:  # noqa: N802
        return {str(partition): begin for partition, (begin, _) in bounds(self._topic).items()}

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        self._target = {str(partition): end for partition, (_, end) in bounds(self._topic).items()}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        return ReadMaxRows(self._most)

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802
        known = bounds(self._topic)
        ends = self._target or {str(partition): end for partition, (_, end) in known.items()}
        for partition, (begin, _) in known.items():
            if start.get(str(partition), begin) < begin:
                raise RuntimeError(
                    f"partition {partition} of {self._topic.name} begins at {begin}, but was read up to "
                    f"{start[str(partition)]}: the broker has deleted events that were never read"
                )
        begins = {name: start.get(name, known[int(name)][0]) for name in ends}
        behind = [name for name in ends if ends[name] > begins[name]]
        if not behind or not isinstance(limit, ReadMaxRows):
            return {name: max(ends[name], begins[name]) for name in ends}
        share = max(1, limit.max_rows // len(behind))
        return {name: max(begins[name], min(ends[name], begins[name] + share)) for name in ends}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[Range]:
        return [
            Range(int(name), start.get(name, 0), last)
            for name, last in sorted(end.items())
            if last > start.get(name, 0)
        ]

    def read(self, partition: Range) -> Iterator[pa.RecordBatch]:
        records: list[Message] = []
        size = 0
        for record in _records(self._topic, partition):
            records.append(record)
            size += len(record.value() or b"")
            if len(records) >= BATCH_RECORDS or size >= BATCH_BYTES:
                yield _batch(records)
                records, size = [], 0
        if records:
            yield _batch(records)


def bounds(topic: Topic) -> dict[int, tuple[int, int]]:
    """Return the first offset and the one behind the last of every partition.

    The end is where reading meets it: some brokers state one that lies before the last batch.

    Raises:
        UserError: no broker answers, or there is no such topic.
    """
    with _consumer(topic) as consumer:
        try:
            found = consumer.list_topics(topic.name, timeout=ANSWER_S).topics[topic.name]
            if found.error is not None:
                raise KafkaException(found.error)
            places = [TopicPartition(topic.name, partition) for partition in sorted(found.partitions)]
            begins = {
                place.partition: consumer.get_watermark_offsets(place, timeout=ANSWER_S) for place in places
            }
            ends = _true_ends(consumer, topic.name, {number: end for number, (_, end) in begins.items()})
            return {number: (begin, ends[number]) for number, (begin, _) in begins.items()}
        except KafkaException as error:
            raise UserError(
                f"topic {topic.name!r} at {topic.broker} cannot be read: {_said(error)}; "
                "check the broker's address and the topic's name"
            ) from None


def producer(topic: Topic) -> Producer:
    """Return a producer that never writes a record twice of its own accord."""
    return Producer(
        {
            **topic.settings,
            "bootstrap.servers": topic.broker,
            "enable.idempotence": True,
            "linger.ms": 20,
            "message.max.bytes": LARGEST_RECORD,
            "log_level": 0,
        }
    )


def _said(error: KafkaException) -> str:
    cause = error.args[0]
    return str(cause.str()) if isinstance(cause, KafkaError) else type(error).__name__


def _consumer(topic: Topic) -> Any:
    return Consumer(
        {
            **topic.settings,
            "bootstrap.servers": topic.broker,
            "group.id": "mailroom",  # the library asks for one; nothing is ever committed to it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": LARGEST_RECORD,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )


def _true_ends(consumer: Any, topic: str, stated: Mapping[int, int]) -> dict[int, int]:
    """Read on from the stated ends to where each partition ended when it first answered.

    The end of a topic that is written to moves on: what comes after the first answer is for the next
    micro-batch. Nothing prolongs the waiting.

    Raises:
        KafkaException: a partition did not answer in time, or refused.
    """
    consumer.assign(
        [
            TopicPartition(topic, number, end if end > 0 else OFFSET_BEGINNING)
            for number, end in stated.items()
        ]
    )
    ends: dict[int, int] = {}
    seen: dict[int, int] = {}
    enough: dict[int, int] = {}
    deadline = time.monotonic() + ANSWER_S
    while len(ends) < len(stated) and time.monotonic() < deadline:
        record = consumer.poll(0.5)
        if record is None or (number := record.partition()) in ends:
            continue
        error = record.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        place = TopicPartition(topic, number)
        if number not in enough:  # came with the answer; an open transaction may keep reading from it
            enough[number] = consumer.get_watermark_offsets(place, cached=True)[1]
        seen[number] = max(record.offset() + (error is None), stated[number])
        if error is not None or seen[number] >= enough[number]:
            ends[number] = seen[number]
            consumer.pause([place])
    if seen.keys() != stated.keys():
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return seen


def _records(topic: Topic, wanted: Range) -> Iterator[Message]:
    """Yield the records of a range; gaps that compaction left are no loss.

    Raises:
        RuntimeError: the broker stays silent before the end of the range.
    """
    with _consumer(topic) as consumer:
        consumer.assign([TopicPartition(topic.name, wanted.partition, wanted.start)])
        deadline = time.monotonic() + SILENCE_S
        while True:
            for record in consumer.consume(BATCH_RECORDS, timeout=0.1):
                deadline = time.monotonic() + SILENCE_S
                error = record.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise RuntimeError(f"partition {wanted.partition} of {topic.name}: {error.str()}")
                if record.offset() >= wanted.end:
                    return
                if error is None:
                    yield record
                    if record.offset() == wanted.end - 1:
                        return
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"partition {wanted.partition} of {topic.name}: no answer for {SILENCE_S} s "
                    f"before offset {wanted.end}"
                )


def _batch(records: Sequence[Message]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([record.partition() for record in records], pa.int32()),
            pa.array([record.offset() for record in records], pa.int64()),
            pa.array([record.value() or b"" for record in records], pa.binary()),
        ],
        schema=RECORDS,
    )

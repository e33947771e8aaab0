"""A stream gives the dataset that the same archive gives, each event once, over a real broker."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from data.account import account
from data.dataset import read_rejects
from data.events import Event, prefixes, to_json
from data.kafka import Topic, bounds, producer, read_settings, topic_of
from data.landing import Landed, land, landed
from data.prepare import prepare
from data.publish import publish
from data.sample import write_sample
from data.workspace import UserError
from tests.data.broker import make_topic, running_broker, send

pytestmark = pytest.mark.slow

MAIL = (
    "From: a@example.com\nMessage-ID: <{0}@example.com>\nSubject: Soup {0}\n\nSoup {0} at noon in room {0}.\n"
)


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with running_broker() as address:
        yield address


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "archive", seed=3, messages=200)


def event(number: int, text: str = MAIL, name: str = "") -> bytes:
    content = text.format(number).encode()
    return to_json(Event(name or f"{number}.eml", hashlib.sha256(content).hexdigest(), content))


def test_gives_the_dataset_of_the_archive_for_any_partitions_and_batches(
    broker: str, archive: Path, tmp_path: Path, workspace: Path
) -> None:
    topic = make_topic(broker, "sample", partitions=3)
    files = publish(archive, replace(topic, settings={"queue.buffering.max.messages": "5"}), inline=2000)
    send(topic, b"poison")
    landing = tmp_path / "landing"

    first = land(topic, landing, allowed=prefixes([str(archive)]), most=37)
    publish(archive, topic)
    second = land(topic, landing, allowed=prefixes([str(archive)]), spark_master="local[1]")
    streamed = prepare(str(landing), tmp_path / "streamed", labels=str(archive / "labels.csv"))
    batch = prepare(str(archive), tmp_path / "batch")

    assert Landed(files + 1, files, 0, 0, 1) == first
    assert Landed(2 * files + 1, files, files, 0, 1) == second
    assert batch.digest == streamed.digest
    assert batch.counts.kept == streamed.counts.kept
    assert batch.counts.read + 1 == streamed.counts.read
    poison = [row for row in read_rejects(tmp_path / "streamed").to_pylist() if row["stage"] == "event"]
    assert ["invalid_event"] == [row["reason"] for row in poison]
    assert account(tmp_path / "streamed").total.read == streamed.counts.read


def test_the_version_of_a_file_that_came_last_counts(broker: str, tmp_path: Path, workspace: Path) -> None:
    topic = make_topic(broker, "versions", partitions=1)
    old, new = event(1), event(2, name="1.eml")
    send(topic, old, event(3), new, old, new)

    counts = land(topic, tmp_path / "landing")
    manifest = prepare(str(tmp_path / "landing"), tmp_path / "prepared")

    assert Landed(events=5, files=2, delivered_again=2, replaced=1, dead_letters=0) == counts
    assert manifest.counts.kept == 2


def test_killed_at_any_moment_nothing_is_lost_or_doubled(
    broker: str, tmp_path: Path, workspace: Path
) -> None:
    topic = make_topic(broker, "killed", partitions=2)
    send(topic, *map(event, range(200)))
    landing = tmp_path / "landing"
    command = [
        *(sys.executable, "-c", "from pipelines.cli import main; main()", "stream", topic.name),
        *("--broker", broker, "--landing", str(landing), "--batch", "20"),
    ]

    for seconds in (9, 12):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    counts = land(topic, landing, most=20)

    assert Landed(200, 200, 0, 0, 0) == counts
    whole = land(topic, tmp_path / "whole")
    assert counts == whole
    digests = {
        prepare(str(each), tmp_path / f"{each.name}-prepared").digest
        for each in (landing, tmp_path / "whole")
    }
    assert len(digests) == 1


def test_a_landing_of_another_stream_or_without_its_checkpoint_is_refused(
    broker: str, tmp_path: Path, workspace: Path
) -> None:
    topic, other = make_topic(broker, "mine"), make_topic(broker, "other")
    send(topic, event(1))
    land(topic, tmp_path / "landing")

    with pytest.raises(UserError, match="holds another topic"):
        land(other, tmp_path / "landing")
    shutil.rmtree(tmp_path / "landing" / "checkpoint")
    with pytest.raises(UserError, match="lost its checkpoint"):
        land(topic, tmp_path / "landing")
    assert landed(tmp_path / "landing").files == 1


def test_a_landing_killed_at_its_beginning_goes_on(broker: str, tmp_path: Path, workspace: Path) -> None:
    topic, landing, theirs = make_topic(broker, "begun"), tmp_path / "landing", tmp_path / "theirs"
    send(topic, event(1))
    for folder in (landing, theirs):
        (folder / "batches").mkdir(parents=True)
        (folder / ".stream.json.host-1-00000000.part").write_text("{")
    (theirs / "batches" / "notes.txt").write_text("not ours")

    with pytest.raises(UserError, match="no landing of a stream"):
        land(topic, theirs)
    assert land(topic, landing).files == 1
    shutil.rmtree(landing / "batches")
    with pytest.raises(UserError, match="lost its batches"):
        land(topic, landing)
    shutil.rmtree(landing / "checkpoint")  # as if killed behind the mark
    assert land(topic, landing).files == 1


def test_a_landing_without_events_says_what_to_do(broker: str, tmp_path: Path, workspace: Path) -> None:
    topic = make_topic(broker, "empty")
    land(topic, tmp_path / "landing")

    with pytest.raises(UserError, match="mailroom stream empty"):
        prepare(str(tmp_path / "landing"), tmp_path / "prepared")


def test_the_end_of_a_topic_that_is_written_to_is_where_it_first_answered(broker: str) -> None:
    topic = make_topic(broker, "busy", partitions=1)
    send(topic, *(event(number) for number in range(20)))
    with written_to(topic, per_second=100, seconds=8) as sent:
        begun = time.monotonic()
        found = [bounds(topic)[0] for _ in range(20)]  # whether the end is ever met is a matter of chance
        seconds, meanwhile = time.monotonic() - begun, sent()

    assert 7 > seconds
    assert sorted(found) == found
    assert 20 <= found[0][1] <= found[-1][1] <= 20 + meanwhile


@contextmanager
def written_to(topic: Topic, *, per_second: int, seconds: int) -> Iterator[Callable[[], int]]:
    """Write to a topic beside the block; what is yielded says how many records were sent."""
    sender, sent, stop = producer(topic), [0], threading.Event()

    def write() -> None:
        until = time.monotonic() + seconds
        while not stop.wait(1 / per_second) and time.monotonic() < until:
            sender.produce(topic.name, value=event(sent[0]))
            sent[0] += 1
            sender.poll(0)

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.5)
    try:
        yield lambda: sent[0]
    finally:
        stop.set()
        writing.join()
        sender.flush(10)


def test_no_broker_and_no_topic_are_one_line(broker: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        bounds(topic_of("nosuch", broker, {}))
    with pytest.raises(UserError, match="no address of a broker"):
        topic_of("mail", "somewhere", {})
    with pytest.raises(UserError, match="no topic can be called"):
        topic_of("a/b", broker, {})


def test_settings_that_would_break_exactly_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kafka.yaml"
    path.write_text("security.protocol: SASL_SSL\n")
    assert read_settings(path) == {"security.protocol": "SASL_SSL"}

    path.write_text("enable.auto.commit: true\n")
    with pytest.raises(UserError, match="exactly-once"):
        read_settings(path)

"""How long it takes to find a message and a thread: by the gateway's lookup, and by scanning the dataset.

    .venv/bin/python -m tests.benchmarks.lookup --messages 200000

The dataset is made up, in row groups of about 2 MB, as 01_prepare writes them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from data.sample_chatter import BULLETINS, WORK
from data.sample_slots import expand
from data.schema import PARSER, TABLES, Counts, Manifest
from serving.archive import READ, open_archive
from serving.scope import Scope

DIGEST = "made"
GROUP_ROWS, FILE_ROWS, BATCH_ROWS, THREAD = 1_000, 100_000, 10_000, 4


def write_dataset(folder: Path, count: int, *, seed: int = 7) -> None:
    """Write ``count`` messages of about 1.5 kB, four to a thread."""
    rng = Random(seed)
    sentences = [expand(rng.choice((*WORK, *BULLETINS)), rng) for _ in range(5_000)]
    for name in TABLES:
        (folder / name).mkdir(parents=True)
    for name in ("duplicates", "rejects", "chunks", "questions"):
        pq.write_table(pa.Table.from_pylist([], TABLES[name]), folder / name / "part-0.parquet")
    for first in range(0, count, FILE_ROWS):
        path = folder / "messages" / f"part-{first // FILE_ROWS:04d}.parquet"
        with pq.ParquetWriter(path, TABLES["messages"], compression="zstd") as writer:
            for batch in _batches(first, min(count, first + FILE_ROWS), sentences, rng):
                writer.write_table(batch, row_group_size=GROUP_ROWS)
    counts = Counts(read=count, kept=count)
    manifest = Manifest(parser=PARSER, seed=seed, counts=counts, by_source={"made": counts}, digest=DIGEST)
    (folder / "manifest.json").write_text(manifest.to_json())


def _batches(first: int, last: int, sentences: Sequence[str], rng: Random) -> Iterator[pa.Table]:
    for start in range(first, last, BATCH_ROWS):
        numbers = range(start, min(last, start + BATCH_ROWS))
        texts = [" ".join(rng.choices(sentences, k=rng.randint(4, 30))) for _ in numbers]
        stated = {
            "message_id": [name_of(number) for number in numbers],
            "thread_id": [name_of(number // THREAD) for number in numbers],
            "channel": ["email"] * len(numbers),
            "sent_at": [1_700_000_000_000_000 + number * 60_000_000 for number in numbers],
            "sender": [f"[EMAIL_{number % 997:08x}]" for number in numbers],
            "subject": [text[:40] for text in texts],
            "text": texts,
            "full_text": texts,
            "language": ["en"] * len(numbers),
            "source": [f"mailbox-{number % 40}/{number}.eml" for number in numbers],
        }
        columns = [
            pa.array(stated[field.name]).cast(field.type)
            if field.name in stated
            else pa.nulls(len(numbers), field.type)
            for field in TABLES["messages"]
        ]
        yield pa.Table.from_arrays(columns, schema=TABLES["messages"])


def name_of(number: int) -> str:
    """Return an id that looks like one: 24 digits without an order."""
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 96):024x}"


def scanned(folder: Path, column: str, value: str) -> list[dict[str, object]]:
    """Return the rows with a value as a scan of the whole dataset finds them."""
    dataset = ds.dataset(folder / "messages", schema=TABLES["messages"], format="parquet")
    return dataset.to_table(columns=list(READ), filter=pc.field(column) == value).to_pylist()


def timed(find: Callable[[str], object], names: Sequence[str]) -> str:
    """Return the CPU time and the median and 95th percentile of the time that passed, in milliseconds."""
    seconds, cpu = [], time.process_time()
    for name in names:
        started = time.perf_counter()
        assert find(name)
        seconds.append(time.perf_counter() - started)
    each = (time.process_time() - cpu) / len(names) * 1_000
    middle, late = np.percentile(seconds, (50, 95)) * 1_000
    return f"{each:,.1f} CPU-ms each; p50 {middle:,.1f} ms, p95 {late:,.1f} ms ({len(names)} of them)"


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(folder: Path, count: int, *, scans: int, lookups: int) -> None:
    """Print what opening and finding cost."""
    rng = Random(1)
    messages = [name_of(rng.randrange(count)) for _ in range(lookups)]
    threads = [name_of(rng.randrange(count // THREAD)) for _ in range(lookups)]
    size = sum(file.stat().st_size for file in (folder / "messages").iterdir())
    print(f"{count:,} messages, {size / 1e6:,.0f} MB of Parquet")
    before, started, cpu = resident_mb(), time.perf_counter(), time.process_time()
    archive = open_archive(str(folder), DIGEST)
    assert archive is not None
    print(
        f"opened in {time.perf_counter() - started:.1f} s, {time.process_time() - cpu:.1f} CPU-s, "
        f"resident memory from {before:,.0f} to {resident_mb():,.0f} MB"
    )
    print("message, lookup:", timed(lambda name: archive.message(name, Scope()), messages))
    print("thread,  lookup:", timed(lambda name: archive.thread(name, Scope()), threads))
    outside = Scope(channels=("chat",))
    absent = [name[::-1] + "-" for name in messages]
    print("message, unseen:", timed(lambda name: archive.message(name, outside) is None, messages))
    print("message, absent:", timed(lambda name: archive.message(name, outside) is None, absent))
    print("thread,  unseen:", timed(lambda name: archive.thread(name, outside) is None, threads))
    print("thread,  absent:", timed(lambda name: archive.thread(name, outside) is None, absent))
    for clients in (1, 8):
        with ThreadPoolExecutor(clients) as pool:
            started = time.perf_counter()
            list(pool.map(archive.places.of_message, messages * 20))
        each = (time.perf_counter() - started) / len(messages) / 20 * 1_000
        print(f"place of a message, {clients} at once: {each:.2f} ms each")
    print("message, scan:  ", timed(lambda name: scanned(folder, "message_id", name), messages[:scans]))
    print("thread,  scan:  ", timed(lambda name: scanned(folder, "thread_id", name), threads[:scans]))
    archive.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--scans", type=int, default=5)
    parser.add_argument("--lookups", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), chosen.messages)
        measure(Path(folder), chosen.messages, scans=chosen.scans, lookups=chosen.lookups)


if __name__ == "__main__":
    main()

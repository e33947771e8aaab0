"""Run the whole path on two archives that differ in personal data alone, and compare everything it wrote.

    .venv/bin/python -m tests.benchmarks.non_interference

Every file of both workspaces, and what both commands printed, is decoded and compared after what may
differ was replaced by fixed words: pseudonyms, times, names of runs, digests. Prints each file that
differs otherwise, with its first differing place, and ends with status 1 if there is one. Both archives
also hold the same canaries in every place of every format: what was written and printed is searched for them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data.recognisers.found import KINDS
from data.sample import write_sample
from data.sources import file_sha256
from pipelines.fingerprint import ROOT, archive_fingerprint
from tests.data import canaries

SEED, OTHER_IDENTITY, LONGEST_S = 7, 1, 1800
SIDES = ("one", "two")

RULES: tuple[tuple[str, str, str], ...] = (
    (rf"\b({'|'.join(KINDS)})_[0-9a-f]{{8}}\b", r"\1", "pseudonyms: what may differ"),
    (r"\x1b\[[0-9;]*[A-Za-z]", "", "colours and moves of the cursor"),
    (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?:-c000)?\b", "UUID", "random names of cells and parts"),
    (r"\b\d{8}-\d{6}-\d{1,7}\b", "RUN", "a run's name: the time and the process"),
    (r"\bmailroom-retrain-[\d-]{20,30}\b", "RUN", "kfp's name of the run: the time"),
    (r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", "ID", "random ids, of MLflow's runs and models for one"),
    (
        r"(cell-id=|\.cells\[\d+\]\.id: )[0-9a-f]{8}\b",
        r"\1ID",
        "Papermill's cell of parameters gets a random id",
    ),
    (r"\.[\w-]+\.\w+-\d+-[0-9a-f]{8}\.part\b", "PART", "what is being written has the process in its name"),
    (
        r"\bcache/[0-9a-f]{64}\b",
        "cache/KEY",
        "kfp's key of a step: of its inputs' paths and the archive's times",
    ),
    (
        r"(seen\.json\.states\.[^ ]+: )[0-9a-f]{62,64}\b",
        r"\1STATE",
        "digests of a file's size, time and inode",
    ),
    (r"\b(?:tmp[.]?|kfp-workspace-)\w{6,12}\b", "TMP", "random names of scratch folders"),
    (r"\b(\w*seconds\w*)=[\d.]+", r"\1=WHILE", "durations"),
    (r"\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)?", "WHEN", "times"),
    (r"\b\d\d:\d\d:\d\d(?:[.,]\d{3})?\b", "WHEN", "times of day in logs"),
    (r"\b\d+:\d\d(?:<\d+:\d\d|<\?)?(?:, *[\d.?]+ ?(?:\w+)?/(?:s|\w+))?", "WHILE", "progress bars' clocks"),
    (r"(tokens per second</th><td>|\btokens_per_second=)[\d,.]+", r"\1SPEED,", "speeds"),
    (r"(name='milliseconds for one message', measured=)[\d.]+", r"\1WHILE", "how long an answer takes"),
    (r"(milliseconds for one message</td><td>)[\d,.]+", r"\1WHILE", "how long an answer takes"),
    (r'(<td class="n">)[\d,.]+(</td><td>≤ 1000</td>)', r"\1WHILE\2", "the same in the report"),
    (r" *(?<![\w.])\d+(?:\.\d+)? ?(?:s|ms|min|seconds)(?:/it)?\b", " WHILE", "durations, aligned"),
    (r"(?<![\w.])[\d.]+ ?(?:it|ex|examples|tasks)/s\b", "SPEED", "speeds"),
    (r"\b(?:process|pid|PID|port) ?[:=]? ?\d+", "NUMBER", "numbers that the system gives out"),
    (r"127\.0\.0\.1:\d+", "PORT", "free ports"),
    (r"\b(model_size_bytes: )\d+", r"\1SIZE", "files that hold a process's number, counted by MLflow"),
)
_RULES = [(re.compile(pattern), word) for pattern, word, _ in RULES]

TIMED = re.compile(
    r"(?:_s|_ms|seconds|seconds_to_\w+|runtime|per_second|duration|elapsed|latency\w*|_time|_at|time|timestamp|step_time)$"
)
TIMED_CHECK = "milliseconds for one message"  # of the gate: one figure in a table of all checks
BAR = re.compile(r"\d+%\||\|\s*\d+/\d+ \[|^\S*\.text: \s*$|^\s*(?:<pre>)?\s*(?:</pre>)?\s*$")
PRINTED = re.compile(r"\.text\[\d+\]: ")
# a step passes on one line a second of what its notebook prints, and the notebook keeps all of them
PASSED_ON = re.compile(r"\s*\[\d\d_\w+ WHILE\] (?!cell )")
DIGEST = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{16}|[0-9a-f]{12})\b")
SPARSE, SEEN = "sparse", "seen.json"
CHAINED = ("hash", "previous", "signature")  # the decision log signs its times
SHUFFLED = (".log", "stdout.txt", "stderr.txt")  # kfp prints maps in any order, and two steps at once

NOT_COMPARED = {
    ".crc": "Spark's checksum of a Parquet file beside it, whose rows are compared",
    ".lock": "empty, or a process's number",
    ".pyc": "compiled code",
}


@dataclass(frozen=True)
class Difference:
    """The first place where two decoded files say different things."""

    name: str
    place: str
    one: str
    two: str

    def __str__(self) -> str:
        return f"{self.name}: {self.place}\n    one: {self.one[:300]}\n    two: {self.two[:300]}"


@dataclass(frozen=True)
class Compared:
    """What was compared and what differs."""

    files: int
    bytes: int
    left_out: int
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        head = (
            f"compared {self.files:,} files of each side, {self.bytes:,} bytes of both; "
            f"{self.left_out:,} left out; {len(self.differences):,} differ"
        )
        return "\n".join([head, *map(str, self.differences)])


class Side:
    """One workspace, and the digests that are explained: of the archive's files and of outputs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.digests: dict[str, str] = {}
        for path in sorted(root.rglob("*")):
            if path.is_file():
                kind = "RAW" if "archive" in path.relative_to(root).parts[0] else "FILE"
                self.digests.setdefault(file_sha256(path), kind)
        self.digests[archive_fingerprint(root / "archive")] = "RAW"
        self.digests |= dict.fromkeys(_releases(root), "RELEASE")
        self.digests |= {digest[:12]: kind for digest, kind in [*self.digests.items()] if kind == "FILE"}

    def plain(self, text: str) -> str:
        """Return text with what may differ replaced by fixed words."""
        for pattern, word in _RULES:
            text = pattern.sub(word, text)
        return DIGEST.sub(lambda match: self.digests.get(match[0], match[0]), text)

    def files(self) -> dict[str, list[Path]]:
        """Return the files of the workspace by their names without what is random in these."""
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and not name.startswith("archive") and path.suffix not in NOT_COMPARED:
                found[self.plain(name)].append(path)
        return found


def _releases(root: Path) -> set[str]:
    """Return the names of releases: digests of what was made when and where."""
    decisions = (root / "home" / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    return {found for line in decisions for found in re.findall(r'"id":"([0-9a-f]{12})"', line)}


def compare(one: Path, two: Path) -> Compared:
    """Compare two workspaces file by file."""
    sides = Side(one), Side(two)
    listed = [side.files() for side in sides]
    differences = [
        Difference(name, "exists on one side only", *(str(len(files.get(name, []))) for files in listed))
        for name in sorted({*listed[0], *listed[1]})
        if len(listed[0].get(name, [])) != len(listed[1].get(name, []))
    ]
    alike = [name for name in listed[0] if len(listed[0][name]) == len(listed[1].get(name, []))]
    for name in alike:
        units = [
            sorted(_units(path, side) for path in files[name])
            for side, files in zip(sides, listed, strict=True)
        ]
        differences += [
            found for a, b in zip(*units, strict=True) if (found := _first_difference(name, a, b)) is not None
        ]
    paths = [path for files in listed for name in alike for path in files[name]]
    everything = sum(1 for path in one.rglob("*") if path.is_file() and "archive" not in path.parts)
    return Compared(
        len(paths) // 2,
        sum(path.stat().st_size for path in paths),
        everything - len(paths) // 2,
        tuple(differences),
    )


def _first_difference(name: str, one: list[str], two: list[str]) -> Difference | None:
    for number, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            at = next(
                (at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
            )
            begin = max(0, at - 100)
            return Difference(
                name, f"unit {number}, character {at}", a[begin : at + 120], b[begin : at + 120]
            )
    if len(one) != len(two):
        longer = one if len(one) > len(two) else two
        return Difference(
            name, f"{len(one)} and {len(two)} units", longer[min(len(one), len(two))], "nothing"
        )
    return None


def _units(path: Path, side: Side) -> list[str]:  # noqa: PLR0911 - one for each kind of file
    """Return what a file says, decoded, in pieces that can be compared: rows, leaves, lines or its digest."""
    with open(path, "rb") as file:
        begins = file.read(16)
    if begins.startswith(b"PAR1"):
        return [side.plain(line) for line in _parquet(path)]
    if begins.startswith(b"SQLite format 3"):
        return sorted(side.plain(line) for line in _database(path))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return [f"{name} {_digest(arrays[name].tobytes())}" for name in sorted(arrays)]
    content = path.read_bytes()
    if b"\0" in content:
        return [_digest(content)]
    text = content.decode("utf-8")
    if path.suffix in (".json", ".ipynb", ".prev"):
        return _without_bars(
            side.plain(line) for line in _leaves(json.loads(text), path.name if path.name == SEEN else "")
        )
    if path.suffix == ".jsonl":
        return [side.plain(line) for each in text.splitlines() for line in _leaves(json.loads(each), "")]
    lines = _without_bars(map(side.plain, text.splitlines()))
    if path.name.endswith(SHUFFLED):
        return sorted(line.strip().rstrip(",") for line in lines if not PASSED_ON.match(line))
    return lines


def _without_bars(lines: Iterable[str]) -> list[str]:
    """Leave out progress bars, and the blanks that wipe them out: how often one is drawn depends on time."""
    numbered = (PRINTED.sub(".text: ", line) for line in lines)
    return [line for line in numbered if not BAR.search(line)]


def _digest(content: bytes) -> str:
    return f"{len(content)} bytes, digest {hashlib.sha256(content).hexdigest()[:40]}"


def _parquet(path: Path) -> Iterator[str]:
    table = pq.read_table(path)
    yield str(table.schema.remove_metadata())
    for row in table.to_pylist():
        # BM25 counts the words of a text by a hash of each, pseudonyms among them: the counts are compared
        counts = {name: _counts(value) for name, value in row.items() if name == SPARSE}
        yield "; ".join(_leaves(row | counts, ""))


def _counts(sparse: bytes) -> list[float]:
    """Return the values of a sparse vector, which is pairs of a four-byte place and a four-byte value."""
    return sorted(float(each) for each in np.frombuffer(sparse, dtype="<f4")[1::2])


def _database(path: Path) -> Iterator[str]:
    """Yield the rows of a database, without an order: ids and times decide on it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names of its own tables
                stated = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates over values
                if TIMED.search(str(stated.get("key", stated.get("metric_name", "")))):
                    stated |= dict.fromkeys({"value", "metric_value"} & stated.keys(), "WHILE")
                yield f"{table}: {'; '.join(_leaves(stated, ''))}"


def _leaves(value: Any, place: str) -> Iterator[str]:
    """Yield every leaf of a document with its path; times, and what is chained to them, by fixed words."""
    key = place.rpartition(".")[2]
    if isinstance(value, dict):
        if value.get("name") == TIMED_CHECK:
            value = value | {"measured": "WHILE"}
        for name in sorted(value):
            yield from _leaves(value[name], f"{place}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(each, f"{place}[{number}]")
    elif isinstance(value, int | float) and not isinstance(value, bool) and TIMED.search(key):
        yield f"{place}: WHILE"
    elif key in CHAINED:
        yield f"{place}: CHAINED"
    else:
        yield f"{place}: {value}"


def whole_run(root: Path, keys: Path, *, identity: int, messages: int) -> float:
    """Write the sample and run the whole path on it below ``root``; return how many seconds it took."""
    archive = write_sample(root / "archive", seed=SEED, messages=messages, identity=identity)
    canaries.plant(archive)
    canaries.plant_labels(archive)
    stands_on = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment |= {"MAILROOM_HOME": str(root / "home"), "MAILROOM_KEYS": str(keys), "PYTHONPATH": stands_on}
    command = [
        sys.executable,
        "-c",
        "from pipelines.cli import main; main()",
        "run",
        "--archive",
        str(archive),
    ]
    command += ["--recipe", "smoke", "--engine", "transformers"]
    started = time.monotonic()
    with open(root / "stdout.txt", "wb") as out, open(root / "stderr.txt", "wb") as error:
        subprocess.run(command, env=environment, stdout=out, stderr=error, timeout=LONGEST_S, check=True)
    return time.monotonic() - started


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--messages", type=int, default=300)
    options.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary one")
    options.add_argument("--compare-only", action="store_true", help="what an earlier --folder holds")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if not asked.compare_only:
            for side, identity in zip(SIDES, (SEED, OTHER_IDENTITY), strict=True):
                shutil.rmtree(folder / side, ignore_errors=True)
                # both run at the same place, one after the other: no path differs
                took_s = whole_run(
                    _emptied(folder / "run"), folder / "keys", identity=identity, messages=asked.messages
                )
                (folder / "run").rename(folder / side)
                print(f"{side}: the whole path in {took_s:.0f} s", flush=True)
        searched = [canaries.search(folder / side, left_out=[folder / side / "archive"]) for side in SIDES]
        done = compare(*(folder / side for side in SIDES))
    for side, found in zip(SIDES, searched, strict=True):
        print(f"{side}, canaries: {found}")
    print(done)
    return int(bool(done.differences) or not all(found.is_clean for found in searched))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())

"""Prepare a large made-up archive with Mailroom and with what others would use; `make bench-prepare`.

    .venv/bin/python -m tests.benchmarks.prepare --megabytes 500 --files 100000

Every contender runs in a process of its own, on one core and on two, on the same input in one go; the
table gives seconds, messages and megabytes per second, CPU seconds and the peak memory of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.made_archive import write_eml, write_giant, write_mbox

MAILROOM = "Mailroom (Spark)"
CONTENDERS = {
    MAILROOM: "by_mailroom(archive, folder, cores)",
    "process pool + polars, our functions": "by_polars(archive, folder, cores)",
    "process pool + polars, Python's parser": "by_polars(archive, folder, cores, standard_parser=True)",
    "datatrove": "by_datatrove(archive, folder, cores)",
}
PROGRAM = """
import sys
from pathlib import Path
from tests.benchmarks.others import by_datatrove, by_polars
from tests.benchmarks.prepare import by_mailroom
if __name__ == "__main__":
    archive, folder, cores = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    print("read", {call})
"""
SAMPLED_S = 0.5


@dataclass(frozen=True, slots=True)
class Figures:
    """What one contender took: ``session_s`` of it only to start Spark."""

    read: int
    seconds: float
    cpu_s: float
    session_s: float
    peak_bytes: int


def by_mailroom(archive: Path, folder: Path, cores: int) -> int:
    from data.prepare import prepare

    manifest = prepare(str(archive), folder / "prepared", spark_master=f"local[{cores}]", reread=True)
    return manifest.counts.read


def measured(contender: str, archive: Path, place: Path, cores: int) -> Figures | None:
    """Run one contender on so many cores; None where it failed, with its words on stderr."""
    folder = place / "output"
    folder.mkdir()
    program = place / "program.py"
    program.write_text(PROGRAM.format(call=CONTENDERS[contender]))
    affinity = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    command = ["taskset", "--cpu-list", affinity, sys.executable, str(program)]
    command += [str(archive), str(folder), str(cores)]
    started = time.monotonic()
    with open(place / "said", "w+") as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        )
        peak, cpu_s = watched(process)
        seconds = time.monotonic() - started
        said.seek(0)
        words = said.read()
    shutil.rmtree(folder)
    found = re.search(r"^read (\d+)$", words, re.MULTILINE)
    if process.returncode or not found:
        print(words[-2000:], file=sys.stderr)
        return None
    session = re.search(r"^spark .* ([\d.]+) s$", words, re.MULTILINE)
    return Figures(int(found[1]), seconds, cpu_s, float(session[1]) if session else 0.0, peak)


def watched(process: subprocess.Popen[str]) -> tuple[int, float]:
    """Wait for a process; return the most memory of it and its children, and their CPU seconds.

    Pages that several share count once. What a child used in its last half second may be missed.
    """
    peak, used = 0, dict[int, float]()
    while process.poll() is None:
        members = family(process.pid)
        peak = max(peak, sum(map(memory_of, members)))
        used |= {member: seconds for member in members if (seconds := seconds_of(member))}
        time.sleep(SAMPLED_S)
    return peak, sum(used.values())


def family(root: int) -> list[int]:
    """Return a process and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    members, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return sorted(members)


def memory_of(process: int) -> int:
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)[1]) << 10  # type: ignore[index]


def seconds_of(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_of(archive: Path) -> int:
    return sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--megabytes", type=int, default=500, help="of the mbox")
    options.add_argument("--files", type=int, default=100_000, help="single mails")
    options.add_argument("--giant", type=int, default=0, help="MB with a 200 MB mail and 10,000 near copies")
    options.add_argument("--cores", type=int, nargs="*", default=[1, 2])
    options.add_argument("--only", nargs="*", choices=sorted(CONTENDERS))
    options.add_argument("--json", type=Path, help="write the figures there too")
    asked = options.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ |= {"MAILROOM_HOME": str(place / "home"), "MAILROOM_KEYS": str(place / "keys")}
        archives = {}
        if asked.megabytes:
            archives["mbox"] = place / "mbox"
            archives["mbox"].mkdir()
            write_mbox(archives["mbox"] / "archive.mbox", asked.megabytes * 1_000_000)
        if asked.giant:
            archives["giant"] = place / "giant"
            archives["giant"].mkdir()
            write_giant(archives["giant"] / "archive.mbox", asked.giant * 1_000_000)
        if asked.files:
            archives["eml"] = place / "eml"
            write_eml(archives["eml"], asked.files)
        for kind, archive in archives.items():
            size = size_of(archive) / 1e6
            print(f"\n{kind}: {size:,.0f} MB")
            print(f"{'':42} {'cores':>5} {'s':>8} {'messages/s':>11} {'MB/s':>7} {'CPU s':>8} {'peak GB':>8}")
            for cores in asked.cores:
                for contender in asked.only or CONTENDERS:
                    found = measured(contender, archive, place, cores)
                    if found is None:
                        print(f"{contender:42} {cores:>5}   failed", flush=True)
                        continue
                    results.append({"kind": kind, "contender": contender, "cores": cores, "megabytes": size})
                    results[-1] |= {name: getattr(found, name) for name in Figures.__slots__}
                    print(line(contender, cores, size, found), flush=True)
        for said in ratios(results):
            print(said)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))
    return 0


def line(contender: str, cores: int, size: float, found: Figures) -> str:
    return (
        f"{contender:42} {cores:>5} {found.seconds:>8.1f} {found.read / found.seconds:>11,.0f} "
        f"{size / found.seconds:>7.2f} {found.cpu_s:>8.1f} {found.peak_bytes / 1e9:>8.2f}"
    )


def ratios(results: list[dict[str, object]]) -> list[str]:
    """Say how many times as long each took as Mailroom, and what the second core brought."""
    seconds = {
        (each["kind"], each["cores"], each["contender"]): float(str(each["seconds"])) for each in results
    }
    session = {
        (each["kind"], each["cores"]): float(str(each["session_s"]))
        for each in results
        if each["contender"] == MAILROOM
    }
    said = []
    for (kind, cores, contender), took in seconds.items():
        ours = seconds.get((kind, cores, MAILROOM))
        if ours and contender != MAILROOM:
            up = took / (ours - session[kind, cores])
            said.append(
                f"{kind}, {cores} cores: {contender} takes {took / ours:.2f} times Mailroom's time, "
                f"{up:.2f} times it once the session is up"
            )
        alone = seconds.get((kind, 1, contender))
        if cores == 2 and alone:
            said.append(f"{kind}: {contender} is {alone / took:.2f} times as fast on two cores as on one")
    return said


if __name__ == "__main__":
    sys.exit(main())

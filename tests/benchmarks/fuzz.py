"""Feed damaged files of every format to the readers and to redaction, and see that each one is accounted for.

    .venv/bin/python -m tests.benchmarks.fuzz --inputs 1000000 --seed 1
    .venv/bin/python -m tests.benchmarks.fuzz --replay .mailroom/fuzz/DIGEST --format mail

An input depends only on the seed and its number. One that fails is written to .mailroom/fuzz, to be replayed.
Ends with status 1 when an input made anything raise or hang, was lost or counted twice, or left a text that
cannot be written.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from data.columns import Columns
from data.events import take_event
from data.intake import Arrived, Refused, Taken, Tally, batched, take
from data.normalise import Normal, clean
from data.redact import redact
from data.schema import REASONS
from data.sources import TABLES, items_of
from data.zones import find_zones
from tests.benchmarks.fuzz_corpus import Format, corpus
from tests.benchmarks.fuzz_mutations import grown, mutated

FAILING = Path(".mailroom/fuzz")
KEY = b"k" * 32
COLUMNS = Columns().model_dump_json().encode()
NAMES = ("Anna Schmidt", "Jan Kowalski", "O'Neil, Bo", "May Will")
LONGEST_S = 2.0
STALLED_S = 60
PROGRESS_S = 10


class BrokenPromiseError(Exception):
    """What came out is not what was promised; the message says which promise, and holds no text."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input; ``fault`` begins with crash, hang or imbalance, empty if all is well."""

    number: int
    format: str
    messages: int = 0
    rejects: tuple[str, ...] = ()
    cpu_s: float = 0.0
    fault: str = ""


@dataclass
class Row:
    """A line of the table: what became of all inputs of one format."""

    inputs: int = 0
    messages: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    slowest: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.inputs += 1
        self.messages += outcome.messages
        self.rejects.update(outcome.rejects)
        self.cpu_s += outcome.cpu_s
        if outcome.cpu_s > self.slowest_s:
            self.slowest_s, self.slowest = outcome.cpu_s, outcome.number
        if outcome.fault:
            self.faults[outcome.fault.split()[0]] += 1


def made(formats: Mapping[str, Format], seed: int, number: int, *, grown_of: int) -> tuple[str, bytes]:
    """Return the format and the content of an input; one in ``grown_of`` is long: what is not linear?"""
    chance = random.Random(f"{seed}/{number}")
    name = chance.choices(list(formats), [each.share for each in formats.values()])[0]
    kind = formats[name]
    content, others = chance.choice(kind.files), chance.choice(list(formats.values())).files
    is_grown = not chance.randrange(grown_of)
    if kind.pack and chance.random() < 0.5:
        return name, mutated(kind.pack(content), others, chance)
    content = mutated(content, others, chance)
    content = grown(content, chance) if is_grown else content
    return name, kind.pack(content) if kind.pack else content


def taken(name: str, kind: Format, content: bytes) -> Iterator[Taken]:
    """Yield what the product makes of a file, as preparing an archive or landing a stream does."""
    if name == "event":
        yield from take_event(content, place=kind.name, allowed=(), secret=KEY)
        return
    with open(os.memfd_create("fuzz"), "w+b") as handle:
        handle.write(content)
        handle.flush()
        for item in items_of(Path(f"/dev/fd/{handle.fileno()}"), kind.name):
            complete = replace(item, context=COLUMNS) if item.format in TABLES else item
            yield from take(complete, KEY)


def check_file(name: str, kind: Format, content: bytes) -> tuple[int, list[str]]:
    """Return how many messages a file gave and the reasons of its rejects.

    Raises:
        BrokenPromiseError: entries are missing or surplus, a reason is unknown, a text cannot be written.
    """
    results = list(taken(name, kind, content))
    messages = [each for each in results if isinstance(each, Normal)]
    rejects = [each.entry.reason for each in results if isinstance(each, Refused)]
    tallied = sum(each.entries for each in results if isinstance(each, Tally))
    if tallied != len(messages) + len(rejects):
        raise BrokenPromiseError(f"imbalance of {tallied} to {len(messages)} and {len(rejects)}")
    if unknown := set(rejects) - (REASONS.keys() - {"unexpected_error"}):
        raise BrokenPromiseError(f"crash: reasons {unknown}")
    for each in messages:
        texts = (each.text, each.full_text, each.subject, each.sender, each.source, *each.recipients)
        for text in (*texts, *(text for file in each.attachments for text in (file.name, file.text))):
            text.encode()
        check_cover([(zone.start, zone.end) for zone in each.zones], len(each.full_text))
    if name == "event" and not isinstance(results[-1], Arrived):
        raise BrokenPromiseError("crash: an event that never arrived")
    for _ in batched((0, each) for each in results):  # what is written is what Arrow takes
        pass
    return len(messages), rejects


def check_cover(spans: Sequence[tuple[int, int]], length: int) -> None:
    """See that spans follow each other from the first character to the last."""
    ends = [0, *(end for _, end in spans)]
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != length:
        raise BrokenPromiseError("crash: zones that do not cover their text")


def check_redaction(text: str) -> None:
    redacted = redact(text, key=KEY, names=NAMES)
    redacted.text.encode()
    places = [place for span in redacted.spans for place in (span.start, span.end)]
    if places != sorted(places) or not all(0 <= place <= len(text) for place in places):
        raise BrokenPromiseError("crash: spans that overlap or lie outside")


def check_zones(text: str) -> None:
    check_cover([(zone.start, zone.end) for zone in find_zones(text)], len(text))


def tried(number: int, name: str, kind: Format, content: bytes) -> Outcome:
    """Return what became of an input; whatever is raised is a fault, a panic of native code among it."""
    messages, rejects, fault = 0, list[str](), ""
    started = time.process_time()
    try:
        if name in ("redact", "zones"):
            text = clean(content.decode("utf-8", "replace"))
            check_redaction(text) if name == "redact" else check_zones(text)
        else:
            messages, rejects = check_file(name, kind, content)
    except BrokenPromiseError as error:
        fault = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        fault = f"crash: {type(error).__name__} at {_place(error)}"
    cpu_s = time.process_time() - started
    if cpu_s > LONGEST_S and not fault:
        fault = f"hang of {cpu_s:.1f} s CPU"
    return Outcome(number, name, messages, tuple(rejects), cpu_s, fault)


def _place(error: BaseException) -> str:
    places, trace = [], error.__traceback__
    while trace:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " ".join(places[-4:])


def work(numbers: range, seed: int, grown_of: int, results: Connection) -> None:
    """Try inputs and send what became of each: the parent knows which one a process has died of."""
    formats = corpus()
    for number in numbers:
        name, content = made(formats, seed, number, grown_of=grown_of)
        results.send(tried(number, name, formats[name], content))


class Worker:
    """A process that tries every so-manieth input, and is replaced behind the one that it dies of."""

    def __init__(self, numbers: range, seed: int, grown_of: int) -> None:
        self.left, self._seed, self._grown_of = numbers, seed, grown_of
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.results, sender = context.Pipe(duplex=False)
        arguments = (self.left, self._seed, self._grown_of, sender)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        sender.close()
        self.heard_at = time.monotonic()

    def outcome(self, formats: Mapping[str, Format]) -> Outcome | None:
        """Return what the process says, or what it died of or hangs in; nothing if it only needs time."""
        number = self.left[0]
        if self.results.poll():
            try:
                heard: Outcome = self.results.recv()
                self.left, self.heard_at = self.left[1:], time.monotonic()
                return heard
            except EOFError:
                self._process.join()
                fault = f"crash: the process died with exit code {self._process.exitcode}"
        elif time.monotonic() - self.heard_at > STALLED_S:
            self._process.kill()
            fault = f"hang of more than {STALLED_S} s"
        else:
            return None
        self.left = self.left[1:]
        if self.left:
            self._start()
        return Outcome(number, made(formats, self._seed, number, grown_of=self._grown_of)[0], fault=fault)


def outcomes(inputs: int, workers: int, seed: int, grown_of: int) -> Iterator[Outcome]:
    """Yield what becomes of every input; says how far it is every ten seconds."""
    formats = corpus()
    running = [Worker(range(first, inputs, workers), seed, grown_of) for first in range(min(workers, inputs))]
    started = reported = time.monotonic()
    count = 0
    while running:
        wait([each.results for each in running], PROGRESS_S)
        for worker in running:
            if outcome := worker.outcome(formats):
                count += 1
                yield outcome
        running = [each for each in running if each.left]
        if time.monotonic() - reported > PROGRESS_S:
            reported = time.monotonic()
            rate = count / (reported - started)
            print(f"{count:,} of {inputs:,} inputs, {rate:,.0f} a second", file=sys.stderr, flush=True)


def keep(content: bytes) -> Path:
    """Write an input that failed where it can be replayed from."""
    FAILING.mkdir(parents=True, exist_ok=True)
    path = FAILING / hashlib.sha256(content).hexdigest()[:16]
    path.write_bytes(content)
    return path


def print_table(rows: Mapping[str, Row]) -> None:
    print(
        f"{'format':<9} {'inputs':>9} {'messages':>9} {'rejects':>9} {'a CPU-s':>8} {'slowest ms':>10}"
        f" {'its number':>10} {'crashes':>8} {'hangs':>6} {'imbalances':>10}"
    )
    for name, row in rows.items():
        print(
            f"{name:<9} {row.inputs:>9,} {row.messages:>9,} {row.rejects.total():>9,}"
            f" {row.inputs / max(row.cpu_s, 1e-9):>8,.0f} {row.slowest_s * 1000:>10,.1f} {row.slowest:>10}"
            f" {row.faults['crash:']:>8} {row.faults['hang']:>6} {row.faults['imbalance']:>10}"
        )
    for name, row in rows.items():
        if row.rejects:
            print(f"rejects of {name}: {', '.join(f'{why} {n:,}' for why, n in row.rejects.most_common())}")


def main() -> int:
    """Run the inputs, or replay one."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--inputs", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--grown", type=int, default=1000, help="one in so many inputs is long")
    options.add_argument("--replay", type=Path, help="a file that failed; needs --format")
    options.add_argument("--format", choices=list(corpus()), help="the format of the replayed file")
    asked = options.parse_args()
    if asked.replay:
        if not asked.format:
            options.error("--replay needs --format, as it was printed beside the file")
        outcome = tried(0, asked.format, corpus()[asked.format], asked.replay.read_bytes())
        print(outcome)
        return int(bool(outcome.fault))
    rows = {name: Row() for name in corpus()}
    for outcome in outcomes(asked.inputs, asked.workers, asked.seed, asked.grown):
        rows[outcome.format].add(outcome)
        if outcome.fault:
            name, content = made(corpus(), asked.seed, outcome.number, grown_of=asked.grown)
            print(f"{outcome.fault}: --replay {keep(content)} --format {name}", file=sys.stderr, flush=True)
    print_table(rows)
    return int(any(row.faults for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())

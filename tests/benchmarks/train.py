"""Train a classifier with Mailroom and with what others would use, on the same texts; `make bench-train`.

    .venv/bin/python -m tests.benchmarks.train --data DATA.parquet --examples 3000

The data is a Parquet file with the columns text, label and split (train, test), or a prepared dataset;
without one, the sample is prepared. Every contender runs in a process of its own with one thread, from the
same base model. Mailroom trains as its recipe says; the others get the CPU seconds that it took. Beside
a busy machine only CPU seconds can be compared, so they are the main figure; tokens are real ones, without
padding, of the texts that were learned from.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks.trainers import CONTENDERS, MAILROOM, Outcome, Task

Row = dict[str, str]
PROGRAM = """
import json, sys
from tests.benchmarks.trainers import CONTENDERS, Task
print("outcome", json.dumps(CONTENDERS[sys.argv[1]](Task(**json.loads(sys.stdin.read()))).__dict__))
"""


def read_task(data: Path, recipe: str, *, examples: int, tests: int) -> Task:
    """Return so many texts to learn from, one in ten of them to choose the epoch by, and to test on."""
    if data.is_dir():
        from data.dataset import read_messages
        from data.model_input import classifier_input

        rows = [
            {**row, "text": classifier_input(row["subject"] or "", row["text"] or "")}
            for row in read_messages(
                data, columns=["subject", "text", "label", "split"], labelled=True
            ).to_pylist()
        ]
    else:
        rows = pq.read_table(data, columns=["text", "label", "split"]).to_pylist()
    test = [row for row in rows if row["split"] == "test"]
    learned = [row for row in rows if row["split"] != "test"]
    learned, test = spread(learned, examples), spread(test, tests)
    valid, train = learned[::10], [row for place, row in enumerate(learned) if place % 10]
    return Task(
        recipe=recipe,
        train_texts=[row["text"] for row in train],
        train_labels=[row["label"] for row in train],
        valid_texts=[row["text"] for row in valid],
        valid_labels=[row["label"] for row in valid],
        test_texts=[row["text"] for row in test],
        test_labels=[row["label"] for row in test],
    )


def spread(rows: list[Row], most: int) -> list[Row]:
    """Return ``most`` rows from all over, or all of them."""
    return rows[:: max(1, len(rows) // most)][:most]


def measured(contender: str, task: Task) -> Outcome | None:
    """Run one contender; None where it failed, with its words on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, contender],
        input=json.dumps(task.__dict__),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for line in done.stdout.splitlines():
        if line.startswith("outcome "):
            return Outcome(**json.loads(line.removeprefix("outcome ")))
    return None


def prepared_sample(folder: Path) -> Path:
    from data.prepare import prepare

    prepare("sample", folder / "prepared")
    return folder / "prepared"


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path)
    options.add_argument("--examples", type=int, default=3000)
    options.add_argument("--tests", type=int, default=3000)
    options.add_argument("--recipe", default="laptop")
    options.add_argument("--only", nargs="*", default=list(CONTENDERS))
    options.add_argument(
        "--cpu-seconds", type=float, help="for the others; as much as Mailroom took if not given"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = chosen.data or prepared_sample(Path(folder))
        task = read_task(data, chosen.recipe, examples=chosen.examples, tests=chosen.tests)
    task.cpu_s = chosen.cpu_seconds or 0.0
    print(f"{len(task.train_texts)} texts to learn from, {len(task.test_texts)} to test on")
    print("| | CPU s | s | tokens per CPU s | macro-F1 | accuracy | peak GB |")
    print("|---|---|---|---|---|---|---|")
    failed = 0
    for contender in chosen.only:
        outcome = measured(contender, task)
        failed += outcome is None
        if outcome is not None:
            print(f"| {contender} {outcome}", flush=True)
            if contender == MAILROOM and not task.cpu_s:
                task.cpu_s = outcome.cpu_s
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

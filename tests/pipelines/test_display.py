"""The terminal's lines come from what kfp's local runner prints: these are its own lines."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.display import StepDisplay, displayed

TITLES = {"prepare": "01_prepare", "train-classifier": "02_train_classifier"}


def shown(*lines: str, log: Path) -> tuple[str, StepDisplay]:
    console = Console(file=io.StringIO(), width=200)
    display = StepDisplay(log, TITLES, console)
    for line in lines:
        display.write(line)
    display.close()
    return console.file.getvalue(), display


def test_says_one_line_for_each_step(tmp_path: Path) -> None:
    output, display = shown(
        "06:20:09.466 - INFO - Executing task \x1b[96m'prepare'\x1b[0m\n",
        "    [01_prepare 12 s] cell 3 of 5\n",
        "06:20:19.466 - INFO - Task \x1b[96m'prepare'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n",
        "Task train-classifier cache hit (key=037920596c89); skipping ",
        "execution.\n",
        log=tmp_path / "log",
    )

    first, second = output.splitlines()
    assert first.split()[:2] == ["01_prepare", "done"]
    assert second.split() == ["02_train_classifier", "cached"]
    assert display.failed == ""


def test_names_the_step_that_failed_and_keeps_everything_in_the_log(tmp_path: Path) -> None:
    output, display = shown(
        "Executing task 'train-classifier'\n",
        "    some [bold]noise\n",
        "Task 'train-classifier' finished with status FAILURE\n",
        log=tmp_path / "log",
    )

    assert output.split()[:2] == ["02_train_classifier", "failed"]
    assert display.failed == "02_train_classifier"
    assert "some [bold]noise" in (tmp_path / "log").read_text()


def test_leaves_standard_output_and_logging_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))

    with displayed(tmp_path / "logs" / "log", TITLES):
        print("noise")
        logging.info("Task prepare cache hit (key=1)")
    print("afterwards")

    assert before == (root.level, list(root.handlers))
    assert capsys.readouterr().out.split() == ["01_prepare", "cached", "afterwards"]
    assert "noise" in (tmp_path / "logs" / "log").read_text()

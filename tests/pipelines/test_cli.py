"""A person's mistake is one line on stderr and exit status 2; a bug is a traceback without locals."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.contract import ContractError
from components.failure import Failure
from data.workspace import UserError
from pipelines import cli
from pipelines.endings import RunStoppedError, StepError


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


Mailroom = Callable[..., Ended]


@pytest.fixture
def mailroom(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mailroom:
    """Return the command line as a function, in this process."""

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["mailroom", *arguments])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer puts its own there
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Ended(ended.value.code, captured.out, captured.err)

    return call


def test_help_needs_no_heavy_library() -> None:
    code = "import sys; from pipelines import cli; print([m for m in sys.modules if m in %r])"
    heavy = ["kfp", "mlflow", "torch", "papermill", "pyspark", "transformers", "pandas", "numpy"]

    started = time.monotonic()
    finished = subprocess.run(
        [sys.executable, "-c", code % heavy], capture_output=True, text=True, timeout=60, check=True
    )

    assert finished.stdout.strip() == "[]"
    assert time.monotonic() - started < 10, "0.3 s on a quiet machine"


def test_names_every_command(mailroom: Mailroom) -> None:
    commands = {
        "": "run prepare compile submit schedule stream publish sample account erase prune reveal serve "
        "lineage reproduce search review label key audit",
        "review": "list show history errors recall approve reject rollback restore verify",
        "label": "next add import status",
        "key": "add list rotate revoke",
        "audit": "verify",
    }
    for group, expected in commands.items():
        text = mailroom(*group.split(), "--help").out

        assert sorted(expected.split()) == sorted(re.findall(r"^\W+([a-z]+) {2,}\w", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--archive", "/no/such"], "no archive at /no/such"),
        (["run", "--archive", "{tmp}"], "is empty"),
        (["run", "--archive", "{tmp}/empty.mbox"], "is empty"),
        (["run", "--labels", "/no/labels.csv"], "no labels at /no/labels.csv"),
        (["run", "--recipe", "nonsense"], "no recipe called 'nonsense'"),
        (["run", "--recipe", "{tmp}/recipe.yaml"], "unknown key 'learning_rat'"),
        (["run", "--engine", "tensorrt"], "no engine called 'tensorrt'"),
        (["compile", "--gpu", "a100"], "--gpu a100"),
        (["compile", "--search", "--generator"], "leave out --generator"),
        (["schedule", "--endpoint", "http://127.0.0.1:9", "--file", "/no/such.yaml"], "/no/such.yaml"),
        (["submit", "--endpoint", "nowhere"], "--endpoint nowhere"),
        (["submit", "--endpoint", "nowhere", "--engine", "tensorrt"], "no engine called 'tensorrt'"),
        (["search", "--endpoint", "nowhere", "--recipe", "nonsense"], "no recipe called 'nonsense'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, workspace: Path, mailroom: Mailroom
) -> None:
    if arguments[-1] == "{tmp}/empty.mbox":
        (tmp_path / "empty.mbox").touch()
    if arguments[-1] == "{tmp}/recipe.yaml":
        shipped = Path(__file__).parents[2] / "training" / "recipes" / "laptop.yaml"
        (tmp_path / "recipe.yaml").write_text(f"{shipped.read_text()}\nlearning_rat: 1\n")

    finished = mailroom(*(argument.format(tmp=tmp_path) for argument in arguments))

    assert finished.status == 2
    assert finished.out == ""
    assert message in finished.err
    assert len(finished.err.strip().splitlines()) == 1


def test_a_usage_error_is_status_2(mailroom: Mailroom) -> None:
    assert mailroom("schedule").status == 2
    assert mailroom("run", "--seed", "seven").status == 2


def test_a_port_in_use_is_named_before_an_engine_starts(mailroom: Mailroom) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        finished = mailroom("serve", "--port", port)

    assert finished.status == 2
    assert f"port {port} of 127.0.0.1 is in use" in finished.err
    assert "--port" in finished.err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no labels match\nthe archive"), 2, "mailroom: no labels match the archive"),
        (ContractError("01_x, cell 2, line 1: no"), 2, "mailroom: 01_x, cell 2, line 1: no"),
        (RunStoppedError("stopped"), 2, "mailroom: stopped"),
        (StepError("no Java", Failure("01_x", 2, "UserError", "no Java")), 2, "mailroom: no Java"),
        (StepError("no word", Failure("01_x", 2, "KeyError", "k")), 1, "mailroom: no word"),
        (StepError("step 01_x failed in cell 2"), 1, "mailroom: step 01_x failed in cell 2"),
        (OSError(28, "No space left on device"), 2, "mailroom: the disk is full"),
    ],
)
def test_every_ending_has_its_status(
    error: Exception, status: int, line: str, monkeypatch: pytest.MonkeyPatch, mailroom: Mailroom
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)

    ended = mailroom()

    assert status == ended.status
    assert ended.err.startswith(line)
    assert len(ended.err.splitlines()) == 1


def test_a_bug_is_a_traceback_without_locals(tmp_path: Path) -> None:
    code = (
        "from pipelines import cli\n"
        "@cli.app.command('crash')\n"
        "def crash() -> None:\n"
        "    private_text = 'dear' + ' customer'\n"
        "    raise RuntimeError('a bug')\n"
        "cli.main()\n"
    )
    script = tmp_path / "crash.py"
    script.write_text(code)

    finished = subprocess.run(
        [sys.executable, str(script), "crash"], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 1
    assert "a bug" in finished.stderr
    assert "dear customer" not in finished.stderr

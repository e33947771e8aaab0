"""A standalone Spark cluster on this machine: a master and two workers, ended with the test."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from data.java import java_home

STARTS_WITHIN_S = 60
PACKAGE = "org.apache.spark.deploy"


@contextmanager
def running_cluster(folder: Path) -> Iterator[str]:
    """Yield the master's URL once both workers have registered; each has one core and 1 GiB."""
    with ExitStack() as processes:
        master = folder / "master.log"
        processes.enter_context(
            _daemon(master, "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        )
        url = _said(master, r"Starting Spark master at (spark://127\.0\.0\.1:\d+)")
        for number in range(2):
            log = folder / f"worker-{number}.log"
            processes.enter_context(
                _daemon(
                    *(log, "worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1"),
                    *("--memory", "1g", "--work-dir", str(folder / f"worker-{number}"), url),
                )
            )
            _said(log, "(Successfully registered with master)")
        yield url


@contextmanager
def _daemon(log: Path, name: str, *arguments: str) -> Iterator[None]:
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "bin" / "spark-class"
    environment = os.environ | {"JAVA_HOME": str(java_home()), "SPARK_LOCAL_IP": "127.0.0.1"}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(program), f"{PACKAGE}.{name}", *arguments],
            stdout=output,
            stderr=output,
            env=environment,
            cwd=log.parent,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def _said(log: Path, pattern: str) -> str:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.2)
    raise TimeoutError(f"{log.name} did not say {pattern!r} within {STARTS_WITHIN_S} s")

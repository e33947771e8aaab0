"""A cluster is another master URL: the same dataset comes out of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.prepare import prepare
from data.sample import write_sample
from tests.data.spark_cluster import running_cluster

pytestmark = pytest.mark.slow

PREPARE = (
    "import sys; from data.prepare import prepare;"
    "prepare(*sys.argv[1:3], spark_master=sys.argv[3], reread=True)"
)


def test_two_workers_of_a_standalone_cluster_give_the_dataset_of_this_machine(
    tmp_path: Path, workspace: Path
) -> None:
    archive = write_sample(tmp_path / "archive", seed=5, messages=300)
    with running_cluster(tmp_path) as master:
        subprocess.run(  # this process may have a Spark of its own
            [sys.executable, "-c", PREPARE, str(archive), str(tmp_path / "cluster"), master],
            check=True,
            timeout=300,
            env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},
        )
        workers_that_worked = [
            number for number in range(2) if list((tmp_path / f"worker-{number}").glob("app-*/*/stderr"))
        ]

    prepare(str(archive), tmp_path / "local", spark_master="local[2]", reread=True)
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("cluster", "local")]
    assert [0, 1] == workers_that_worked
    assert manifests[0] == manifests[1]

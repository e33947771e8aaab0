"""Mistakes that Kubeflow's protos accept and our own check refuses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from data.workspace import UserError
from pipelines.cluster import cluster
from pipelines.compiled import mistakes


def graph(container: dict[str, Any] | None = None, tasks: dict[str, Any] | None = None) -> str:
    return yaml.safe_dump(
        {
            "deploymentSpec": {"executors": {"exec-a": {"container": container or {}}}},
            "root": {"dag": {"tasks": tasks or {}}},
        }
    )


READS_B = {"artifacts": {"x": {"taskOutputArtifact": {"producerTask": "b"}}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (graph({"resources": {"accelerator": {"resourceCount": "1"}}}), "without saying which"),
        (graph({"resources": {"accelerator": {"resourceType": "nvidia.com/gpu"}}}), "without a limit"),
        (graph({"command": ["x" * 100_001]}), "longer than 100000 bytes"),
        (graph({"command": ["x" * 50_000] * 5}), "Kubeflow's database takes"),
        (graph(tasks={"a": {"dependentTasks": ["b"]}}), "a waits for b, which is not there"),
        (
            graph(tasks={"a": {"dependentTasks": ["b"], "inputs": READS_B}}),
            "a waits for b, which is not there",
        ),
        (graph(tasks={"a": {"inputs": READS_B}, "b": {}}), "a reads b without waiting for it"),
    ],
)
def test_finds(text: str, expected: str) -> None:
    assert expected in "; ".join(mistakes(text))


def test_finds_nothing_in_a_sound_graph() -> None:
    accelerator = {"resourceCount": "1", "resourceType": "nvidia.com/gpu"}
    tasks = {"a": {"dependentTasks": ["b"], "inputs": READS_B}, "b": {}}

    assert mistakes(graph({"resources": {"accelerator": accelerator}}, tasks)) == []


@pytest.mark.parametrize(("gpu", "gpus"), [("gpu", 1), ("nvidia.com/gpu", 0), ("", 17)])
def test_refuses_accelerators_that_kubernetes_would_not_know(gpu: str, gpus: int) -> None:
    with pytest.raises(UserError, match="--gpu"):
        cluster(image="python", gpu=gpu, gpus=gpus)

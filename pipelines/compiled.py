"""The compiled graph (IR), and the mistakes in one that Kubeflow's own protos accept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from components.component import MAX_ARGUMENT_BYTES
from data.workspace import UserError, write_atomically
from pipelines.cluster import Cluster
from pipelines.retrain import retrain_graph

MAX_BYTES = 200_000


def compile_graph(path: Path, cluster: Cluster, build: Callable[..., Any] = retrain_graph) -> Path:
    """Write a graph for a cluster; the same notebooks give the same bytes.

    Raises:
        UserError: the graph breaks one of the rules of :func:`mistakes`.
    """
    from kfp.compiler import Compiler

    graph = build(image=cluster.image, configure=cluster.configure)
    with write_atomically(path) as temporary:
        compiled = temporary.with_suffix(".yaml")  # kfp wants the ending
        try:
            Compiler().compile(graph, str(compiled))
            text = compiled.read_text(encoding="utf-8")
            if found := mistakes(text):
                raise UserError(f"the graph cannot be run: {found[0]}")
            compiled.replace(temporary)
        finally:
            compiled.unlink(missing_ok=True)
    return path


def mistakes(text: str) -> list[str]:
    """Return what is wrong with a compiled graph although Kubeflow's protos accept it."""
    documents = list(yaml.safe_load_all(text))
    spec = documents[0]
    found = []
    if len(text.encode()) > MAX_BYTES:
        found.append(f"it has {len(text.encode())} bytes, Kubeflow's database takes {MAX_BYTES}")
    for name, executor in spec.get("deploymentSpec", {}).get("executors", {}).items():
        found += _executor_mistakes(name, executor.get("container", {}))
    dags = [("root", spec["root"]), *spec.get("components", {}).items()]
    for name, component in dags:
        found += _dependency_mistakes(name, component.get("dag", {}).get("tasks", {}))
    return found


def _executor_mistakes(name: str, container: dict[str, Any]) -> list[str]:
    found = []
    parts = [*container.get("command", []), *container.get("args", [])]
    if any(len(str(part).encode()) > MAX_ARGUMENT_BYTES for part in parts):
        found.append(f"{name}: an argument is longer than {MAX_ARGUMENT_BYTES} bytes")
    accelerator = container.get("resources", {}).get("accelerator", {})
    counted = accelerator.get("resourceCount") or accelerator.get("count")
    typed = accelerator.get("resourceType") or accelerator.get("type")
    if counted and not typed:
        found.append(f"{name}: asks for {counted} accelerators without saying which (--gpu nvidia.com/gpu)")
    if typed and not counted:
        found.append(f"{name}: names the accelerator {typed} without a limit")
    return found


def _dependency_mistakes(dag: str, tasks: dict[str, Any]) -> list[str]:
    found = []
    for name, task in tasks.items():
        producers = set(task.get("dependentTasks", []))
        for value in _dictionaries(task.get("inputs", {})):
            if "producerTask" in value:
                producers.add(value["producerTask"])
                if value["producerTask"] not in task.get("dependentTasks", []):
                    found.append(f"{dag}: {name} reads {value['producerTask']} without waiting for it")
        found += [f"{dag}: {name} waits for {other}, which is not there" for other in producers - set(tasks)]
    return sorted(found)


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    return [value, *(inner for item in value.values() for inner in _dictionaries(item))]

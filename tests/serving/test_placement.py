"""The settings say on which GPUs an engine runs, and nothing else changes; a mistake is one line."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from data.workspace import UserError
from serving import engines as started
from serving.gateway import Settings, read_settings, tell_of_unused
from serving.launch import EngineModel, Placements, Role, vllm_arguments
from serving.placement import Placement
from serving.processes import ServerProcess, stop_processes

GATEWAY = Path(__file__).parents[2] / "docs" / "gateway.md"
TELLS = """
import json, os, sys, time
shown = {name: os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")}
print(json.dumps([sys.argv[1:], shown]), flush=True)
time.sleep(100)
"""


def model(role: Role, folder: Path) -> EngineModel:
    return EngineModel(role, folder, "BertModel", 256)


def flags(arguments: tuple[str, ...] | list[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in pairwise(arguments)
        if name in ("--gpu-memory-utilization", "--tensor-parallel-size")
    }


def settings_of(folder: Path, content: str) -> Settings:
    (folder / "gateway.yaml").write_text(content)
    return read_settings(folder / "gateway.yaml")


def test_without_a_place_the_engines_of_a_bundle_share_half_of_a_gpu(tmp_path: Path):
    shares = {
        role: float(flags(vllm_arguments(model(role, tmp_path), 1, "cuda"))["--gpu-memory-utilization"])
        for role in get_args(Role)
    }

    assert {"classifier": 0.05, "embedder": 0.05, "reranker": 0.05, "generator": 0.35} == shares
    assert 0.5 == pytest.approx(sum(shares.values())), "the next bundle's engines have room beside them"
    assert {} == Placement().environment()


@pytest.mark.parametrize("role", ["classifier", "generator"])
def test_a_place_is_told_to_the_engine(tmp_path: Path, role: Role):
    place = Placement(devices="2,3", tensor_parallel=2, memory=0.8)

    told = flags(vllm_arguments(model(role, tmp_path), 1, "cuda", place))

    assert {"--gpu-memory-utilization": "0.8", "--tensor-parallel-size": "2"} == told
    assert {"CUDA_VISIBLE_DEVICES": "2,3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} == place.environment()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("generators: {}", "engines.generators.[key]: Input should be 'classifier', 'embedder', 'gen"),
        ("generator: {gpu: 1}", "engines.generator.gpu: Extra inputs are not permitted"),
        ("generator: {memory: 1.5}", "engines.generator.memory: Input should be less than or equal to 1"),
        ("generator: {tensor_parallel: 0}", "engines.generator.tensor_parallel: Input should be greater"),
        ("generator: {devices: all}", "engines.generator.devices: 'all' names no GPUs; write their numbers"),
        ('generator: {devices: "0, 1"}', "engines.generator.devices: '0, 1' names no GPUs"),
        ('generator: {devices: "0,0", tensor_parallel: 2}', "'0,0' names a GPU twice"),
        ('generator: {devices: "0,1"}', "2 devices and tensor_parallel 1; make them as many as each other"),
        ("generator: {devices: 0, tensor_parallel: 2}", "1 devices and tensor_parallel 2"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, content: str, said: str):
    with pytest.raises(UserError, match=re.escape(said)) as mistake:
        settings_of(tmp_path, f"engines: {{{content}}}" if "{}" in content else f"engines:\n  {content}")

    assert "\n" not in str(mistake.value)
    assert "docs/gateway.md has an example" in str(mistake.value)


def test_the_documented_example_is_understood(tmp_path: Path):
    example = re.search(r"```yaml\n(engines:\n.*?)```", GATEWAY.read_text(), re.DOTALL)

    assert example
    assert {
        "classifier": Placement(devices="0"),
        "embedder": Placement(devices="0"),
        "generator": Placement(devices="1,2", tensor_parallel=2, memory=0.45),
    } == settings_of(tmp_path, example[1]).engines
    assert {} == read_settings("").engines


def test_where_no_engine_uses_a_gpu_the_operator_learns_that(capfd: pytest.CaptureFixture[str]):
    tell_of_unused({}, "transformers")
    assert "" == capfd.readouterr().err

    tell_of_unused({"generator": Placement(memory=0.5)}, "transformers")

    said = capfd.readouterr().err
    assert (
        "mailroom: the settings' engines (generator) are for vLLM on GPUs, and count for nothing here\n"
        == said
    )


def test_every_engine_starts_in_its_own_place(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    module = tmp_path / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    for folder in [tmp_path / "vllm", *module.relative_to(tmp_path).parents][:-1]:
        (tmp_path / folder / "__init__.py").touch()
    module.write_text(TELLS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setattr(started, "vllm_device", lambda: "cuda")
    models = [model("embedder", tmp_path), model("generator", tmp_path)]
    servers: list[ServerProcess] = []
    places: Placements = {"generator": Placement(devices="1", memory=0.9)}
    try:
        started._start("vllm", models, tmp_path, servers, places, logs=ExitStack())
        logs = [workspace / "logs" / f"{each.role}.log" for each in models]
        until = time.monotonic() + 60
        while not all(log.read_text().endswith("\n") for log in logs) and time.monotonic() < until:
            time.sleep(0.02)
        told = {log.stem: json.loads(log.read_text()) for log in logs}
    finally:
        stop_processes(servers, patience_s=2)

    assert "0.9" == flags(told["generator"][0])["--gpu-memory-utilization"]
    assert {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} == told["generator"][1]
    assert "0.05" == flags(told["embedder"][0])["--gpu-memory-utilization"]
    assert "5" == told["embedder"][1]["CUDA_VISIBLE_DEVICES"]

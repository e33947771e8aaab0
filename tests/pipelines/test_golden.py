"""The compiled graph, byte for byte.

When a notebook or the graph was changed on purpose, write it anew and read the difference before you
commit it:  make golden && git diff tests/pipelines/golden
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from pipelines.cluster import Cluster
from pipelines.compiled import MAX_BYTES, compile_graph, mistakes
from pipelines.retrain import NOTEBOOKS, retrain_graph

GOLDEN = Path(__file__).parent / "golden" / "retrain.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_graph(tmp_path_factory.mktemp("compiled") / "retrain.yaml", Cluster())


def test_is_the_golden_file(compiled: Path) -> None:
    assert GOLDEN.read_text() == compiled.read_text(), (
        "changed on purpose? make golden, and read the difference"
    )


@pytest.mark.slow
def test_compiles_to_the_same_bytes_again(compiled: Path, tmp_path: Path) -> None:
    again = compile_graph(tmp_path / "again.yaml", Cluster())

    assert compiled.read_bytes() == again.read_bytes()


def test_is_valid_small_and_free_of_mistakes(compiled: Path) -> None:
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec, platform = yaml.safe_load_all(compiled.read_text())

    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    for settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(settings, kubernetes.KubernetesExecutorConfig())
    assert mistakes(compiled.read_text()) == []
    assert compiled.stat().st_size < MAX_BYTES


def test_has_one_step_for_every_numbered_notebook_in_order(compiled: Path) -> None:
    spec, _ = yaml.safe_load_all(compiled.read_text())

    tasks = spec["root"]["dag"]["tasks"]
    names = {path.stem.split("_", 1)[1].replace("_", "-") for path in NOTEBOOKS.glob("[0-9]*.ipynb")}
    assert names == set(tasks)
    assert "dependentTasks" not in tasks["prepare"]
    assert tasks["deploy"]["dependentTasks"] == ["prepare", "promote"]


@pytest.mark.slow
def test_trains_the_generator_only_when_asked_and_judges_what_comes_of_it(tmp_path: Path) -> None:
    build = partial(retrain_graph, tunes_generator=True)
    spec, _ = yaml.safe_load_all(compile_graph(tmp_path / "it.yaml", Cluster(), build).read_text())

    tasks = spec["root"]["dag"]["tasks"]
    assert "train-generator" in tasks["evaluate"]["dependentTasks"]
    assert {"producerTask": "train-generator", "outputParameterKey": "Output"} == tasks["evaluate"]["inputs"][
        "parameters"
    ]["adapter"]["taskOutputParameter"]
    assert "adapter" not in tasks["deploy"]["inputs"]["parameters"], "what is deployed, the release says"


def test_every_step_has_limits_a_deadline_and_its_secrets(compiled: Path) -> None:
    spec, platform = yaml.safe_load_all(compiled.read_text())

    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, executor in spec["deploymentSpec"]["executors"].items():
        resources = executor["container"]["resources"]
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= set(resources)
        assert "accelerator" not in resources
        assert int(settings[name]["activeDeadlineSeconds"]) > 0
        assert settings[name]["secretAsEnv"][0]["keyToEnv"][0]["envVar"] == "MLFLOW_TRACKING_URI"
        assert settings[name]["secretAsVolume"][0]["mountPath"] == "/etc/mailroom/keys"
        mounted = {claim["constant"]: claim["mountPath"] for claim in settings[name]["pvcMount"]}
        environment = {each["name"]: each["value"] for each in executor["container"]["env"]}
        assert mounted["mailroom-home"] == environment["MAILROOM_HOME"]
        assert mounted["mailroom-state"] == environment["MAILROOM_STATE"]
    assert "retryPolicy" not in spec["root"]["dag"]["tasks"]["promote"]
    assert spec["root"]["dag"]["tasks"]["prepare"]["retryPolicy"]["maxRetryCount"] == 1


@pytest.mark.parametrize("graph", ["retrain", "search"])
def test_kubeflow_never_answers_for_what_depends_on_more_than_inputs(graph: str) -> None:
    spec, _ = yaml.safe_load_all(GOLDEN.with_name(f"{graph}.yaml").read_text())
    tasks = spec["root"]["dag"]["tasks"]

    caches = {name: task["cachingOptions"] for name, task in tasks.items() if "cachingOptions" in task}
    asked = {name for name, options in caches.items() if not options.get("enableCache")}
    wanted = {
        "retrain": {"prepare", "evaluate", "promote", "deploy"},
        "search": {"prepare", "search-suggest", "search-pick"},
    }

    assert wanted[graph] == asked


@pytest.mark.slow
def test_asks_for_accelerators_where_training_happens_and_engines_are_proved(tmp_path: Path) -> None:
    path = compile_graph(tmp_path / "gpu.yaml", Cluster(gpu="nvidia.com/gpu", gpus=2))

    spec, _ = yaml.safe_load_all(path.read_text())
    with_gpu = {
        name: executor["container"]["resources"]["accelerator"]
        for name, executor in spec["deploymentSpec"]["executors"].items()
        if "accelerator" in executor["container"]["resources"]
    }
    assert set(with_gpu) == {"exec-train-classifier", "exec-train-embedder", "exec-deploy"}
    assert with_gpu["exec-train-embedder"]["resourceType"] == "nvidia.com/gpu"
    assert with_gpu["exec-train-embedder"]["resourceCount"] == "2"

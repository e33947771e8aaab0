"""A graph of two tiny notebooks on this machine: real processes, real kernels, a real cache."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from components.component import components
from data.workspace import UserError
from evaluation.release import Release, as_json
from evaluation.rules import DEFAULT_PATH
from pipelines.cli import leave_out_working_directory
from pipelines.cluster import Cluster
from pipelines.compiled import compile_graph
from pipelines.endings import StepError
from pipelines.retrain import NOTEBOOKS, prepare_graph, retrain_graph
from pipelines.run import Finished, Request, _code, _forget_outdated, check, parameters_of, run_graph
from serving.decisions import append, record_deployed

WRITES = 'text: str = "a"  # what to write\nmade: "Output[Dataset]" = ".mailroom/made"  # where'
READS = (
    'made: "Input[Dataset]" = ".mailroom/made"  # what to read\n'
    'copy: "Output[Artifact]" = ".mailroom/copy"  # where\n'
    'length: "OutputPath[int]" = ".mailroom/length"  # how long it is'
)
COPY = (
    "from pathlib import Path\n"
    "content = Path(made).read_text()\n"
    "Path(copy).write_text(content)\n"
    "Path(length).write_text(str(len(content)))"
)


def two_steps(folder: Path, configure: Callable[[str, Any], None]) -> Any:
    from kfp import dsl

    steps = components(folder)

    def pipeline(text: str = "a") -> NamedTuple("Outputs", [("copy", dsl.Artifact)]):  # type: ignore[misc]
        write = steps["write"](text=text)
        configure("write", write)
        copy = steps["copy"](made=write.outputs["made"])
        configure("copy", copy)
        return NamedTuple("Outputs", [("copy", dsl.Artifact)])(copy.outputs["copy"])  # type: ignore[misc]

    pipeline.__annotations__ = {"text": str, "return": NamedTuple("Outputs", [("copy", dsl.Artifact)])}
    return dsl.pipeline(name="two-steps")(pipeline)


def run(folder: Path, text: str) -> Finished:
    return run_graph(lambda configure: two_steps(folder, configure), {"text": text}, notebooks=folder)


@pytest.fixture
def folder(write_notebook: Callable[..., Path], workspace: Path) -> Path:
    write_notebook("01_write", WRITES, "from pathlib import Path\nPath(made).write_text(text * 3)")
    return write_notebook("02_copy", READS, COPY).parent


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put what is temporary, of this process and of those that it starts, into a folder of its own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.slow
def test_preparing_alone_is_the_first_step_of_the_graph(tmp_path: Path) -> None:
    def first_step(name: str, build: Callable[..., Any]) -> tuple[Any, Any]:
        text = compile_graph(tmp_path / name, Cluster(), build).read_text()
        graph = next(yaml.safe_load_all(text))
        return graph["root"]["dag"]["tasks"]["prepare"], graph["deploymentSpec"]["executors"]["exec-prepare"]

    assert first_step("alone.yaml", prepare_graph) == first_step("whole.yaml", retrain_graph)


@pytest.mark.slow
def test_takes_from_the_cache_what_has_not_changed(
    folder: Path, write_notebook: Callable[..., Path], temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def states() -> list[str]:
        return [line.split()[1] for line in capsys.readouterr().out.splitlines()]

    first = run(folder, "a")
    assert Path(first.outputs["copy"].uri).read_text() == "aaa"
    assert states() == ["done", "done"]
    assert "KFP Executor" in first.log.read_text()

    again = run(folder, "a")
    assert again.outputs["copy"].uri == first.outputs["copy"].uri
    assert states() == ["cached", "cached"]

    write_notebook("02_copy", READS, COPY, "# a comment more")
    run(folder, "a")
    assert states() == ["cached", "done"]
    assert [] == list(temporary.iterdir())
    assert str(temporary) == os.environ["TMPDIR"]


@pytest.mark.slow
def test_a_module_that_lies_where_we_are_called_is_not_taken_for_ours(
    folder: Path, write_notebook: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "data.py").write_text("raise SystemExit('taken for ours')")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    write_notebook("02_copy", READS, "from data.workspace import home", COPY)

    leave_out_working_directory()

    assert Path(run(folder, "a").outputs["copy"].uri).read_text() == "aaa"


@pytest.mark.slow
def test_a_failed_step_is_one_line_and_the_rerun_goes_on_from_the_cache(
    folder: Path, write_notebook: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("02_copy", READS, "raise ValueError('broken')")
    with pytest.raises(
        StepError, match=r"^step 02_copy failed in cell 3: ValueError: broken; executed notebook: /"
    ):
        run(folder, "a")

    write_notebook("02_copy", READS, "from data.workspace import UserError\nraise UserError('no labels')")
    with pytest.raises(StepError, match=r"^no labels$") as mendable:
        run(folder, "a")
    assert mendable.value.status == 2
    assert mendable.value.failure is not None
    assert list(mendable.value.failure.inputs) == ["made"]

    write_notebook("02_copy", READS, "raise OSError(28, 'No space left on device')")
    with pytest.raises(
        StepError, match=r"^the disk is full; free some space and run the same command again$"
    ):
        run(folder, "a")

    states = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert states == ["done", "failed", "cached", "failed", "cached", "failed"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_nothing_running(
    folder: Path, write_notebook: Callable[..., Path], tmp_path: Path, temporary: Path, how: signal.Signals
) -> None:
    started = tmp_path / "started"
    waiting = f"import os, time\nopen({str(started)!r}, 'w').write(str(os.getpid()))\ntime.sleep(120)"
    write_notebook("02_copy", READS, waiting)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from pipelines import cli; import test_run\n"
        "cli.app = lambda: test_run.run(Path(sys.argv[2]), 'a')\n"
        "cli.main()"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(started.exists)
    kernel = int(started.read_text() or "0")

    process.send_signal(how)
    _, error = process.communicate(timeout=60)

    wait_until(lambda: not alive(kernel))
    if how != signal.SIGKILL:
        assert process.returncode == 2
        assert [] == list(temporary.iterdir())
        assert error.strip().splitlines()[-1].startswith("mailroom: stopped; run the same command again")


def wait_until(happens: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[-1][:3]


def test_a_request_comes_back_with_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "1.eml").write_text("Subject: x")
    (tmp_path / "labels.csv").write_text("source,label\n")

    checked = check(Request(archive="mail", labels="labels.csv", spark_master="spark://elsewhere:7077"))

    assert checked.archive == str(tmp_path / "mail")
    assert checked.labels == str(tmp_path / "labels.csv")
    assert checked.recipe == "laptop"


def test_the_sample_and_addresses_are_taken_as_they_are() -> None:
    request = Request(archive="s3://bucket/mail", spark_master="spark://elsewhere:7077")

    assert check(request) == request


def test_another_judge_makes_another_evaluation_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _code(NOTEBOOKS, {})
    monkeypatch.setenv("MAILROOM_JUDGE_URL", "http://user:password@127.0.0.1:8000/v1")
    monkeypatch.setenv("MAILROOM_JUDGE_MODEL", "judge")

    after = _code(NOTEBOOKS, {})

    assert {"evaluate"} == {step for step, code in after.items() if code != before[step]}
    assert "password" not in "".join(after.values())


def test_rules_of_ones_own_count_in_the_step_that_judges(tmp_path: Path) -> None:
    rules = tmp_path / "gate.yaml"
    rules.write_bytes(DEFAULT_PATH.read_bytes())
    request = check(
        Request(archive="s3://bucket/mail", spark_master="spark://elsewhere:7077", gate=str(rules))
    )

    before = _code(NOTEBOOKS, {"gate": Path(request.gate)})
    rules.write_text(rules.read_text() + "# more\n")
    after = _code(NOTEBOOKS, {"gate": Path(request.gate)})

    assert str(rules) == parameters_of(request)["gate"]
    assert {"evaluate"} == {step for step, code in after.items() if code != before[step]}
    rules.write_text("benign: [ordinary]\n")
    with pytest.raises(UserError, match="critical: Field required; compare with"):
        check(request)


def test_a_reranker_counts_in_the_step_that_proves_it_and_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (tmp_path / "model").mkdir()
    for name, words in {"config.json": json.dumps(config), "tokenizer.json": "", "a.safetensors": ""}.items():
        (tmp_path / "model" / name).write_text(words)
    asked = Request("s3://bucket/mail", spark_master="spark://elsewhere:7077", reranker="model")
    request = check(asked)

    before = _code(NOTEBOOKS, {"reranker": Path(request.reranker)})
    (tmp_path / "model" / "a.safetensors").write_text("other weights")
    after = _code(NOTEBOOKS, {"reranker": Path(request.reranker)})

    parameters = parameters_of(request)
    assert (str(tmp_path / "model"), 50) == (parameters["reranker"], parameters["candidates"])
    assert {"deploy"} == {step for step, code in after.items() if code != before[step]}
    with pytest.raises(UserError, match="choose from 2 to 200"):
        check(replace(asked, candidates=1))
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"id2label": {"0": "a", "1": "b"}}))
    with pytest.raises(UserError, match="has 2 labels"):
        check(asked)


def test_evaluates_again_what_was_compared_with_a_champion_of_the_past_and_nothing_else(
    workspace: Path, tmp_path: Path
) -> None:
    cache = workspace / "pipeline" / "cache"
    cache.mkdir(parents=True)
    for name in ("live", "late"):
        append("proposed", proposal(name, tmp_path), reviewer="pipeline", reason="")
        entry = {"evaluation": {"__kfp_artifact__": True, "uri": str(tmp_path / name)}, "outcome": "hold"}
        (cache / f"{name}.json").write_text(json.dumps(entry))

    _forget_outdated()
    assert {"live.json", "late.json"} == {path.name for path in cache.iterdir()}, "both wait"

    append("approved", proposal("live", tmp_path), reviewer="ann", reason="it is better")
    _forget_outdated()
    assert ["live.json"] == [path.name for path in cache.iterdir()]


def test_deploys_again_what_another_deployment_replaced_and_not_what_a_canary_did(workspace: Path) -> None:
    cache = workspace / "pipeline" / "cache"
    cache.mkdir(parents=True)
    append("proposed", proposal("r", workspace), reviewer="pipeline", reason="")
    append("approved", proposal("r", workspace), reviewer="ann", reason="it is better")
    for name in ("plain", "reranked"):
        bundle = workspace / "pipeline" / name / "run" / "deploy" / "bundle"
        bundle.mkdir(parents=True)
        (bundle / "deploy.json").write_text(json.dumps({"digest": name, "is_live": True}))
        entry = {"bundle": {"__kfp_artifact__": True, "uri": str(bundle)}}
        (cache / f"{name}.json").write_text(json.dumps(entry))
        record_deployed("r", name)

    def cached() -> set[str]:
        _forget_outdated()
        return {path.stem for path in cache.iterdir()}

    record_deployed("r", "plain", "canary reranked is slower", instead_of="reranked")
    assert {"plain", "reranked"} == cached(), "the next run does not undo what a canary did"
    record_deployed("r", "reranked")
    assert {"reranked"} == cached(), "to leave the reranker out again is no repetition"


def proposal(name: str, folder: Path) -> dict[str, Any]:
    release = Release(
        id=name,
        status="pending",
        outcome="hold",
        classifier_version="1",
        embedder_version="1",
        index="index",
        index_digest="",
        evaluation=str(folder / name),
        run_id="run",
        report="report",
        authors=("bert",),
        evidence={},
        digests={},
        challenged="",
    )
    return as_json(release)

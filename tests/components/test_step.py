"""A step keeps its evidence and fails with one line, whatever happens. Starts real kernels."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.embed import embed
from components.failure import StepFailed, read_failure
from components.step import _as_type, run_step

WriteNotebook = Callable[..., Path]
PARAMETERS = """x: int = 1  # a number
sizes: dict = {"a": 1}
out: "Output[Artifact]" = "out"
value: "OutputPath[int]" = "value"
"""
WRITE = "from pathlib import Path\nPath(out).write_text('made')\nPath(value).write_text(str(x + sizes['a']))"


@pytest.fixture(autouse=True)
def no_run_of_another_test(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    yield
    os.environ.pop("MLFLOW_RUN_ID", None)


def run(path: Path, folder: Path, **values: object) -> Any:
    return run_step(
        path.stem,
        embed(path),
        values={"x": 4, **values},
        paths={"out": str(folder / "out")},
        executed_notebook=str(folder / "executed.ipynb"),
        executed_html=str(folder / "executed.html"),
    )


def mlflow_run(step: str) -> Any:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("mailroom")
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`mailroom.step` = '{step}'")
    found.evidence = {item.path for item in client.list_artifacts(found.info.run_id, "evidence")}
    return found


@pytest.mark.slow
def test_returns_the_value_and_keeps_the_evidence(write_notebook: WriteNotebook, tmp_path: Path) -> None:
    resume = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('f1', 0.5)"
    resume += "\n    mlflow.log_param('x', x)"
    path = write_notebook("01_good", PARAMETERS, WRITE, resume)

    value = run(path, tmp_path / "step", sizes={"a": 3.0})

    assert value == 7
    assert (tmp_path / "step" / "out").read_text() == "made"
    found = mlflow_run("01_good")
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"f1": 0.5}
    assert found.data.params["notebook.x"] == "4"
    assert found.data.params["notebook.out"] == str(tmp_path / "step" / "out")
    assert found.evidence == {"evidence/01_good.ipynb", "evidence/01_good.html"}
    assert len(found.data.tags["mailroom.sha256.ipynb"]) == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cell", "error"),
    [
        ("raises", "print('so far')\nraise ValueError('bad  thing')", "ValueError: bad thing"),
        ("dies", "import os\nprint('so far', flush=True)\nos._exit(1)", "DeadKernelError: the kernel died"),
        (
            "exits",
            f"{WRITE}\nprint('so far')\nimport sys\nsys.exit(0)",
            "ContractError: the notebook left early",
        ),
        ("lazy", "print('so far')", "ContractError: the notebook ended without writing out, value"),
        ("wrong", f"{WRITE}\nprint('so far')\nPath(value).write_text('seven')", "value must hold one int"),
    ],
)
def test_a_failure_is_one_line_and_keeps_the_evidence(
    write_notebook: WriteNotebook, tmp_path: Path, name: str, cell: str, error: str
) -> None:
    path = write_notebook(f"02_{name}", PARAMETERS, "1 + 1", cell)

    with pytest.raises(StepFailed) as failed:
        run(path, tmp_path / "step")

    line = str(failed.value)
    assert line.startswith(f"step 02_{name} failed in cell 4: ")
    assert error in line
    assert "\n" not in line
    assert "so far" in (tmp_path / "step" / "executed.html").read_text()
    found = mlflow_run(f"02_{name}")
    assert found.info.run_id in line
    assert found.info.status == "FAILED"
    assert found.evidence == {f"evidence/02_{name}.ipynb", f"evidence/02_{name}.html"}
    assert error.partition(":")[0] in found.data.tags["mailroom.error"]
    assert read_failure(tmp_path) == failed.value.failure


@pytest.mark.slow
def test_an_output_of_an_earlier_attempt_does_not_pass_for_this_one(
    write_notebook: WriteNotebook, tmp_path: Path
) -> None:
    folder = tmp_path / "step"
    folder.mkdir()
    (folder / "out").write_text("old")
    (folder / "value").write_text("1")

    with pytest.raises(StepFailed, match="without writing out, value"):
        run(write_notebook("03_lazy", PARAMETERS, "pass"), folder)


@pytest.mark.slow
def test_a_failure_stays_visible_when_mlflow_is_out_of_reach(
    write_notebook: WriteNotebook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    path = write_notebook("04_alone", PARAMETERS, "raise KeyError('k')")

    with pytest.raises(StepFailed, match="KeyError"):
        run(path, tmp_path / "step")

    assert (tmp_path / "step" / "executed.html").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [({"y": 1}, "has no parameter 'y'"), ({"x": True}, "x must be int"), ({"x": "4"}, "x must be int")],
)
def test_refuses_bad_arguments_before_anything_runs(
    write_notebook: WriteNotebook, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    path = write_notebook("05_strict", PARAMETERS, WRITE)

    with pytest.raises(StepFailed, match=message):
        run(path, tmp_path / "step", **values)

    assert not (tmp_path / "step" / "executed.ipynb").exists()
    assert json.loads((tmp_path / "step" / "error.json").read_text())["error"] == "ContractError"


def test_a_result_that_is_a_list_is_read_as_json_and_as_nothing_else() -> None:
    assert ["a", 0.5] == _as_type('["a", 0.5]', "list")
    for text in ("", '{"a": 1}', "a, b"):
        with pytest.raises(ValueError):  # noqa: PT011 (the step names the result itself)
            _as_type(text, "list")

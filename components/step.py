"""One step of a pipeline: a notebook run by Papermill, its evidence kept whatever happens."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.contract import Contract, ContractError, check_arguments, contract_of
from components.embed import unpack
from components.evidence import Evidence, Status, keep, open_run
from components.failure import FILE, StepFailed, explain, write_failure
from components.progress import Progress, follow_runner


def run_step(
    name: str,
    payload: str,
    *,
    values: Mapping[str, object],
    paths: Mapping[str, str],
    executed_notebook: str,
    executed_html: str,
) -> Any:
    """Run an embedded notebook and return what it wrote to its ``OutputPath``, or None without one.

    Args:
        values: the notebook's plain parameters.
        paths: where its input artifacts lie and its output artifacts go.

    Raises:
        StepFailed: bad arguments, a failed cell, a dead kernel, an early exit or a missing output.
    """
    notebook_path, html_path = Path(executed_notebook), Path(executed_html)
    folder = notebook_path.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    evidence, progress, problem = Evidence(), Progress(name), ""
    status: Status = "FAILED"
    try:
        notebook = unpack(payload)
        contract = contract_of(notebook, name)
        arguments = _arguments(contract, values, paths, folder)
        _clear_outputs(contract, arguments)
        evidence = open_run(contract, arguments)
        _execute(notebook, arguments, notebook_path, progress)
        result = _outputs(contract, arguments)
        status = "FINISHED"
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            status = "KILLED"
        failure = explain(name, error, cell=progress.cell)
        failure = replace(
            failure,
            notebook=executed_notebook,
            html=executed_html,
            mlflow_run=evidence.run_id,
            inputs={name: path for name, path in paths.items() if Path(path).exists()},
        )
        problem = f"{failure.error}: {failure.message}"
        write_failure(folder, failure)
        raise StepFailed(failure) from None
    finally:  # nothing here raises: it must not hide the failure
        _write_page(notebook_path, html_path)
        keep(evidence, name, (notebook_path, html_path), status, problem)
    return result


def _arguments(
    contract: Contract, values: Mapping[str, object], paths: Mapping[str, str], folder: Path
) -> dict[str, object]:
    results = {item.name: str(folder / item.name) for item in contract.of_kind("result")}
    nested = {name: _whole_numbers(value) for name, value in values.items() if isinstance(value, list | dict)}
    return check_arguments(contract, {**values, **nested, **paths, **results})


def _whole_numbers(value: Any) -> Any:
    """Undo Kubeflow's protobuf, which makes 3.0 of every 3 inside a list or a dict."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _clear_outputs(contract: Contract, arguments: Mapping[str, object]) -> None:
    """Remove what an earlier attempt left: it must not pass for this attempt's output."""
    for item in (*contract.of_kind("output"), *contract.of_kind("result")):
        path = Path(str(arguments[item.name]))
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)


def _execute(notebook: Any, arguments: dict[str, object], path: Path, progress: Progress) -> None:
    import nbformat
    from papermill import execute_notebook

    path.unlink(missing_ok=True)
    progress.cells = len(notebook["cells"])
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the evidence is kept then, too
    follow_runner()
    executed = execute_notebook(
        nbformat.from_dict(notebook),
        str(path),
        parameters=arguments,
        kernel_name="python3",  # a stripped notebook names none
        language="python",
        progress_bar=False,
        log_output=False,
        stdout_file=progress,
        stderr_file=progress,
        start_timeout=180,
        on_cell_start=progress.start_cell,
    )
    # to Papermill a SystemExit is a success, and what stands below it is simply not run
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    if any(output.get("ename") == "SystemExit" for output in outputs):
        raise ContractError("the notebook left early by sys.exit(); let it run to its end, or raise an error")


def _outputs(contract: Contract, arguments: Mapping[str, object]) -> Any:
    """Check that every declared output exists, and return the result's value in its type."""
    written = (*contract.of_kind("output"), *contract.of_kind("result"))
    missing = [item.name for item in written if not Path(str(arguments[item.name])).exists()]
    if missing:
        raise ContractError(f"the notebook ended without writing {', '.join(missing)}, which it declares")
    if contract.result is None:
        return None
    text = Path(str(arguments[contract.result.name])).read_text(encoding="utf-8").strip()
    try:
        return _as_type(text, contract.result.type)
    except ValueError:
        raise ContractError(f"{contract.result.name} must hold one {contract.result.type}") from None


def _as_type(text: str, name: str) -> Any:
    if name == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if name == "list":
        value = json.loads(text)
        if not isinstance(value, list):
            raise ValueError(text)
        return value
    return {"int": int, "float": float, "str": str}[name](text)


def _write_page(notebook_path: Path, html_path: Path) -> None:
    if not notebook_path.exists():
        return
    try:
        import nbformat

        from components.page import render, settle_streams

        node = nbformat.read(notebook_path, as_version=4)
        settle_streams(node)
        nbformat.write(node, notebook_path)
        html_path.write_text(render(node, notebook_path.stem), encoding="utf-8")
    except Exception as error:
        print(f"the notebook's HTML could not be written: {type(error).__name__}", file=sys.stderr)

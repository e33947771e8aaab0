from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from data.workspace import UserError
from training.recipe import RECIPES, load_recipe, recipe_digest


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_shipped_recipe_loads_and_bears_its_file_name(name: str) -> None:
    assert name == load_recipe(name).name


def test_a_recipe_is_read_from_a_path(tmp_path: Path) -> None:
    path = edited(tmp_path, "name: smoke", "name: mine")

    assert load_recipe(str(path)).name == "mine"


def test_a_recipe_that_was_written_down_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(str(edited(tmp_path, "learning_rate: 3.0e-4", "learning_rate: 3.0e-7")))
    (tmp_path / "kept.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))

    assert recipe_digest(recipe) == recipe_digest(load_recipe(str(tmp_path / "kept.yaml")))


def test_a_rate_may_be_written_as_yaml_reads_no_number(tmp_path: Path) -> None:
    path = edited(tmp_path, "learning_rate: 3.0e-4", "learning_rate: 3e-4")

    assert load_recipe(str(path)).embedder.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  patience: 2", "  patince: 2\n  patience: 2", "unknown key 'classifier.patince'"),
        ("{rank: 4,", "{rnk: 1, rank: 4,", "unknown key 'classifier.lora.rnk'"),
        ("  epochs: 1", "  epochs: three", "classifier.epochs is 'three'"),
        ("  epochs: 1", "  epochs: true", "classifier.epochs is True"),
        ("  epochs: 1", "  epochs: 0", "classifier.epochs is 0"),
        ("  scale: 20.0", "  scale: .nan", "embedder.scale is nan"),
        ("  epochs: 1\n", "", "'classifier.epochs' is missing"),
        ("  epochs: 1\n", "  epoch: 1\n", "unknown key 'classifier.epoch'"),
        ("class_weight: softened", "class_weight: harder", "classifier.class_weight is 'harder'"),
        ("name: smoke", "name: [", "is no YAML"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = edited(tmp_path, old, new)

    with pytest.raises(UserError) as error:
        load_recipe(str(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_key_comes_with_the_known_ones(tmp_path: Path) -> None:
    path = edited(tmp_path, "{rank: 4,", "{rnk: 1, rank: 4,")

    with pytest.raises(UserError, match="known keys: rank, alpha, dropout, targets"):
        load_recipe(str(path))


@pytest.mark.parametrize("name", ["laptpo", "", "no/such.yaml", "."])
def test_an_unknown_name_comes_with_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match="choose one of: gpu, laptop, smoke"):
        load_recipe(name)


def test_an_empty_or_foreign_file_is_no_recipe(tmp_path: Path) -> None:
    for content in (b"", b"- 1\n", b"\xff\xfe\x00"):
        (tmp_path / "odd.yaml").write_bytes(content)

        with pytest.raises(UserError):
            load_recipe(str(tmp_path / "odd.yaml"))


def test_the_digest_ignores_layout_and_follows_values(tmp_path: Path) -> None:
    shipped = load_recipe("smoke")
    commented = load_recipe(str(edited(tmp_path, "classifier:", "# a comment\nclassifier:")))
    slower = load_recipe(str(edited(tmp_path, "learning_rate: 3.0e-4", "learning_rate: 1.0e-4")))

    assert recipe_digest(shipped) == recipe_digest(commented)
    assert recipe_digest(shipped) != recipe_digest(slower)


def edited(folder: Path, old: str, new: str) -> Path:
    content = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")
    assert old in content
    path = folder / "edited.yaml"
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_recipe_that_says_nothing_of_its_task_is_as_it_was_before_there_were_tasks(tmp_path: Path) -> None:
    multi = load_recipe(str(edited(tmp_path, "  patience: 2", "  patience: 2\n  task: multi")))
    recipe = load_recipe("smoke")

    assert "task" not in recipe.model_dump(mode="json", exclude_none=True)["classifier"]
    assert recipe_digest(recipe) != recipe_digest(multi)

"""Recipes: one YAML file is one reproducible run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from data.declared import read_stated
from data.workspace import UserError, locate

RECIPES = Path(__file__).parent / "recipes"

Count = Annotated[int, Field(strict=True, ge=1)]  # strict: neither true nor "3" passes for a number
Rate = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Dimension = Annotated[int, Field(strict=True, ge=8)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LoraRecipe(_Part):
    """The low-rank update: which linear layers of the encoder get one, and how large it is."""

    rank: Count
    alpha: Count
    dropout: Share
    targets: Annotated[tuple[str, ...], Field(min_length=1)]


class ClassifierRecipe(_Part):
    """How the classifier is trained."""

    base_model: str
    max_length: Annotated[int, Field(strict=True, ge=8, le=2048)]
    precision: Literal["bf16", "float32"]
    dropout: Share | None = None  # of the encoder itself; None: what it was made with
    lora: LoraRecipe
    head_scale: Annotated[float, Field(gt=0, le=0.1)]
    warm_start_strength: Positive
    epochs: Count
    max_steps: Count
    batch_size: Count
    accumulate: Count = 1  # batches whose gradients make one step
    processes: Count | None = None  # that share every batch: one a GPU, or a core each; None: one
    head_learning_rate: Rate
    lora_learning_rate: Rate
    warm_up: Share
    class_weight: Literal["none", "softened", "balanced"]
    patience: Count
    task: Literal["single", "multi"] | None = None  # None: multi where a message has several labels


class EmbedderRecipe(_Part):
    """How the embedder is trained."""

    base_model: str
    max_length: Annotated[int, Field(strict=True, ge=8, le=512)]
    precision: Literal["bf16", "float32"]
    lora: LoraRecipe
    max_pairs: Count
    max_steps: Count
    batch_size: Annotated[int, Field(strict=True, ge=2)]
    processes: Count | None = None
    learning_rate: Rate
    warm_up: Share
    scale: Positive
    hard_negatives: Annotated[int, Field(strict=True, ge=0, le=8)]
    matryoshka: Annotated[tuple[Dimension, ...], Field(min_length=1)] | None = None  # prefixes taught too
    dimension: Dimension | None = None  # the one of them that is saved and served; None: the whole vector

    @field_validator("dimension")
    @classmethod
    def _is_taught(cls, dimension: int | None, others: ValidationInfo) -> int | None:
        taught = others.data.get("matryoshka") or ()
        if dimension is not None and dimension not in taught:
            raise ValueError(f"matryoshka names {', '.join(map(str, taught)) or 'none'}; add it there")
        return dimension


class GeneratorRecipe(_Part):
    """How the generator's adapter is trained."""

    base_model: str
    max_length: Annotated[int, Field(strict=True, ge=64, le=2048)]
    precision: Literal["bf16", "float32"]
    lora: LoraRecipe
    max_pairs: Count
    epochs: Count
    max_steps: Count
    batch_size: Count
    processes: Count | None = None
    learning_rate: Rate
    warm_up: Share


class Recipe(_Part):
    """Everything that a training run produces, but for the data and the seed.

    Without the section ``generator`` the generator stays as it is.
    """

    name: str
    description: str
    classifier: ClassifierRecipe
    embedder: EmbedderRecipe
    generator: GeneratorRecipe | None = None


def load_recipe(name_or_path: str) -> Recipe:
    """Read a shipped recipe by its name, or any recipe by the path of its YAML file.

    Raises:
        UserError: no such recipe, no YAML, an unknown or missing key, a value of the wrong type.
    """
    path = _recipe_path(name_or_path)
    stated = read_stated(path, what="the recipe", way_out=f"compare it with {RECIPES / 'laptop.yaml'}")
    try:
        return Recipe.model_validate(stated.value)
    except ValidationError as error:
        raise UserError(f"recipe {name_or_path!r}: {_first_mistake(error)}") from error


def recipe_digest(recipe: Recipe) -> str:
    """Return the SHA-256 of what the recipe says, whatever its layout and comments."""
    content = recipe.model_dump(mode="json", exclude_none=True)  # as before there were optional sections
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _recipe_path(name_or_path: str) -> Path:
    shipped = RECIPES / f"{name_or_path}.yaml"
    if "/" not in name_or_path and shipped.is_file():
        return shipped
    path = locate(name_or_path)
    if not name_or_path or not path.is_file():
        known = ", ".join(sorted(each.stem for each in RECIPES.glob("*.yaml")))
        raise UserError(f"no recipe called {name_or_path!r}; choose one of: {known}, or a YAML file's path")
    return path


def _first_mistake(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False)
    mistake = next(
        (each for each in mistakes if each["type"] == "extra_forbidden"), mistakes[0]
    )  # a typing error
    key = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        return f"unknown key {key!r}; known keys: {', '.join(_keys_beside(mistake['loc']))}"
    if mistake["type"] == "missing":
        return f"the key {key!r} is missing; shipped recipes such as laptop.yaml have every key"
    value = repr(mistake["input"])
    shown = value if len(value) <= 40 else f"{value[:40]}…"
    return f"{key or 'the file'} is {shown}: {mistake['msg'][:1].lower()}{mistake['msg'][1:]}"


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    part: type[BaseModel] = Recipe
    for step in location[:-1]:
        inner = part.model_fields[str(step)].annotation
        inner = next((each for each in get_args(inner) if each is not type(None)), inner)
        assert isinstance(inner, type)  # noqa: S101 (an unknown key can only stand in a part)
        part = inner
    return list(part.model_fields)

"""What a search may change of a recipe's classifier, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from training.recipe import Recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

Value = str | int | float
# Keys of the recipe below ``classifier``; what buys quality with time alone (epochs, max_length) stays.
RATES = {
    "lora_learning_rate": (2e-4, 8e-3),
    "head_learning_rate": (5e-5, 2e-3),
    "warm_start_strength": (2e-3, 0.2),
}
CHOICES: dict[str, tuple[Value, ...]] = {
    "lora.rank": (4, 8, 16, 32),
    "batch_size": (16, 32, 64, 128),
    "class_weight": ("none", "softened", "balanced"),
}


def distributions() -> dict[str, BaseDistribution]:
    """Return the space as Optuna knows it; rates are drawn by their logarithm."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    rates = {key: FloatDistribution(low, high, log=True) for key, (low, high) in RATES.items()}
    return rates | {key: CategoricalDistribution(values) for key, values in CHOICES.items()}


def suggested(trial: Trial) -> dict[str, Value]:
    """Return a value of every key, as a person would write it: rates have three digits."""
    rates = {key: _short(trial.suggest_float(key, low, high, log=True)) for key, (low, high) in RATES.items()}
    return rates | {key: trial.suggest_categorical(key, values) for key, values in CHOICES.items()}


def values_of(recipe: Recipe) -> dict[str, Value]:
    """Return what a recipe says of the keys of the space."""
    content = recipe.classifier.model_dump()
    lora = {f"lora.{key}": value for key, value in content["lora"].items()}
    return {key: (content | lora)[key] for key in (*RATES, *CHOICES)}


def lies_within(values: Mapping[str, Value]) -> bool:
    """Say whether a search could come to these values."""
    return all(low <= float(values[key]) <= high for key, (low, high) in RATES.items()) and all(
        values[key] in known for key, known in CHOICES.items()
    )


def recipe_with(base: Recipe, values: Mapping[str, Value]) -> Recipe:
    """Return the recipe with other values; how strongly LoRA counts (alpha by rank) stays as it was."""
    content: dict[str, Any] = base.model_dump()
    classifier = content["classifier"]
    for key, value in values.items():
        part, _, name = key.rpartition(".")
        (classifier[part] if part else classifier)[name] = _short(value) if key in RATES else value
    lora = base.classifier.lora
    classifier["lora"]["alpha"] = max(1, round(classifier["lora"]["rank"] * lora.alpha / lora.rank))
    name = f"{base.name.removesuffix('-searched')}-searched"
    return Recipe.model_validate(content | {"name": name})


def as_yaml(recipe: Recipe) -> str:
    """Return the recipe as a file that ``mailroom run --recipe FILE`` takes."""
    content = recipe.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _short(value: Value) -> float:
    return float(f"{float(value):.3g}")

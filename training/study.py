"""The memory of a search: an Optuna study in the workspace that can be interrupted and added to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.dataset import read_manifest
from data.workspace import home
from training.recipe import Recipe, recipe_digest
from training.space import CHOICES, RATES, Value, lies_within, values_of

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

NAME = "classifier"
RANDOM_FIRST = 8  # trials before the sampler concludes anything from them
UNPRUNED_FIRST = 4


def study_folder(prepared: Path, recipe: Recipe, seed: int) -> Path:
    """Return where the search on this dataset, from this recipe, with this seed keeps its study.

    Whatever else a score depends on is part of the name: scores of two datasets are not compared.
    """
    parts = [read_manifest(prepared).digest, recipe_digest(recipe), seed, RATES, CHOICES]
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return home() / "searches" / name[:12]


def open_study(folder: Path) -> Study:
    """Return the study of a folder, made at first use; trials that were killed are given up."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'study.db'}",
        study_name=NAME,
        direction="maximize",
        pruner=_pruner(),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def finished(study: Study) -> list[FrozenTrial]:
    """Return the trials that ended by themselves: complete or pruned."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def completed(study: Study) -> list[FrozenTrial]:
    """Return the trials that have a score."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def ask(study: Study, base: Recipe, *, seed: int, position: int) -> Trial:
    """Return the next trial: first the recipe as it is, if the space has it, then what the sampler says.

    The sampler (TPE: Bergstra et al. 2011) is made anew from seed and position, so that a search that
    was interrupted asks for what it would have asked for.
    """
    from optuna.samplers import TPESampler

    values = values_of(base)
    if position == 0 and lies_within(values):
        study.enqueue_trial(values)
    study.sampler = TPESampler(seed=seed + position, n_startup_trials=RANDOM_FIRST, constant_liar=True)
    return study.ask()


def copy_in_memory(trials: Sequence[FrozenTrial]) -> Study:
    """Return a study that knows these trials and is forgotten with the process."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", pruner=_pruner())
    study.add_trials(trials)
    return study


def importance(study: Study) -> dict[str, float]:
    """Return how much each key of the space tells good trials from the others (PED-ANOVA), summing to 1.

    Nothing where fewer than four trials have a score, or all have the same.
    """
    from optuna.importance import get_param_importances

    trials = completed(study)
    if len(trials) < 4 or len({trial.value for trial in trials}) < 2:
        return {}
    return {key: float(share) for key, share in get_param_importances(study).items()}


def same_values(trial: FrozenTrial, values: dict[str, Value]) -> bool:
    """Say whether a trial has been made with these values."""
    return all(trial.params.get(key) == value for key, value in values.items())


def _pruner() -> BasePruner:
    """Trials below the median of the others at the same epoch end; the warm start alone says too little."""
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=UNPRUNED_FIRST, n_warmup_steps=1)

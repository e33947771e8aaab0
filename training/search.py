"""Search for a better recipe of the classifier: on train and valid alone, never on test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.workspace import UserError, locate, write_atomically
from training.classifier import examples_of, fit, labels_of
from training.finetune import AfterEpoch
from training.recipe import Recipe, load_recipe, recipe_digest
from training.results import Epoch
from training.search_results import Search, Tried
from training.space import as_yaml, distributions, recipe_with, suggested, values_of
from training.study import (
    ask,
    completed,
    copy_in_memory,
    finished,
    importance,
    open_study,
    same_values,
    study_folder,
)

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


def search(
    prepared: str | Path, best: str | Path, *, recipe: str = "laptop", trials: int = 20, seed: int = 7
) -> Search:
    """Try recipes one after another until ``trials`` have ended, and write the best one to ``best``.

    Each learns from those before; one that is worse than most after an epoch is ended there. Called
    again, it goes on with what the study in the workspace holds: with the same number nothing is tried.

    Raises:
        UserError: no dataset, a wrong recipe, too few labels, no trial at all.
    """
    from optuna import TrialPruned
    from optuna.trial import TrialState
    from tqdm import tqdm

    base, source = _checked(recipe, trials), locate(prepared)
    train, valid = examples_of(source, "train"), examples_of(source, "valid")
    labels = labels_of(train, valid)
    folder = study_folder(source, base, seed)
    study = open_study(folder)
    with tqdm(total=trials, initial=len(finished(study)), desc="searching", unit="trial") as progress:
        while (position := len(finished(study))) < trials:
            trial = ask(study, base, seed=seed, position=position)
            chosen = recipe_with(base, suggested(trial)).classifier
            try:
                tuned, _ = fit(train, valid, labels, chosen, seed=seed, after_epoch=_pruning(trial))
            except TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, tuned.best.valid.macro_f1)
            progress.update()
    return _result(study, base, folder, best)


def suggest(prepared: str | Path, *, recipe: str = "laptop", trials: int = 8, seed: int = 7) -> list[str]:
    """Write recipes to try side by side, and return the paths of their files in the workspace.

    They follow from the trials that the study holds. A file's name is its content's digest.

    Raises:
        UserError: no dataset, a wrong recipe, no trial at all.
    """
    base, source = _checked(recipe, trials), locate(prepared)
    folder = study_folder(source, base, seed)
    known = finished(open_study(folder))
    study = copy_in_memory(known)
    paths = []
    for position in range(len(known), len(known) + trials):
        chosen = recipe_with(base, suggested(ask(study, base, seed=seed, position=position)))
        path = folder / f"recipe-{recipe_digest(chosen)[:16]}.yaml"
        with write_atomically(path) as unfinished:
            unfinished.write_text(as_yaml(chosen), encoding="utf-8")
        paths.append(str(path))
    return paths


def pick(
    prepared: str | Path,
    best: str | Path,
    *,
    recipes: Sequence[str],
    scores: Sequence[float],
    recipe: str = "laptop",
    seed: int = 7,
) -> Search:
    """Remember the scores of recipes that were tried side by side, and write the best of all to ``best``.

    ``scores`` are macro-F1 on valid, in the order of ``recipes``. Told twice, a trial is kept once.

    Raises:
        UserError: not one score for each recipe.
    """
    from optuna.trial import create_trial

    if not recipes or len(recipes) != len(scores):
        raise UserError(f"{len(recipes)} recipes have {len(scores)} scores; run the search again")
    base = load_recipe(recipe)
    folder = study_folder(locate(prepared), base, seed)
    study = open_study(folder)
    for path, score in zip(recipes, scores, strict=True):
        values = values_of(load_recipe(path))
        if not any(same_values(trial, values) for trial in completed(study)):
            study.add_trial(create_trial(params=values, distributions=distributions(), value=float(score)))
    return _result(study, base, folder, best)


def _checked(recipe: str, trials: int) -> Recipe:
    if trials < 1:
        raise UserError(f"{trials} trials are no search; ask for one or more")
    return load_recipe(recipe)


def _pruning(trial: Trial) -> AfterEpoch:
    from optuna import TrialPruned

    def after_epoch(epoch: Epoch) -> None:
        trial.report(epoch.valid.macro_f1, step=epoch.epoch)
        if trial.should_prune():
            raise TrialPruned

    return after_epoch


def _result(study: Study, base: Recipe, folder: Path, best: str | Path) -> Search:
    from optuna.trial import TrialState

    tried = tuple(
        Tried(number, trial.value if trial.state is TrialState.COMPLETE else None, dict(trial.params))
        for number, trial in enumerate(finished(study))
    )
    best_trial = max(completed(study), key=lambda trial: trial.value or 0.0)  # the first of equals
    found = recipe_with(base, best_trial.params)
    target = locate(best)
    with write_atomically(target) as unfinished:
        unfinished.write_text(as_yaml(found), encoding="utf-8")
    return Search(
        path=str(target),
        study=str(folder / "study.db"),
        base=base.name,
        tried=tried,
        importance=importance(study),
        recipe=as_yaml(found),
    )

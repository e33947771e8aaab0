"""The graph of a search: recipes tried side by side, then one step that picks.

No ``from __future__ import annotations`` here: kfp reads the pipeline's annotations as objects.
"""

from pathlib import Path
from typing import Any, NamedTuple

from components.component import IMAGE
from pipelines.retrain import NOTEBOOKS, Configure, leave_as_is, steps_of

NAME = "mailroom-search"


def search_graph(
    *,
    notebooks: Path = NOTEBOOKS,
    image: str = IMAGE,
    configure: Configure = leave_as_is,
) -> Any:
    """Return the pipeline; every trial is the training step of the retrain graph with another recipe."""
    from kfp import dsl

    step = steps_of(notebooks, image, configure)

    class Outputs(NamedTuple):
        best: dsl.Artifact

    @dsl.pipeline(name=NAME, description="Recipes tried side by side; the best one on valid.")
    def search(  # noqa: PLR0917 - kfp calls it with positions
        archive: str = "sample",
        labels: str = "",
        recipe: str = "laptop",
        trials: int = 8,
        seed: int = 7,
        spark_master: str = "local[*]",
        retention: str = "",
        archive_fingerprint: str = "",
    ) -> Outputs:
        prepare = step(
            "prepare",
            archive=archive,
            labels=labels,
            retention=retention,
            seed=seed,
            spark_master=spark_master,
            fingerprint=archive_fingerprint,
        )
        prepared = prepare.outputs["prepared"]
        suggested = step("search_suggest", prepared=prepared, recipe=recipe, trials=trials, seed=seed)
        suggested.set_caching_options(False)  # it depends on the study, which no input shows
        with dsl.ParallelFor(suggested.outputs["Output"]) as each:
            trained = step("train_classifier", prepared=prepared, recipe=each, seed=seed)
        pick = step(
            "search_pick",
            prepared=prepared,
            recipes=suggested.outputs["Output"],
            scores=dsl.Collected(trained.outputs["Output"]),
            recipe=recipe,
            seed=seed,
        )
        pick.set_caching_options(False)
        return Outputs(best=pick.outputs["best"])

    return search

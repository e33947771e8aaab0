"""The graph: from the archive to the deployed champion, one component for every numbered notebook.

No ``from __future__ import annotations`` here: kfp reads the pipeline's annotations as objects.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from components.component import IMAGE, components

NAME = "mailroom-retrain"
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
Configure = Callable[[str, Any], None]


def leave_as_is(step: str, task: Any) -> None:
    """Configure nothing: a laptop has no resources to ask for."""


def steps_of(notebooks: Path, image: str, configure: Configure) -> Callable[..., Any]:
    """Return what adds the step of a name, with its arguments, to the graph that is being described."""
    made = components(notebooks, image)

    def step(name: str, **arguments: Any) -> Any:
        task = made[name](**arguments)
        configure(name, task)
        return task

    return step


def retrain_graph(
    *,
    notebooks: Path = NOTEBOOKS,
    image: str = IMAGE,
    configure: Configure = leave_as_is,
    tunes_generator: bool = False,
) -> Any:
    """Return the pipeline; ``configure`` is called with every step's name and task.

    ``tunes_generator`` adds the training of the generator's adapter, for recipes that have one.

    The graph is the same on a laptop and on a cluster. What differs is what a step may use there.
    """
    from kfp import dsl

    step = steps_of(notebooks, image, configure)

    class Outputs(NamedTuple):
        prepared: dsl.Dataset
        evaluation: dsl.Artifact
        release: dsl.Artifact
        bundle: dsl.Artifact

    @dsl.pipeline(name=NAME, description="From a raw archive to a served, reviewed model.")
    def retrain(  # noqa: PLR0917 - kfp calls it with positions
        archive: str = "sample",
        labels: str = "",
        recipe: str = "laptop",
        seed: int = 7,
        spark_master: str = "local[*]",
        milvus_uri: str = "",
        engine: str = "auto",
        retention: str = "",
        gate: str = "",
        reranker: str = "",
        candidates: int = 50,
        archive_fingerprint: str = "",
        decisions_fingerprint: str = "",
    ) -> Outputs:
        prepare = step(
            "prepare",
            archive=archive,
            labels=labels,
            retention=retention,
            seed=seed,
            spark_master=spark_master,
            fingerprint=archive_fingerprint,  # a path stays the same when more mail arrives below it
        )
        prepared = prepare.outputs["prepared"]
        train_classifier = step("train_classifier", prepared=prepared, recipe=recipe, seed=seed)
        train_embedder = step("train_embedder", prepared=prepared, recipe=recipe, seed=seed)
        classifier = train_classifier.outputs["classifier"]
        embedder = train_embedder.outputs["embedder"]
        adapter = ""
        if tunes_generator:
            train_generator = step("train_generator", prepared=prepared, recipe=recipe, seed=seed)
            adapter = train_generator.outputs["Output"]
        index = step("index", prepared=prepared, embedder=embedder, milvus_uri=milvus_uri)
        evaluate = step(
            "evaluate",
            prepared=prepared,
            classifier=classifier,
            embedder=embedder,
            index=index.outputs["index"],
            adapter=adapter,
            recipe=recipe,
            gate=gate,
            seed=seed,
        )
        promote = step(
            "promote",
            evaluation=evaluate.outputs["evaluation"],
            index=index.outputs["index"],
            prepared=prepared,
            fingerprint=decisions_fingerprint,  # a reviewer may have made another release champion
        )
        deploy = step(
            "deploy",
            release=promote.outputs["release"],
            prepared=prepared,
            engine=engine,
            reranker=reranker,
            candidates=candidates,
            fingerprint=decisions_fingerprint,
        )
        return Outputs(
            prepared=prepared,
            evaluation=evaluate.outputs["evaluation"],
            release=promote.outputs["release"],
            bundle=deploy.outputs["bundle"],
        )

    return retrain


def prepare_graph(
    *, notebooks: Path = NOTEBOOKS, image: str = IMAGE, configure: Configure = leave_as_is
) -> Any:
    """Return the pipeline of the first step alone: what can be done before anything is labelled."""
    from kfp import dsl

    step = steps_of(notebooks, image, configure)

    @dsl.pipeline(name="mailroom-prepare", description="From a raw archive to a prepared dataset.")
    def prepare(  # noqa: PLR0917 - kfp calls it with positions
        archive: str = "sample",
        labels: str = "",
        seed: int = 7,
        spark_master: str = "local[*]",
        retention: str = "",
        archive_fingerprint: str = "",
    ) -> dsl.Dataset:
        task = step(
            "prepare",
            archive=archive,
            labels=labels,
            retention=retention,
            seed=seed,
            spark_master=spark_master,
            fingerprint=archive_fingerprint,
        )
        return task.outputs["prepared"]

    return prepare

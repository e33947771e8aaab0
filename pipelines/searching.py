"""``mailroom search``: recipes tried side by side, here or on a cluster; the best one as a file."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.component import IMAGE
from pipelines.options import Archive, Gpu, Gpus, Image, Labels, RecipeName, Retention, Seed, SparkMaster
from pipelines.retrain import NOTEBOOKS
from pipelines.search import search_graph

if TYPE_CHECKING:
    from pipelines.run import Request

PARAMETERS = ("archive", "labels", "recipe", "seed", "spark_master", "retention", "archive_fingerprint")


def search_command(
    *,
    trials: Annotated[int, typer.Option(min=1, max=200, help="How many recipes to try this time.")] = 8,
    archive: Archive = "sample",
    labels: Labels = "",
    recipe: RecipeName = "laptop",
    seed: Seed = 7,
    spark_master: SparkMaster = "local[*]",
    retention: Retention = "",
    endpoint: Annotated[str, typer.Option(help="A Kubeflow cluster to search on; empty: here.")] = "",
    image: Image = IMAGE,
    gpu: Gpu = "",
    gpus: Gpus = 1,
) -> None:
    """Search for a better recipe of the classifier, on train and valid alone; called again, it goes on."""
    from pipelines.cluster import cluster
    from pipelines.kubeflow import submit
    from pipelines.run import Request, check, check_anywhere, parameters_of

    request = Request(archive, labels, recipe, seed=seed, spark_master=spark_master, retention=retention)
    if endpoint:
        check_anywhere(request)
        chosen = {"trials": trials} | _of_the_search(parameters_of(request))
        typer.echo(submit(endpoint, cluster(image=image, gpu=gpu, gpus=gpus), chosen, search_graph))
        return
    asked, request = request, check(request)
    best = search_here({"trials": trials} | _of_the_search(parameters_of(request)), Path(request.recipe))
    typer.echo(f"{best.read_text(encoding='utf-8')}\n{run_again(asked, best)}")


def run_again(asked: Request, best: Path) -> str:
    """Return the command that runs the best recipe on what was searched, to be pasted into a shell."""
    options = {
        field.name: str(getattr(asked, field.name))
        for field in fields(asked)
        if getattr(asked, field.name) != field.default
    } | {"recipe": str(best)}
    return "mailroom run " + " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in options.items()
    )


def search_here(parameters: dict[str, Any], recipe: Path, notebooks: Path = NOTEBOOKS) -> Path:
    """Run the graph of the search on this machine and return the file of the best recipe."""
    from pipelines.run import run_graph

    finished = run_graph(
        lambda configure: search_graph(notebooks=notebooks, configure=configure),
        parameters,
        notebooks=notebooks,
        files={"recipe": recipe},
    )
    return Path(finished.outputs["best"].uri)


def _of_the_search(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name in PARAMETERS}

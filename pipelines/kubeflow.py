"""Runs and schedules on a Kubeflow Pipelines server."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data.declared import read_declared
from data.identity import account, author
from data.workspace import UserError
from pipelines.cluster import Cluster
from pipelines.compiled import compile_graph
from pipelines.retrain import retrain_graph
from pipelines.run import Request, graph_for

EXPERIMENT = "mailroom"
SCHEDULES = Path(__file__).parent / "schedules.yaml"
CRON_FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week")


def _six_fields(cron: str) -> str:
    if len(cron.split()) != len(CRON_FIELDS):
        raise ValueError(
            f"cron {cron!r} has {len(cron.split())} fields, not six ({', '.join(CRON_FIELDS)}); "
            "Kubeflow would accept and misread it"
        )
    return cron


class Schedule(BaseModel):
    """One entry of schedules.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    description: str = ""
    cron: Annotated[str, AfterValidator(_six_fields)]
    max_concurrency: int = Field(default=1, ge=1, le=10)
    catch_up: bool = False
    parameters: dict[str, str | int] = {}


@dataclass(frozen=True, slots=True)
class Applied:
    """The ids of the recurring runs that were made, and the names of others that are still there."""

    made: tuple[str, ...]
    others: tuple[str, ...]


def read_schedules(path: Path = SCHEDULES) -> list[Schedule]:
    """Return the schedules of a file.

    Raises:
        UserError: no such file, an unknown key, a cron expression that Kubeflow would misread.
    """
    schedules = read_declared(
        path, list[Schedule], what="the schedules", way_out=f"compare them with {SCHEDULES}"
    )
    names = [schedule.name for schedule in schedules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path.name}: two schedules are called {twice[0]!r}; names must be unique")
    return schedules


def submit(
    endpoint: str,
    cluster: Cluster,
    parameters: dict[str, Any],
    build: Callable[..., Any] = retrain_graph,
) -> str:
    """Start one run of a graph and return its address."""
    with _client(endpoint) as client, _compiled(cluster, build) as package:
        experiment = client.create_experiment(EXPERIMENT)
        made = client.run_pipeline(
            experiment_id=experiment.experiment_id,
            job_name=f"{_name_of(package)} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            pipeline_package_path=str(package),
            params=parameters,
        )
    return f"{endpoint.rstrip('/')}/#/runs/details/{made.run_id}"


def apply_schedules(endpoint: str, cluster: Cluster, schedules: list[Schedule]) -> Applied:
    """Make the server's recurring runs of these names those of ``schedules``.

    There is no update in the API, and creating twice makes two. So the new one is created first and the
    old ones of its name are deleted then: a failure in between leaves two, never none, and the next
    call mends it. What has another name stays: somebody may have made it by hand.
    """
    made = []
    builds = [_graph_of(schedule) for schedule in schedules]
    with _client(endpoint) as client:
        experiment = client.create_experiment(EXPERIMENT)
        there = _recurring_runs(client, experiment.experiment_id)
        for schedule, build in zip(schedules, builds, strict=True):
            with _compiled(cluster, build) as package:
                new = client.create_recurring_run(
                    experiment_id=experiment.experiment_id,
                    job_name=schedule.name,
                    description=schedule.description,
                    cron_expression=schedule.cron,
                    max_concurrency=schedule.max_concurrency,
                    no_catchup=not schedule.catch_up,
                    pipeline_package_path=str(package),
                    params=dict(schedule.parameters),
                )
            for recurring_run_id in there.pop(schedule.name, ()):
                client.delete_recurring_run(recurring_run_id)
            made.append(str(new.recurring_run_id))
    return Applied(tuple(made), tuple(sorted(there)))


def _graph_of(schedule: Schedule) -> Callable[..., Any]:
    """Return what builds the graph of a schedule's recipe: with the generator's training, or without."""
    recipe = schedule.parameters.get("recipe")
    return graph_for(Request() if recipe is None else Request(recipe=str(recipe)))


def _recurring_runs(client: Any, experiment_id: str) -> dict[str, list[str]]:
    """Return the ids of all recurring runs of an experiment by their names."""
    found: dict[str, list[str]] = {}
    token = ""
    while True:
        page = client.list_recurring_runs(page_token=token, page_size=100, experiment_id=experiment_id)
        for item in page.recurring_runs or ():
            found.setdefault(str(item.display_name), []).append(str(item.recurring_run_id))
        token = page.next_page_token or ""
        if not token:
            return found


@contextmanager
def _compiled(cluster: Cluster, build: Callable[..., Any] = retrain_graph) -> Iterator[Path]:
    """Yield the graph, which names who submits it: in a pod everybody has the same account."""
    submitted = replace(cluster, author=author(), submitter=account())
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        yield compile_graph(Path(folder) / "graph.yaml", submitted, build)


def _name_of(package: Path) -> str:
    spec = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    return str(spec["pipelineInfo"]["name"])


@contextmanager
def _client(endpoint: str) -> Iterator[Any]:
    """Yield a client of the server; what goes wrong on the way there is the caller's to mend.

    Raises:
        UserError: the address is none, the server does not answer, or it refuses.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise UserError(f"--endpoint {endpoint}: not an address; write it like http://localhost:8888")
    from kfp import Client
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield Client(host=endpoint)
        except HTTPError as error:
            reason = type(error).__name__
            raise UserError(f"no Kubeflow Pipelines server answers at {endpoint} ({reason})") from None
        except ApiException as error:
            raise UserError(f"{endpoint} refused: HTTP {error.status} {error.reason}") from None

"""The command line ``mailroom``."""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.component import IMAGE
from components.contract import ContractError
from data.workspace import UserError, home, locate
from pipelines import access
from pipelines.endings import FREE_SPACE, RunStoppedError, StepError
from pipelines.label import label
from pipelines.lineage.command import lineage_command, reproduce_command
from pipelines.options import (
    Archive,
    Broker,
    Cache,
    Candidates,
    ClientConfig,
    Endpoint,
    Engine,
    Gate,
    Gpu,
    Gpus,
    Image,
    Labels,
    MilvusUri,
    Reason,
    RecipeName,
    ReleaseId,
    RerankerFolder,
    Retention,
    Reviewer,
    Seed,
    SparkMaster,
)
from pipelines.searching import search_command
from serving.reranker import CANDIDATES

if TYPE_CHECKING:
    from data.kafka import Topic

app = typer.Typer(
    help="From a raw archive of messages to a served, reviewed model.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a message's text must not reach a terminal in a traceback
    add_completion=False,
)
review = typer.Typer(help="Decide on releases, and look at what was decided.", no_args_is_help=True)
app.add_typer(review, name="review")
app.add_typer(label, name="label")
app.command("lineage")(lineage_command)
app.command("reproduce")(reproduce_command)
app.command("search")(search_command)
app.add_typer(access.key, name="key")
app.add_typer(access.audit, name="audit")

DEPLOY_IT = "to deploy it, give the last mailroom run again: finished steps come from the cache"


@app.command()
def run(
    *,
    archive: Archive = "sample",
    labels: Labels = "",
    recipe: RecipeName = "laptop",
    seed: Seed = 7,
    engine: Engine = "auto",
    spark_master: SparkMaster = "local[*]",
    milvus_uri: MilvusUri = "",
    retention: Retention = "",
    gate: Gate = "",
    reranker: RerankerFolder = "",
    candidates: Candidates = CANDIDATES,
    cache: Cache = True,
) -> None:
    """Run every notebook on this machine, from the archive to the deployed champion."""
    from rich.console import Console

    from pipelines.run import Request, check, produced_by
    from pipelines.run import run as run_graph
    from pipelines.summary import show as show_summary

    request = Request(
        archive, labels, recipe, seed, spark_master, milvus_uri, engine, retention, gate, reranker, candidates
    )
    console = Console(file=sys.stdout)
    try:
        show_summary(run_graph(check(request), use_cache=cache), console)
    except StepError as error:
        if error.failure:  # what was made before it stays, and is what a reviewer needs
            show_summary(
                produced_by({name: Path(path) for name, path in error.failure.inputs.items()}), console
            )
        raise


@app.command()
def prepare(
    *,
    archive: Archive = "sample",
    labels: Labels = "",
    seed: Seed = 7,
    spark_master: SparkMaster = "local[*]",
    retention: Retention = "",
    cache: Cache = True,
) -> None:
    """Run 01_prepare alone, for an archive that has yet to be labelled."""
    from rich.console import Console

    from pipelines.run import Request, check
    from pipelines.run import prepare as run_first_step
    from pipelines.summary import show as show_summary

    request = Request(archive, labels, seed=seed, spark_master=spark_master, retention=retention)
    show_summary(run_first_step(check(request), use_cache=cache), Console(file=sys.stdout))
    typer.echo("\nto label it: mailroom label next --reviewer NAME --text")


@app.command("compile")
def compile_command(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the compiled graph goes.")] = Path(
        "retrain.yaml"
    ),
    image: Image = IMAGE,
    gpu: Gpu = "",
    gpus: Gpus = 1,
    search: Annotated[bool, typer.Option("--search", help="The graph of a search for a recipe.")] = False,
    generator: Annotated[bool, typer.Option("--generator", help="Train the generator, too.")] = False,
) -> None:
    """Compile the graph for a cluster."""
    from pipelines.cluster import cluster
    from pipelines.compiled import compile_graph
    from pipelines.retrain import retrain_graph
    from pipelines.search import search_graph

    if search and generator:
        raise UserError("--search tries recipes of the classifier alone; leave out --generator")
    build = search_graph if search else partial(retrain_graph, tunes_generator=generator)
    path = compile_graph(locate(output), cluster(image=image, gpu=gpu, gpus=gpus), build)
    typer.echo(f"{path} ({path.stat().st_size:,} bytes)")


@app.command()
def submit(
    *,
    endpoint: Endpoint,
    archive: Archive = "sample",
    labels: Labels = "",
    recipe: RecipeName = "laptop",
    seed: Seed = 7,
    engine: Engine = "auto",
    spark_master: SparkMaster = "local[*]",
    milvus_uri: MilvusUri = "",
    retention: Retention = "",
    gate: Gate = "",
    reranker: RerankerFolder = "",
    candidates: Candidates = CANDIDATES,
    image: Image = IMAGE,
    gpu: Gpu = "",
    gpus: Gpus = 1,
) -> None:
    """Run the same graph once on a Kubeflow cluster."""
    from pipelines.cluster import cluster
    from pipelines.kubeflow import submit as submit_graph
    from pipelines.run import Request, check_anywhere, graph_for, parameters_of

    request = Request(
        archive, labels, recipe, seed, spark_master, milvus_uri, engine, retention, gate, reranker, candidates
    )
    check_anywhere(request)
    on = cluster(image=image, gpu=gpu, gpus=gpus)
    typer.echo(submit_graph(endpoint, on, parameters_of(request), graph_for(request)))


@app.command()
def schedule(
    endpoint: Endpoint,
    file: Annotated[Path | None, typer.Option(help="YAML; default: pipelines/schedules.yaml.")] = None,
    image: Image = IMAGE,
    gpu: Gpu = "",
    gpus: Gpus = 1,
) -> None:
    """Make the cluster's schedules of these names as the file says; repeat it as often as you like."""
    from pipelines.cluster import cluster
    from pipelines.kubeflow import SCHEDULES, apply_schedules, read_schedules

    schedules = read_schedules(file or SCHEDULES)
    applied = apply_schedules(endpoint, cluster(image=image, gpu=gpu, gpus=gpus), schedules)
    for entry, recurring_run_id in zip(schedules, applied.made, strict=True):
        typer.echo(f"{entry.name}  {entry.cron}  {recurring_run_id}")
    for name in applied.others:
        typer.echo(f"{name}  goes on, and is not in the file; delete it in Kubeflow if it should not")


@app.command()
def serve(
    bundle: Annotated[str, typer.Option(help="A bundle; default: the one that is live.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    engine: Engine = "auto",
    settings: Annotated[
        str, typer.Option(help="YAML with limits, issuers of tokens, GPUs and TLS; see docs/gateway.md.")
    ] = "",
    *,
    lazy: Annotated[bool, typer.Option("--lazy", help="Start each engine when it is first needed.")] = False,
) -> None:
    """Start the engines on the live bundle and open the gateway, until Ctrl-C.

    Whatever becomes live meanwhile is served next, without a request lost.
    """
    from serving.ports import require_free

    require_free(host, port)
    from serving.gateway import read_settings
    from serving.gateway import serve as serve_bundle

    chosen = read_settings(settings)
    serve_bundle(bundle=bundle or None, host=host, port=port, engine=engine, settings=chosen, lazy=lazy)


@app.command()
def sample(
    archive: Annotated[Path | None, typer.Option(help="Where it goes; default: in the workspace.")] = None,
    seed: Seed = 7,
    messages: Annotated[int, typer.Option(min=100, help="About how many.")] = 2400,
) -> None:
    """Write the sample archive: the mail and chat of a brokerage that does not exist."""
    from data.sample import write_sample

    typer.echo(
        write_sample(locate(archive) if archive else home() / f"sample-{seed}", seed=seed, messages=messages)
    )


@app.command("account")
def account_command(
    run_or_folder: Annotated[
        str, typer.Argument(help="A run's name or a dataset's folder; default: the newest run.")
    ] = "",
) -> None:
    """Show what became of every entry of every source: in = kept + duplicates + rejects."""
    from data.account import account, newest_dataset

    is_folder = bool(run_or_folder) and locate(run_or_folder).is_dir()
    typer.echo(account(run_or_folder if is_folder else newest_dataset(run_or_folder)))


@app.command()
def stream(
    *,
    topic: Annotated[str, typer.Argument(help="The topic; an event carries a file, or says where it lies.")],
    broker: Broker = "127.0.0.1:9092",
    files: Annotated[
        list[str] | None,
        typer.Option(help="Where files that events name may be read: a folder or a URI; repeat it."),
    ] = None,
    landing: Annotated[
        Path | None, typer.Option(help="Folder that it lands in; default: in the workspace.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Events in a micro-batch.")] = 10_000,
    follow: Annotated[
        bool, typer.Option(help="Go on until Ctrl-C instead of ending with the topic.")
    ] = False,
    client_config: ClientConfig = None,
    spark_master: SparkMaster = "local[*]",
) -> None:
    """Take in a Kafka topic's events, redacted, each exactly once; next: mailroom run --archive FOLDER."""
    from data.events import prefixes
    from data.landing import default_landing, land

    folder = locate(landing) if landing else default_landing(topic)
    counts = land(
        _topic(topic, broker, client_config),
        folder,
        allowed=prefixes(files or []),
        most=batch,
        follow=follow,
        spark_master=spark_master,
    )
    typer.echo(f"{counts}\n{folder}")


@app.command()
def publish(
    *,
    archive: Annotated[str, typer.Argument(help="Folder or file with the messages.")],
    topic: Annotated[str, typer.Argument(help="The topic.")],
    broker: Broker = "127.0.0.1:9092",
    inline: Annotated[
        int, typer.Option(min=0, help="Larger files stay where they lie: the event says where.")
    ] = 65_536,
    client_config: ClientConfig = None,
) -> None:
    """Send an event for every file of an archive to a Kafka topic."""
    from data.publish import publish as send

    typer.echo(f"{send(locate(archive), _topic(topic, broker, client_config), inline=inline):,} events")


@review.command("list")
def list_pending() -> None:
    """List the releases that wait for a decision."""
    from evaluation.decision import pending

    typer.echo("\n".join(map(str, pending())) or "nothing waits for a decision")


@review.command()
def show(release_id: ReleaseId) -> None:
    """Show one release, and where its report lies."""
    from evaluation import decision

    release = decision.show(release_id)
    typer.echo(f"{release}\nreport: {release.evaluation}/eval_report.html")
    if decision.has_other_rules(release):
        typer.echo(
            "judged by other rules than the champion, or than the shipped ones: "
            "compare gate.yaml beside the report"
        )


@review.command()
def history() -> None:
    """Show every decision, verified against its signature and its predecessor."""
    from evaluation import decision

    typer.echo("\n".join(map(str, decision.history())) or "nothing was decided yet")


@review.command("recall")
def recall_command(
    within: Annotated[float, typer.Option(help="Precision to plan labels for; 0.05: ± 5 points.")] = 0.05,
) -> None:
    """Estimate how much of the whole archive the latest challenger finds, and plan further labels."""
    from pipelines.recall import show_recall

    typer.echo(show_recall(within))


@review.command()
def verify(
    head: Annotated[
        str, typer.Option(help="A hash that an earlier check printed: its line must be there.")
    ] = "",
) -> None:
    """Check decisions, ledgers, evidence, weights, alias and live bundle; exit status 1 for any problem."""
    from rich.console import Console

    from evaluation.chain import check_chain
    from pipelines.review import show as show_chain

    chain = check_chain(head)
    show_chain(chain, Console(file=sys.stdout))
    if chain.problems:
        raise typer.Exit(1)


@review.command()
def approve(release_id: ReleaseId, reviewer: Reviewer, reason: Reason) -> None:
    """Make a release the champion."""
    from evaluation import decision

    typer.echo(f"{decision.approve(release_id, reviewer=reviewer, reason=reason)}\n{DEPLOY_IT}")


@review.command()
def reject(release_id: ReleaseId, reviewer: Reviewer, reason: Reason) -> None:
    """Turn a release down."""
    from evaluation import decision

    typer.echo(decision.reject(release_id, reviewer=reviewer, reason=reason))


@review.command()
def rollback(
    reviewer: Reviewer,
    reason: Reason,
    to: Annotated[
        str, typer.Option(help="A release that was live; default: the one below the current.")
    ] = "",
) -> None:
    """Make an earlier release the champion again; a running gateway turns back to its bundle."""
    from evaluation.rollback import roll_back

    done = roll_back(reviewer=reviewer, reason=reason, to=to)
    typer.echo(done)
    if done.problems:
        raise typer.Exit(1)


@review.command()
def restore() -> None:
    """Move the champion alias to where the decision log says, after an interruption or somebody's move."""
    from evaluation import decision

    decision.restore_alias()
    typer.echo("\n".join(decision.verify_alias()) or "the alias stands where the decision log says")


@review.command()
def errors(
    release_id: Annotated[str, typer.Argument(help="A release, or the MLflow run of its evaluation.")],
    reviewer: Annotated[str, typer.Option(envvar="MAILROOM_REVIEWER", help="Who looks.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed into the governance ledger.")],
    output: Annotated[str, typer.Option(help="The page; default: in the workspace.")] = "",
    prepared: Annotated[str, typer.Option(help="The dataset; default: where the evaluation read it.")] = "",
) -> None:
    """Write a page of the worst errors with their redacted text, for your eyes alone."""
    from evaluation.opened import open_errors

    typer.echo(open_errors(release_id, reviewer=reviewer, reason=reason, output=output, prepared=prepared))


@app.command("erase")
def erase_command(
    subject: Annotated[
        list[str] | None,
        typer.Option(help="Address or name, repeatable; default: lines of standard input."),
    ] = None,
    by: Annotated[str, typer.Option(help="Who asks; default: the system's user.")] = "",
    retention: Retention = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person from everything in the workspace, and prove it by a scan of every byte."""
    from pipelines.erase import erase

    if not subject and not yes:
        raise UserError("with the subject on standard input nobody can be asked: add --yes")
    if not subject and sys.stdin.isatty():
        typer.echo("an address or a name a line, then Ctrl-D:", err=True)
    people = subject or sys.stdin.read().splitlines()
    done = erase(
        people, confirm=lambda said: yes or typer.confirm(f"{said}; erase?"), by=by, retention=retention
    )
    if done is None:
        typer.echo("nothing was erased")
        return
    typer.echo(done)
    if not done.scan.is_clean:
        raise typer.Exit(1)


@app.command("prune")
def prune_command(
    *,
    older_than: Annotated[int, typer.Option(min=0, help="Only what is older than so many days.")] = 30,
    keep: Annotated[int, typer.Option(min=0, help="Releases below the live one that stay whole.")] = 1,
    by: Annotated[str, typer.Option(help="Who asks; default: the system's user.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,
) -> None:
    """Show datasets, models, indexes, bundles and weights that no release needs; with --yes, remove them."""
    from rich.console import Console
    from rich.filesize import decimal

    from pipelines.prune import plan, prune, show

    planned = plan(older_than_days=older_than, keep=keep)
    show(planned, Console(file=sys.stdout))
    if not len(planned):
        typer.echo("nothing to prune")
    elif yes:
        freed = planned.frees
        prune(planned, by=by)
        typer.echo(f"pruned {planned}: {decimal(freed)} free")
    else:
        typer.echo(f"{planned}, {decimal(planned.frees)}; to remove them: add --yes")


@app.command("reveal")
def reveal_command(
    pseudonym: Annotated[str, typer.Argument(help="As it stands in a text, such as PERSON_5e6f7a8b.")],
    archive: Annotated[str, typer.Option(help="The archive that it comes from.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed into the governance ledger.")],
    by: Annotated[str, typer.Option(help="Who asks; default: the system's user.")] = "",
) -> None:
    """Show whose pseudonym it is, for who holds the redaction key."""
    from data.reveal import reveal

    values = reveal(pseudonym, archive, reason=reason, by=by)
    typer.echo("\n".join(values) or "no value of this archive has that pseudonym")


def main() -> None:
    """Run the command line: a person's mistake is one line and status 2, a bug a traceback without locals."""
    leave_out_working_directory()
    try:
        app()
    except (UserError, ContractError, RunStoppedError) as error:
        _end(str(error), 2)
    except StepError as error:
        _end(str(error), error.status)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _end(FREE_SPACE, 2)


def leave_out_working_directory() -> None:
    """Keep steps, kernels and engines from taking a ``data.py`` that lies where we are called for ours."""
    if not Path(__file__).parent.parent.samefile("."):  # there it is ours
        os.environ["PYTHONSAFEPATH"] = "1"


def _topic(name: str, broker: str, client_config: Path | None) -> Topic:
    from data.kafka import read_settings, topic_of

    return topic_of(name, broker, read_settings(locate(client_config)) if client_config else {})


def _end(message: str, status: int) -> None:
    print(f"mailroom: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)

"""The options that several commands share, each with its words for ``--help``."""

from pathlib import Path
from typing import Annotated

import typer

Archive = Annotated[str, typer.Option(help='Folder or file with the messages, or "sample".')]
Labels = Annotated[
    str, typer.Option(help="CSV with the columns source,label; default: labels.csv in the archive.")
]
RecipeName = Annotated[
    str, typer.Option("--recipe", help="A name in training/recipes, or the path of a YAML file.")
]
Retention = Annotated[
    str,
    typer.Option(help="A retention policy (YAML): what expires, what is held; remembered until the next."),
]
Cache = Annotated[bool, typer.Option(help="Take finished steps, and files read before, from the cache.")]
Gate = Annotated[str, typer.Option(help="The gate's rules (YAML); empty: evaluation/gate.yaml.")]
RerankerFolder = Annotated[
    str, typer.Option("--reranker", help="A cross-encoder's folder that puts search results in order.")
]
Candidates = Annotated[int, typer.Option(help="How many of the found chunks the reranker reads.")]
Seed = Annotated[int, typer.Option(help="One seed for every random choice.")]
Engine = Annotated[str, typer.Option(help="vllm, transformers, or auto: vllm where it is installed.")]
SparkMaster = Annotated[str, typer.Option(help="local[*], spark://host:7077 or k8s://...")]
MilvusUri = Annotated[str, typer.Option(help="A Milvus server; empty: a file in the workspace.")]
Endpoint = Annotated[str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="Address of Kubeflow Pipelines.")]
Image = Annotated[str, typer.Option(help="Container image of the steps; pin it by digest.")]
Gpu = Annotated[
    str, typer.Option(help="Accelerator of training and 07_deploy, like nvidia.com/gpu; empty: none.")
]
Gpus = Annotated[int, typer.Option(help="How many accelerators such a step gets.")]
Broker = Annotated[
    str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", help="Addresses of the Kafka brokers.")
]
ClientConfig = Annotated[
    Path | None, typer.Option(help="YAML with librdkafka's settings: security.protocol, sasl.mechanism...")
]
Reason = Annotated[str, typer.Option(help="Why; it is signed into the decision log.")]
Reviewer = Annotated[str, typer.Option(envvar="MAILROOM_REVIEWER", help="Who decides.")]
ReleaseId = Annotated[str, typer.Argument(help="A release's id, or its first letters.")]

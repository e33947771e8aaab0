"""An archive, a dataset, two models, a release, a bundle and an answer: as a run leaves them, in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from made_archive import write_archive

from data.chunks import chunk_batches
from data.dataset import read_chunks
from data.intake import take
from data.normalise import Normal
from data.schema import PARSER, TABLES, Counts, Manifest
from data.sources import discover
from data.workspace import home, secret, tracking
from evaluation import decision
from evaluation.rules import DEFAULT_PATH
from serving.adapter import DIGEST as ADAPTERS
from serving.adapter import ORIGIN
from serving.answered import record_answer
from serving.answers import Answer, Citation
from serving.bundle import Bundle, read_bundle
from serving.champion import CLASSIFIER, EMBEDDER
from serving.digest import file_digest, files_below, folder_digest
from serving.index import Index
from serving.judged import COPIES, RULES
from training.recipe import Recipe, load_recipe, recipe_digest
from training.tracking import (
    Role,
    keep_weights_digest,
    provenance_of,
    training_run,
    weights_digest,
    weights_tag,
)

DIGEST = "d" * 64
LABEL = "insider_information"


@dataclass(frozen=True)
class Served:
    """Where everything lies."""

    archive: Path
    prepared: Path
    release: str
    bundle: Bundle
    answer: str
    message_id: str
    models: dict[str, Path]
    runs: dict[str, str]


def make_served(root: Path) -> Served:
    """Make it all in the current workspace, with real archive files below ``root``."""
    tracking()
    archive = write_archive(root / "archive")
    (archive / "labels.csv").write_text(f"source,label\n5.eml,{LABEL}\n")
    prepared = write_dataset(home() / "prepared", archive)
    with _run("01_prepare", **{"notebook.archive": str(archive), "notebook.prepared": str(prepared)}):
        pass
    index = home() / "index"
    index.mkdir()
    built = Index("", "made", 3, 1, "e" * 64, DIGEST)
    (index / "index.json").write_text(json.dumps({name: getattr(built, name) for name in built.__slots__}))
    recipe = load_recipe("smoke")
    trained = {role: _trained(root, role, recipe, prepared) for role in ("classifier", "embedder")}
    release = _released(root, index, trained, recipe)
    bundle = _bundle(home() / "bundles" / "made", index, release, trained)
    chunk = next(row for row in read_chunks(prepared).to_pylist() if row["label"] == LABEL)
    given = Answer("…", (Citation(chunk["message_id"], 2, 30, chunk["chunk_id"]),), True, "extracted", 0.8)
    answer = record_answer(given, "Who asks for a screen?", bundle=bundle, index=built)
    models, runs = ({role: made[place] for role, made in trained.items()} for place in (1, 2))
    return Served(archive, prepared, release, bundle, answer, chunk["message_id"], models, runs)


def write_dataset(folder: Path, archive: Path) -> Path:
    """Write what preparing would write, but for Spark: 4.eml stands for its copy 5.eml, which has a label."""
    taken = [each for item in discover(archive) for each in take(item, secret("redaction"))]
    found = [each for each in taken if isinstance(each, Normal)]
    (copy,) = [each for each in found if each.source == "5.eml"]
    (kept,) = [each for each in found if each.source == "4.eml"]
    rows = [_row(each, LABEL if each is kept else None) for each in found if each is not copy]
    messages = pa.Table.from_pylist(rows, schema=TABLES["messages"])
    duplicate = {"message_id": copy.message_id, "duplicate_of": kept.message_id, "kind": "exact",
                 "similarity": 1.0, "source": copy.source, "locator": copy.locator}  # fmt: skip
    tables = {
        "messages": messages,
        "chunks": pa.Table.from_batches(chunk_batches(iter(messages.to_batches()))),
        "duplicates": pa.Table.from_pylist([duplicate], schema=TABLES["duplicates"]),
        "rejects": TABLES["rejects"].empty_table(),
        "questions": TABLES["questions"].empty_table(),
    }
    for name, table in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(table, folder / name / "part-0.parquet")
    counts = Counts(read=len(found), kept=len(rows), duplicates=1)
    manifest = Manifest(parser=PARSER, seed=7, counts=counts, by_source={"made": counts}, digest=DIGEST)
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def _row(message: Normal, label: str | None) -> dict[str, Any]:
    names = [name for name in TABLES["messages"].names if hasattr(message, name)]
    return {name: getattr(message, name) for name in names} | {
        "thread_id": message.message_id,
        "recipients": list(message.recipients),
        "zones": [{"kind": zone.kind, "start": zone.start, "end": zone.end} for zone in message.zones],
        "attachments": [],
        "label": label,
        "split": "train",
        "parser": PARSER,
    }


def _run(step: str, **parameters: str) -> Any:
    import mlflow

    run = mlflow.start_run(run_name=step, tags={"mailroom.step": step})
    mlflow.log_params(parameters)
    return run


def _trained(root: Path, role: Role, recipe: Recipe, prepared: Path) -> tuple[str, Path, str]:
    """Register a model that a run claims to have trained; return its version, its folder and the run."""
    import mlflow

    folder = root / f"m-{role}"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(role.encode())
    with training_run(role, provenance_of(recipe, prepared, 7), recipe) as run:
        keep_weights_digest(role, folder)
    name = {"classifier": CLASSIFIER, "embedder": EMBEDDER}[role]
    client = mlflow.MlflowClient()
    with suppress(mlflow.MlflowException):  # another test's
        client.create_registered_model(name)
    client.delete_registered_model_alias(name, "champion")
    made = client.create_model_version(name, source=str(folder), run_id=run.info.run_id)
    return str(made.version), folder, run.info.run_id


def _released(root: Path, index: Path, trained: dict[Role, tuple[str, Path, str]], recipe: Recipe) -> str:
    """Let the gate say promote, and return the release that the bootstrap rule made live."""
    import mlflow

    folder = root / "evaluation"
    folder.mkdir()
    adapter = home() / "adapters" / "made"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"adapter")
    run_id = trained["embedder"][2]
    (adapter / ORIGIN).write_text(json.dumps({"dataset": DIGEST, "run": run_id}))
    mlflow.MlflowClient().set_tag(run_id, weights_tag("generator"), weights_digest(adapter))
    (folder / "eval_report.html").write_text("<p>made</p>")
    (folder / "predictions.parquet").write_bytes(b"PAR1")
    (folder / RULES).write_bytes(DEFAULT_PATH.read_bytes())
    with _run("05_evaluate") as run:
        gate = {
            "outcome": "promote",
            "challenger": {
                "classifier_version": trained["classifier"][0],
                "embedder_version": trained["embedder"][0],
                "authors": ["anna"],
                "accounts": ["anna"],
            },
            "digests": {
                "index": file_digest(index / "index.json"),
                "gate": file_digest(folder / RULES),
                **{COPIES[role]: folder_digest(made[1]) for role, made in trained.items()},
                ADAPTERS: folder_digest(adapter),
                "recipe digest": recipe_digest(recipe),
                **{
                    f"{role} weights": file_digest(made[1] / "model.safetensors")
                    for role, made in trained.items()
                },
            },
            "run_id": run.info.run_id,
            "report": "#/experiments/1",
        }
        (folder / "gate.json").write_text(json.dumps(gate))
        mlflow.log_artifacts(str(folder), "report")
    name = decision.propose(folder, index)
    return decision.bootstrap(name).id


def _bundle(folder: Path, index: Path, release: str, trained: dict[Role, tuple[str, Path, str]]) -> Bundle:
    for role, (_, model, _) in trained.items():
        (folder / role).mkdir(parents=True)
        (folder / role / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    (folder / "index").mkdir()
    (folder / "index" / "index.json").write_bytes((index / "index.json").read_bytes())
    (folder / "thresholds.json").write_text("{}")
    (folder / "reranker").mkdir()
    (folder / "reranker" / "config.json").write_text("{}")
    (folder / "reranking.json").write_text('{"candidates": 50}')
    document = {
        "release_id": release,
        "classifier_version": trained["classifier"][0],
        "embedder_version": trained["embedder"][0],
        "files": {name: file_digest(folder / name) for name in files_below(folder)},
    }
    (folder / "manifest.json").write_text(json.dumps(document))
    return read_bundle(folder)


def lines_of(line: Any) -> Iterator[Any]:
    """Yield a line and all below it."""
    yield line
    for each in line.below:
        yield from lines_of(each)

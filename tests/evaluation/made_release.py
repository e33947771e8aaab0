"""A release as the steps leave it, in small: evidence, registered copies, an index and a bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from data.prompts import PROMPTS
from data.workspace import home
from evaluation.decision import approve, current_release
from evaluation.promote import promote
from evaluation.rules import DEFAULT_PATH
from serving.adapter import DIGEST as ADAPTER
from serving.adapter import NONE
from serving.bundle import Bundle, copy_tree, read_bundle
from serving.champion import CLASSIFIER, EMBEDDER
from serving.digest import file_digest, files_below, folder_digest
from serving.index import Index
from serving.live import go_live, keep

AUTHOR, ACCOUNT = "anna", "training-service"


class Proposed:
    """An evaluation and an index on disk, with the same evidence in MLflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evaluation, self.index = folder / "evaluation", folder / "index"
        self.release, self.models = folder / "release", folder / "models"
        self.versions: dict[str, str] = {}  # other tests register models too: the two numbers differ

    @property
    def version(self) -> str:
        """The classifier's."""
        return self.versions["classifier"]

    def judge(self) -> None:
        """Compare with the champion of this moment, once."""
        import mlflow

        path = self.evaluation / "gate.json"
        if not path.exists() or "champion" in (gate := json.loads(path.read_text())):
            return
        live = current_release()
        path.write_text(json.dumps(gate | {"champion": {"release": live.id} if live else None}))
        with mlflow.start_run(run_id=gate["run_id"]):
            mlflow.log_artifact(str(path), "report")

    def promote(self, *, prepared: str = "", approved_by: str = "") -> str:
        self.judge()
        name = promote(self.evaluation, self.index, self.release, prepared=prepared).id
        if approved_by:
            approve(name, reviewer=approved_by, reason="more data")
        return name

    def deploy(self) -> Bundle:
        """Put what was judged into a bundle and make it live, without engines."""
        bundle = self.folder / "bundle"
        for model in ("classifier", "embedder"):
            copy_tree(self.models / model, bundle / model)
        (bundle / "thresholds.json").write_text("{}")
        (bundle / "prompts.yaml").write_bytes(PROMPTS.read_bytes())
        written = {
            "release_id": self.written["id"],
            "classifier_version": self.versions["classifier"],
            "embedder_version": self.versions["embedder"],
            "files": {name: file_digest(bundle / name) for name in files_below(bundle)},
        }
        (bundle / "manifest.json").write_text(json.dumps(written))
        kept = keep(read_bundle(bundle))
        go_live(kept)
        return kept

    @property
    def written(self) -> dict[str, object]:
        return dict(json.loads((self.release / "release.json").read_text()))


def write_release(
    folder: Path,
    *,
    outcome: str = "promote",
    author: str = AUTHOR,
    account: str = ACCOUNT,
    dataset: str = "d" * 64,
    adapter: str = NONE,
) -> Proposed:
    import mlflow

    client, name = mlflow.MlflowClient(), folder.name
    made = Proposed(folder)
    for model, registered in (("classifier", CLASSIFIER), ("embedder", EMBEDDER)):
        (made.models / model).mkdir(parents=True)
        (made.models / model / "config.json").write_text(json.dumps({"name": name}))
        (made.models / model / "model.safetensors").write_bytes(f"{name}'s weights".encode())
        source = str(made.models / model)
        made.versions[model] = str(client.create_model_version(registered, source=source).version)
    made.evaluation.mkdir(parents=True)
    made.index.mkdir()
    index = Index("", name, dimension=3, rows=1, embedder_digest="e" * 64, dataset_digest=dataset)
    (made.index / "index.json").write_text(json.dumps(asdict(index)))
    (made.evaluation / "eval_report.html").write_text(f"<p>{name}</p>")
    (made.evaluation / "predictions.parquet").write_bytes(b"PAR1")
    (made.evaluation / "gate.yaml").write_bytes(DEFAULT_PATH.read_bytes())
    with mlflow.start_run() as run:
        gate = {
            "outcome": outcome,
            "challenger": {
                "classifier_version": made.versions["classifier"],
                "embedder_version": made.versions["embedder"],
                "authors": [author],
                "accounts": [account],
            },
            "digests": {
                "index": file_digest(made.index / "index.json"),
                "gate": file_digest(made.evaluation / "gate.yaml"),
                "dataset": dataset,
                ADAPTER: adapter,
                "temperature": "1.5",
                "classifier weights": file_digest(made.models / "classifier" / "model.safetensors"),
                "classifier copy": folder_digest(made.models / "classifier"),
                "embedder copy": folder_digest(made.models / "embedder"),
            },
            "run_id": run.info.run_id,
            "report": "#/experiments/1",
        }
        (made.evaluation / "gate.json").write_text(json.dumps(gate))
        mlflow.log_artifacts(str(made.evaluation), "report")
    return made


def champion_alias() -> str:
    import mlflow

    return str(mlflow.MlflowClient().get_model_version_by_alias(CLASSIFIER, "champion").version)


def pointer() -> Path:
    """Return the link to the live bundle."""
    return home() / "live"

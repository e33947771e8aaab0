"""The classifier's training: LoRA and head, a plain loop that keeps the best epoch and can be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.label_sets import THRESHOLDS, multi_hot
from training import checkpoint as checkpoints
from training.architecture import architecture_of
from training.data_parallel import add_up, is_first, seed_step, share
from training.encode import autocast, cut, pad, shuffled_by_length, tokenise
from training.lora import adapted_layers, take_step, warm_up_and_decay
from training.predict import forward, is_several, score
from training.recipe import ClassifierRecipe
from training.results import Effort, Epoch
from training.scores import Scores, measure, with_best_thresholds
from training.state import Training, restore, snapshot
from training.targets import Targets, targets_of
from training.warm_start import fit_head, fit_heads, install_head, pass_through

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts as the classifier reads them, with their labels; several of one text are a set."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The PEFT model at its best epoch, and how it got there."""

    model: Any
    history: tuple[Epoch, ...]
    best: Epoch
    scores: Scores
    effort: Effort


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples as the model reads them: token ids, and what is learned of each."""

    ids: list[list[int]]
    targets: Targets


AfterEpoch = Callable[[Epoch], None]


def go_on(_: Epoch) -> None:
    """Let the training go on."""


def warm_start(
    model: Any, tokenizer: Any, train: Examples, labels: Sequence[str], recipe: ClassifierRecipe
) -> None:
    """Give the model as head the logistic regression on its own frozen encoder's vectors of whole texts."""
    import torch

    known = architecture_of(model)
    reads, output = model.get_submodule(known.reads), model.get_submodule(known.output)
    if known.dense:
        pass_through(reads, recipe.head_scale)
    read: list[torch.Tensor] = []
    hook = reads.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].float()))
    own = share(range(len(train.texts)))
    ids = tokenise(tokenizer, [train.texts[each] for each in own], recipe.max_length)
    vectors = np.zeros((len(train.texts), reads.in_features), dtype=np.float32)
    with autocast(recipe.precision, model.device):
        for batch, _ in forward(model, tokenizer, ids, recipe.max_length, "reading train"):
            states = read.pop()
            if known.vector == "last":
                states = states[range(len(batch)), [len(ids[each]) - 1 for each in batch]]
            vectors[[own[each] for each in batch]] = states.cpu().numpy()
    hook.remove()
    add_up(torch.from_numpy(vectors))
    scale = known.output_scale(recipe.head_scale)
    with torch.inference_mode():
        features = known.features(model, torch.from_numpy(vectors).to(model.device)).cpu().numpy() / scale
    strength, has_bias = recipe.warm_start_strength, output.bias is not None
    if is_several(model):
        head = fit_heads(features, multi_hot(train.labels, labels), strength, intercept=has_bias)
    else:
        targets = [labels.index(label) for label in train.labels]
        head = fit_head(features, targets, len(labels), strength, intercept=has_bias)
    install_head(output, head, scale)


def finetune(
    model: Any,
    tokenizer: Any,
    train: Examples,
    valid: Examples,
    recipe: ClassifierRecipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    after_epoch: AfterEpoch = go_on,
) -> Finetuned:
    """Train LoRA and head on ``train`` and return the state with the best macro-F1 on ``valid``.

    The warm start takes part in the comparison: training never ends below it on valid. With a
    ``checkpoint``, a training that was killed goes on where it was saved last, to the same weights.
    ``after_epoch`` is told of every epoch, the warm start first; what it raises ends the training.
    """
    from tqdm import tqdm

    steps = _planned_steps(len(train.texts), recipe)
    labels = [model.config.id2label[position] for position in range(model.config.num_labels)]
    saved = checkpoints.load_checkpoint(checkpoint) if checkpoint else None
    if not saved:
        warm_start(model, tokenizer, train, labels, recipe)
    adapted = add_lora(model, recipe)
    training = Training(adapted, *_optimiser(adapted, recipe, steps))
    if saved:
        restore(training, saved)
        if _goes_on(training, steps, recipe):
            training.resumed_at = training.steps
    else:
        _evaluate(training, tokenizer, valid, recipe)
        after_epoch(training.history[-1])
    targets = targets_of(train.labels, labels, recipe.class_weight, several=is_several(model))
    encoded = Encoded(tokenise(tokenizer, train.texts, recipe.max_length), targets)
    written = time.monotonic()
    with tqdm(
        total=steps,
        initial=training.steps,
        desc="training the classifier",
        unit="step",
        disable=not (is_first() and _goes_on(training, steps, recipe)),
    ) as progress:
        while _goes_on(training, steps, recipe):
            adapted.train()
            for batch in _rest_of_epoch(training, encoded, recipe, steps, seed=seed):
                seed_step(seed, training.steps)
                _learn(training, tokenizer, encoded, batch, recipe)
                progress.update()
                if checkpoint and is_first() and time.monotonic() - written > checkpoints.EVERY_S:
                    checkpoints.save_checkpoint(checkpoint, snapshot(training))
                    written = time.monotonic()
            _evaluate(training, tokenizer, valid, recipe)
            after_epoch(training.history[-1])
    if checkpoint and is_first():
        checkpoints.save_checkpoint(checkpoint, snapshot(training))
    adapted.load_state_dict(training.best_weights, strict=False)
    adapted.eval()
    scores = Scores(tuple(labels), training.best_probabilities.numpy())
    if is_several(model):
        scores = with_best_thresholds(valid.labels, scores)
        setattr(adapted.config, THRESHOLDS, list(scores.thresholds or ()))
    return Finetuned(adapted, tuple(training.history), training.best, scores, training.effort)


def add_lora(model: Any, recipe: ClassifierRecipe) -> Any:
    """Wrap the model for LoRA; of the head, the layer that gives the logits is trained.

    The rest of the head is saved with the adapter, or the warm start would be lost, but stays frozen: it
    only passes the text's vector on, and a full matrix under Adam moves faster than the encoder.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    known = architecture_of(model)
    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=recipe.lora.rank,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            target_modules=adapted_layers(model, recipe.lora),
            modules_to_save=list(known.head),
        ),
    )
    for name, weight in adapted.named_parameters():
        if weight.requires_grad and "lora_" not in name:
            place = name.removeprefix("base_model.model.").replace("modules_to_save.default.", "")
            weight.requires_grad_(place.rpartition(".")[0] == known.output)
    return adapted


def _planned_steps(examples: int, recipe: ClassifierRecipe) -> int:
    epoch = math.ceil(examples / (recipe.batch_size * recipe.accumulate))
    return min(recipe.max_steps, recipe.epochs * epoch)


def _rest_of_epoch(
    training: Training, encoded: Encoded, recipe: ClassifierRecipe, steps: int, *, seed: int
) -> list[list[int]]:
    """Return the batches that the epoch under way still holds; a step takes one of them."""
    lengths = [len(each) for each in encoded.ids]
    size = recipe.batch_size * recipe.accumulate
    batches = shuffled_by_length(lengths, size, seed=seed + training.history[-1].epoch)
    return batches[len(training.losses) : steps - training.history[-1].step]


def _learn(
    training: Training, tokenizer: Any, encoded: Encoded, batch: list[int], recipe: ClassifierRecipe
) -> None:
    """Take one step on a batch, whose gradient is summed up over processes and parts that fit into memory.

    The loss is the weighted mean over the whole batch, however it is cut.
    """
    import torch

    started = time.monotonic()
    adapted, device = training.adapted, training.adapted.device
    total = encoded.targets.total(batch).to(device)
    figures = torch.zeros(3, dtype=torch.float64)  # loss, tokens, tokens and padding
    for part in cut(share(batch), recipe.batch_size):
        ids = [encoded.ids[each] for each in part]
        inputs = pad(ids, tokenizer.pad_token_id, device, longest=recipe.max_length)
        with autocast(recipe.precision, device):
            loss: Any = encoded.targets.loss(adapted(**inputs).logits.float(), part) / total
        loss.backward()
        figures += torch.tensor(
            [loss.item(), sum(map(len, ids)), inputs["input_ids"].numel()], dtype=torch.float64
        )
    take_step(adapted, training.optimiser, training.schedule)
    add_up(figures)
    mean, tokens, positions = figures.tolist()
    training.losses.append(mean)
    training.tokens += round(tokens)
    training.positions += round(positions)
    training.seconds += time.monotonic() - started


def _evaluate(training: Training, tokenizer: Any, valid: Examples, recipe: ClassifierRecipe) -> None:
    """End an epoch: a row of the history, and the weights are kept when none were better."""
    import torch

    labels = list(training.adapted.config.id2label.values())
    scores = score(training.adapted, tokenizer, valid.texts, recipe.max_length, labels)
    if is_several(training.adapted):
        scores = with_best_thresholds(valid.labels, scores)
    loss = float(np.mean(training.losses)) if training.losses else None
    epoch = Epoch(len(training.history), training.steps, loss, measure(valid.labels, scores))
    training.history.append(epoch)
    training.losses.clear()
    if training.best is epoch:
        training.best_weights = training.trained_weights()
        training.best_probabilities = torch.from_numpy(scores.probabilities)


def _goes_on(training: Training, steps: int, recipe: ClassifierRecipe) -> bool:
    is_stuck = training.history[-1].epoch - training.best.epoch >= recipe.patience
    return training.history[-1].step < steps and not is_stuck


def _optimiser(adapted: Any, recipe: ClassifierRecipe, steps: int) -> tuple[Optimizer, LRScheduler]:
    """Return AdamW and its schedule, with the head's learning rates in the units of its scale.

    Adam moves every weight by about the learning rate, whatever the gradient: a classifier that
    was divided by the scale must move by that much more.
    """
    import torch

    scale = architecture_of(adapted).output_scale(recipe.head_scale)
    rates = {"lora": recipe.lora_learning_rate, "weight": recipe.head_learning_rate / scale}
    groups: dict[float, list[Any]] = {}
    for name, weight in adapted.named_parameters():
        if weight.requires_grad:
            kind = "lora" if "lora_" in name else name.rpartition(".")[2]
            groups.setdefault(rates.get(kind, recipe.head_learning_rate), []).append(weight)
    parameters = [{"params": weights, "lr": rate} for rate, weights in groups.items()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.0)
    return optimiser, warm_up_and_decay(optimiser, steps, recipe.warm_up)

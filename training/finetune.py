"""The classifier's training: LoRA and head, a plain loop that keeps the best epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.encode import autocast, by_length, pad, shuffled_by_length, tokenise
from training.lora import encoder_layers, take_step, warm_up_and_decay
from training.recipe import ClassifierRecipe
from training.results import Epoch
from training.scores import Scores, measure
from training.warm_start import class_weights, fit_head, install_head

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

PROBE = 64  # texts per batch where nothing is learned


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts as the classifier reads them, with their labels."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The PEFT model at its best epoch, and how it got there."""

    model: Any
    history: tuple[Epoch, ...]
    best: Epoch
    scores: Scores


def warm_start(
    model: Any, tokenizer: Any, train: Examples, labels: Sequence[str], recipe: ClassifierRecipe
) -> None:
    """Give the model the logistic regression on its own frozen first-token vectors as head."""
    ids = tokenise(tokenizer, train.texts, recipe.max_length)
    vectors = np.zeros((len(ids), model.config.hidden_size), dtype=np.float32)
    with autocast(recipe.precision, model.device):
        for batch, output in _forward(model.bert, tokenizer, ids, model.device, "reading train"):
            vectors[batch] = output.last_hidden_state[:, 0].float().cpu().numpy()
    targets = [labels.index(label) for label in train.labels]
    head = fit_head(vectors, targets, len(labels), recipe.warm_start_strength)
    install_head(model, head, recipe.head_scale)


def score(model: Any, tokenizer: Any, texts: Sequence[str], max_length: int, labels: Sequence[str]) -> Scores:
    """Return the float32 probabilities of the labels for every text."""
    ids = tokenise(tokenizer, texts, max_length)
    probabilities = np.zeros((len(ids), len(labels)), dtype=np.float32)
    for batch, output in _forward(model, tokenizer, ids, model.device, "classifying"):
        probabilities[batch] = output.logits.float().softmax(dim=-1).cpu().numpy()
    return Scores(tuple(labels), probabilities)


def finetune(
    model: Any, tokenizer: Any, train: Examples, valid: Examples, recipe: ClassifierRecipe, *, seed: int
) -> Finetuned:
    """Train LoRA and head on ``train`` and return the state with the best macro-F1 on ``valid``.

    The warm start takes part in the comparison: training never ends below it on valid.
    """
    labels = [model.config.id2label[position] for position in range(model.config.num_labels)]
    adapted = add_lora(model, recipe)
    scores = score(adapted, tokenizer, valid.texts, recipe.max_length, labels)
    history = [Epoch(0, 0, None, measure(valid.labels, scores))]
    best, best_scores, best_state = history[0], scores, _trainable_state(adapted)
    for steps, loss in _epochs(adapted, tokenizer, train, labels, recipe, seed=seed):
        scores = score(adapted, tokenizer, valid.texts, recipe.max_length, labels)
        reached = Epoch(len(history), steps, loss, measure(valid.labels, scores))
        history.append(reached)
        if _rank(reached) > _rank(best):
            best, best_scores, best_state = reached, scores, _trainable_state(adapted)
        elif reached.epoch - best.epoch >= recipe.patience:
            break
    adapted.load_state_dict(best_state, strict=False)
    adapted.eval()
    return Finetuned(adapted, tuple(history), best, best_scores)


def _epochs(
    adapted: Any,
    tokenizer: Any,
    train: Examples,
    labels: Sequence[str],
    recipe: ClassifierRecipe,
    *,
    seed: int,
) -> Iterator[tuple[int, float]]:
    """Train epoch by epoch; yield the steps done and the mean loss after each."""
    import torch
    from tqdm import tqdm

    device = adapted.device
    ids = tokenise(tokenizer, train.texts, recipe.max_length)
    lengths = [len(each) for each in ids]
    targets = [labels.index(label) for label in train.labels]
    weights = torch.from_numpy(class_weights(targets, len(labels), recipe.class_weight))
    loss_of = torch.nn.CrossEntropyLoss(weight=weights.to(device))
    steps = min(recipe.max_steps, recipe.epochs * math.ceil(len(ids) / recipe.batch_size))
    optimiser, schedule = _optimiser(adapted, recipe, steps)
    done = 0
    with tqdm(total=steps, desc="training the classifier", unit="step") as progress:
        for epoch in range(recipe.epochs):
            losses = []
            adapted.train()
            batches = shuffled_by_length(lengths, recipe.batch_size, seed=seed + epoch)
            for batch in batches[: steps - done]:
                inputs = pad([ids[each] for each in batch], tokenizer.pad_token_id, device)
                wanted = torch.tensor([targets[each] for each in batch], device=device)
                with autocast(recipe.precision, device):
                    loss = loss_of(adapted(**inputs).logits.float(), wanted)
                take_step(loss, adapted, optimiser, schedule)
                losses.append(loss.item())
                progress.update()
            if not losses:
                return
            done += len(losses)
            yield done, float(np.mean(losses))


def add_lora(model: Any, recipe: ClassifierRecipe) -> Any:
    """Wrap the model for LoRA; the classifier is trained whole.

    The pooler is saved with the adapter, or the warm start would be lost, but stays frozen: it
    only passes the first token on, and a full matrix under Adam moves faster than the encoder.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=recipe.lora.rank,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            target_modules=encoder_layers(recipe.lora),
            modules_to_save=["pooler", "classifier"],
        ),
    )
    for name, weight in adapted.named_parameters():
        if ".pooler." in name:
            weight.requires_grad_(False)
    return adapted


def _optimiser(adapted: Any, recipe: ClassifierRecipe, steps: int) -> tuple[Optimizer, LRScheduler]:
    """Return AdamW and its schedule, with the head's learning rates in the units of its scale.

    Adam moves every weight by about the learning rate, whatever the gradient: a classifier that
    was divided by the scale must move by that much more.
    """
    import torch

    groups: dict[float, list[Any]] = {}
    for name, weight in adapted.named_parameters():
        if weight.requires_grad:
            groups.setdefault(_learning_rate(name, recipe), []).append(weight)
    parameters = [{"params": weights, "lr": rate} for rate, weights in groups.items()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.0)
    return optimiser, warm_up_and_decay(optimiser, steps, recipe.warm_up)


def _learning_rate(name: str, recipe: ClassifierRecipe) -> float:
    if "lora_" in name:
        return recipe.lora_learning_rate
    return recipe.head_learning_rate / (recipe.head_scale if name.endswith("weight") else 1.0)


def _rank(epoch: Epoch) -> tuple[float, float]:
    return round(epoch.valid.macro_f1, 6), -epoch.valid.log_loss


def _trainable_state(model: Any) -> dict[str, torch.Tensor]:
    trained = ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
    return {name: weight.detach().clone() for name, weight in trained}


def _forward(
    model: Any, tokenizer: Any, ids: Sequence[Sequence[int]], device: torch.device, what: str
) -> Iterator[tuple[list[int], Any]]:
    """Yield positions and model output of batches of similar length; a bar appears when it takes long."""
    import torch
    from tqdm import tqdm

    model.eval()
    with tqdm(total=len(ids), desc=what, unit="text", delay=10, leave=False) as progress:
        for batch in by_length([len(each) for each in ids], PROBE):
            with torch.inference_mode():
                yield batch, model(**pad([ids[each] for each in batch], tokenizer.pad_token_id, device))
            progress.update(len(batch))

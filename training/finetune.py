"""The classifier's training: LoRA and head, a plain loop that keeps the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.encode import (
    autocast,
    by_length,
    encoder_layers,
    pad,
    shuffled_by_length,
    tokenise,
    warm_up_and_decay,
)
from training.recipe import ClassifierRecipe
from training.scores import Metrics, Scores, measure
from training.warm_start import class_weights, fit_head, install_head

if TYPE_CHECKING:
    import torch

PROBE = 64  # texts per batch where nothing is learned


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts as the classifier reads them, with their labels."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the learning curve; epoch 0 is the warm start, before any step."""

    epoch: int
    step: int
    train_loss: float | None
    valid: Metrics


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
    for batch, output in _forward(model.bert, tokenizer, ids, model.device, "reading train"):
        vectors[batch] = output.last_hidden_state[:, 0].float().cpu().numpy()
    targets = [labels.index(label) for label in train.labels]
    install_head(model, fit_head(vectors, targets, len(labels), recipe.warm_start_strength), recipe.head_scale)


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
    import torch
    from tqdm import tqdm

    labels = [model.config.id2label[position] for position in range(model.config.num_labels)]
    adapted = add_lora(model, recipe)
    ids = tokenise(tokenizer, train.texts, recipe.max_length)
    targets = torch.tensor([labels.index(label) for label in train.labels], device=model.device)
    weights = class_weights(targets.tolist(), len(labels), recipe.class_weight)
    loss_of = torch.nn.CrossEntropyLoss(weight=torch.from_numpy(weights).to(model.device))
    steps = min(recipe.max_steps, recipe.epochs * -(-len(ids) // recipe.batch_size))
    optimiser = _optimiser(adapted, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warm_up_and_decay(step, steps, recipe.warm_up)
    )

    scores = score(adapted, tokenizer, valid.texts, recipe.max_length, labels)
    history = [Epoch(0, 0, None, measure(valid.labels, scores))]
    best, best_scores, best_state = history[0], scores, _trainable_state(adapted)
    with tqdm(total=steps, desc="training the classifier", unit="step") as progress:
        for epoch in range(1, recipe.epochs + 1):
            losses = []
            adapted.train()
            for batch in shuffled_by_length([len(each) for each in ids], recipe.batch_size, seed=seed + epoch):
                if progress.n == steps:
                    break
                with autocast(recipe.precision, model.device):
                    inputs = pad([ids[position] for position in batch], tokenizer.pad_token_id, model.device)
                    loss = loss_of(adapted(**inputs).logits.float(), targets[batch])
                _step(loss, adapted, optimiser)
                schedule.step()
                losses.append(loss.item())
                progress.update()
            if not losses:
                break
            scores = score(adapted, tokenizer, valid.texts, recipe.max_length, labels)
            reached = Epoch(epoch, progress.n, float(np.mean(losses)), measure(valid.labels, scores))
            history.append(reached)
            progress.set_postfix(valid_macro_f1=f"{reached.valid.macro_f1:.3f}")
            if _rank(reached) > _rank(best):
                best, best_scores, best_state = reached, scores, _trainable_state(adapted)
            elif reached.epoch - best.epoch >= recipe.patience:
                break
    adapted.load_state_dict(best_state, strict=False)
    adapted.eval()
    return Finetuned(adapted, tuple(history), best, best_scores)


def add_lora(model: Any, recipe: ClassifierRecipe) -> Any:
    """Wrap the model for LoRA; pooler and classifier are trained whole and saved with the adapter."""
    from peft import LoraConfig, TaskType, get_peft_model

    return get_peft_model(
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


def _optimiser(adapted: Any, recipe: ClassifierRecipe) -> torch.optim.Optimizer:
    """Return AdamW with the head's learning rates in the units that its scale gives it.

    Adam moves every weight by about the learning rate, whatever the gradient: a classifier that
    was divided by the scale must move by that much more, and the pooler by that much less.
    """
    import torch

    groups: dict[float, list[Any]] = {}
    for name, weight in adapted.named_parameters():
        if weight.requires_grad:
            groups.setdefault(_learning_rate(name, recipe), []).append(weight)
    return torch.optim.AdamW(
        [{"params": weights, "lr": rate} for rate, weights in groups.items()], weight_decay=0.0
    )


def _learning_rate(name: str, recipe: ClassifierRecipe) -> float:
    if "lora_" in name:
        return recipe.lora_learning_rate
    if ".pooler." in name:
        return recipe.head_learning_rate * recipe.head_scale
    return recipe.head_learning_rate / (recipe.head_scale if name.endswith("weight") else 1.0)


def _step(loss: torch.Tensor, model: Any, optimiser: torch.optim.Optimizer) -> None:
    import torch

    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([each for each in model.parameters() if each.requires_grad], 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _rank(epoch: Epoch) -> tuple[float, float]:
    return round(epoch.valid.macro_f1, 6), -epoch.valid.log_loss


def _trainable_state(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def _forward(model: Any, tokenizer: Any, ids: Sequence[Sequence[int]], device: torch.device, what: str) -> Any:
    """Yield positions and model output, batch by batch of similar length; a bar appears after two seconds."""
    import torch
    from tqdm import tqdm

    model.eval()
    with tqdm(total=len(ids), desc=what, unit="text", delay=2, leave=False) as progress:
        for batch in by_length([len(each) for each in ids], PROBE):
            with torch.inference_mode():
                yield batch, model(**pad([ids[each] for each in batch], tokenizer.pad_token_id, device))
            progress.update(len(batch))


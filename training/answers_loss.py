"""The generator's training: LoRA, the loss on the answer's tokens alone, a plain loop that can be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.prompts import Prompts, conversation
from training import checkpoint as checkpoints
from training.data_parallel import add_up, is_first, seed_step, share
from training.encode import autocast, by_length, pad, shuffled_by_length
from training.grounded import Grounded
from training.lora import layer_names, take_step, warm_up_and_decay
from training.recipe import GeneratorRecipe
from training.state import moving_parts, set_moving_parts

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True, slots=True)
class Encoded:
    """Prompt and answer as token ids; the answer begins at ``begins`` and ends with the end of the turn."""

    ids: list[int]
    begins: int


@dataclass(frozen=True, slots=True)
class TunedGenerator:
    """The PEFT model at its best epoch; the first valid loss is the base model's."""

    model: Any
    valid_losses: tuple[float, ...]  # one an epoch, the base's before any step first
    losses: tuple[float, ...]  # one a step

    @property
    def is_better(self) -> bool:
        """Say whether any epoch has a lower loss on valid than the base model."""
        return min(self.valid_losses) < self.valid_losses[0]


@dataclass(slots=True)
class _Standing:
    adapted: Any
    optimiser: Optimizer
    schedule: LRScheduler
    valid_losses: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


def encode(tokenizer: Any, pairs: Sequence[Grounded], prompts: Prompts, max_length: int) -> list[Encoded]:
    """Return the pairs as the serving engine sees them; what is longer than ``max_length`` is left out."""
    encoded = []
    for pair in pairs:
        turns = conversation(pair.question, pair.excerpts, prompts)
        asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        before, after = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, pair.answer)
        )
        if len(before) + len(after) < max_length:
            encoded.append(Encoded([*before, *after, tokenizer.eos_token_id], len(before)))
    return encoded


def tune(
    model: Any,
    tokenizer: Any,
    train: Sequence[Encoded],
    valid: Sequence[Encoded],
    recipe: GeneratorRecipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> TunedGenerator:
    """Train LoRA and return the state with the lowest loss on ``valid``, after each epoch and before any.

    With a ``checkpoint``, a training that was killed goes on where it was saved last, to the same weights.
    """
    import torch
    from tqdm import tqdm

    torch.manual_seed(seed)
    an_epoch = math.ceil(len(train) / recipe.batch_size)
    steps = min(recipe.max_steps, recipe.epochs * an_epoch)
    now = _set_up(model, recipe, steps)
    if checkpoint and (saved := checkpoints.load_checkpoint(checkpoint)):
        set_moving_parts(now.adapted, now.optimiser, now.schedule, saved)
        now.valid_losses, now.losses = list(saved["valid_losses"]), list(saved["losses"])
        now.best_weights = saved["best_weights"]
    lengths = [len(each.ids) for each in train]
    written = time.monotonic()
    with tqdm(
        total=steps,
        initial=len(now.losses),
        desc="training the generator",
        unit="step",
        disable=not is_first() or len(now.losses) == steps,
    ) as progress:
        while True:
            done = len(now.losses)
            ends = done % an_epoch == 0 or done == steps
            if ends and len(now.valid_losses) <= math.ceil(done / an_epoch):  # also of one killed just here
                _evaluate(now, tokenizer, valid, recipe)
            if done == steps:
                break
            epoch, within = divmod(done, an_epoch)
            batches = shuffled_by_length(lengths, recipe.batch_size, seed=seed + epoch)
            now.adapted.train()
            for batch in batches[within : within + steps - done]:
                seed_step(seed, len(now.losses))
                now.losses.append(_learn(now, tokenizer, [train[each] for each in batch], recipe))
                progress.update()
                if checkpoint and is_first() and time.monotonic() - written > checkpoints.EVERY_S:
                    checkpoints.save_checkpoint(checkpoint, _snapshot(now))
                    written = time.monotonic()
    if checkpoint and is_first():
        checkpoints.save_checkpoint(checkpoint, _snapshot(now))
    now.adapted.load_state_dict(now.best_weights, strict=False)
    now.adapted.eval()
    return TunedGenerator(now.adapted, tuple(now.valid_losses), tuple(now.losses))


def answer_loss(
    model: Any, tokenizer: Any, batch: Sequence[Encoded], longest: int
) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy of the answers' tokens, and their number; prompts teach nothing."""
    import torch

    inputs = pad([each.ids for each in batch], tokenizer.pad_token_id, model.device, longest=longest)
    is_answer = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    for row, each in enumerate(batch):
        is_answer[row, each.begins : len(each.ids)] = True
    logits = model(**inputs).logits[:, :-1][is_answer[:, 1:]]  # a token is foretold by the place before it
    wanted = inputs["input_ids"][:, 1:][is_answer[:, 1:]]
    loss: torch.Tensor = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
    return loss, len(wanted)


def mean_loss(model: Any, tokenizer: Any, pairs: Sequence[Encoded], recipe: GeneratorRecipe) -> float:
    """Return the mean loss of all answers' tokens, computed as in training but without dropout."""
    import torch

    model.eval()
    summed = torch.zeros(2, dtype=torch.float64)  # loss and tokens
    own = share(pairs)
    for batch in by_length([len(each.ids) for each in own], recipe.batch_size):
        with torch.inference_mode(), autocast(recipe.precision, model.device):
            loss, count = answer_loss(model, tokenizer, [own[each] for each in batch], recipe.max_length)
        summed += torch.tensor([loss.item(), count], dtype=torch.float64)
    add_up(summed)
    total, tokens = summed.tolist()
    return float(total / tokens)


def _set_up(model: Any, recipe: GeneratorRecipe, steps: int) -> _Standing:
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=layer_names(model, recipe.lora),
    )
    adapted = get_peft_model(model, config)
    trainable = [weight for weight in adapted.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=0.0)
    return _Standing(adapted, optimiser, warm_up_and_decay(optimiser, steps, recipe.warm_up))


def _learn(now: _Standing, tokenizer: Any, batch: Sequence[Encoded], recipe: GeneratorRecipe) -> float:
    """Take one step on a batch, shared out to the processes; return the mean loss of its answers' tokens."""
    import torch

    tokens = sum(len(each.ids) - each.begins for each in batch)
    summed = torch.zeros(1, dtype=torch.float64)
    if own := share(batch):
        with autocast(recipe.precision, now.adapted.device):
            loss, _ = answer_loss(now.adapted, tokenizer, own, recipe.max_length)
        mean: Any = loss / tokens
        mean.backward()
        summed += mean.item()
    take_step(now.adapted, now.optimiser, now.schedule)
    add_up(summed)
    return float(summed.item())


def _evaluate(now: _Standing, tokenizer: Any, valid: Sequence[Encoded], recipe: GeneratorRecipe) -> None:
    now.valid_losses.append(mean_loss(now.adapted, tokenizer, valid, recipe))
    if now.valid_losses[-1] == min(now.valid_losses):
        named = now.adapted.named_parameters()
        now.best_weights = {name: weight.detach().clone() for name, weight in named if weight.requires_grad}


def _snapshot(now: _Standing) -> dict[str, Any]:
    return moving_parts(now.adapted, now.optimiser, now.schedule) | {
        "valid_losses": now.valid_losses,
        "losses": now.losses,
        "best_weights": now.best_weights,
    }

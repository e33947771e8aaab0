"""From texts to batches of token ids of similar length, and the device they are computed on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from training.recipe import LoraRecipe

BATCHES_PER_POOL = 32


def choose_device() -> torch.device:
    """Return the GPU when there is one; otherwise the CPU, held to a single thread.

    On cores that other processes share, two torch threads wait for each other: 29 texts a
    second were measured with two against 122 with one.
    """
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(1)
    return torch.device("cpu")


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a training step computes."""
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the token ids of each text, cut at ``max_length`` with the closing token kept."""
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    return ids


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return batches of positions, longest first, so that little is padding and memory peaks at once."""
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def shuffled_by_length(lengths: Sequence[int], batch_size: int, *, seed: int) -> list[list[int]]:
    """Return one epoch's batches: random, yet of similar lengths within a batch.

    Positions are shuffled, sorted by length within pools of some batches, cut, and the batches
    shuffled again: about a third of the computation of padding to random neighbours.
    """
    chance = random.Random(seed)  # noqa: S311 (an order, not a secret)
    order = list(range(len(lengths)))
    chance.shuffle(order)
    pool = batch_size * BATCHES_PER_POOL
    batches = [
        batch
        for start in range(0, len(order), pool)
        for batch in _cut(sorted(order[start : start + pool], key=lambda position: lengths[position]), batch_size)
    ]
    chance.shuffle(batches)
    return batches


def pad(ids: Sequence[Sequence[int]], padding: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Return the batch as ``input_ids`` and ``attention_mask`` of shape (texts, longest)."""
    import torch

    longest = max(len(each) for each in ids)
    tokens = torch.full((len(ids), longest), padding, dtype=torch.long)
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for row, each in enumerate(ids):
        tokens[row, : len(each)] = torch.tensor(each, dtype=torch.long)
        mask[row, : len(each)] = 1
    return {"input_ids": tokens.to(device), "attention_mask": mask.to(device)}


def encoder_layers(lora: LoraRecipe) -> str:
    """Return the pattern of the layers that LoRA adapts: within the encoder, never the pooler's ``dense``."""
    return rf"(.*\.)?encoder\..*\.({'|'.join(lora.targets)})"


def warm_up_and_decay(step: int, steps: int, warm_up: float) -> float:
    """Return the learning rate's factor: rising linearly over the share ``warm_up``, then falling to zero."""
    rising = max(1, round(steps * warm_up))
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))


def _cut(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]

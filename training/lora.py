"""The low-rank update that both trainings share: where it goes, how a step is taken, how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from training.recipe import LoraRecipe

LARGEST_GRADIENT = 1.0


def encoder_layers(lora: LoraRecipe) -> str:
    """Return the pattern of the adapted layers: within the encoder, never the pooler's ``dense``."""
    return rf"(.*\.)?encoder\..*\.({'|'.join(lora.targets)})"


def take_step(loss: torch.Tensor, model: Any, optimiser: Optimizer, schedule: LRScheduler) -> None:
    """Move the trainable weights against the clipped gradient."""
    import torch

    loss.backward()  # type: ignore[no-untyped-call]
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    torch.nn.utils.clip_grad_norm_(trainable, LARGEST_GRADIENT)
    optimiser.step()
    schedule.step()
    optimiser.zero_grad(set_to_none=True)


def warm_up_and_decay(optimiser: Optimizer, steps: int, warm_up: float) -> LRScheduler:
    """Return the schedule: rising linearly over the share ``warm_up`` of the steps, then falling to zero."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps, warm_up))


def learning_rate_factor(step: int, steps: int, warm_up: float) -> float:
    rising = max(1, round(steps * warm_up))
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))

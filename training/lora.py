"""The low-rank update that both trainings share: where it goes, how a step is taken, how fast."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from data.workspace import UserError
from training.data_parallel import add_up_gradients

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from training.recipe import LoraRecipe

LARGEST_GRADIENT = 1.0
BLOCKS = r"(.*\.)?(encoder\.layer|layers)\.\d+\."  # BERT and RoBERTa; ModernBERT
ALL = ("all-linear",)


def adapted_layers(model: Any, lora: LoraRecipe) -> str:
    """Return the pattern of the adapted layers: within the model's blocks, never the head's ``dense``.

    Raises:
        UserError: the model's blocks have no linear layer of that name.
    """
    return rf"{BLOCKS}(.*\.)?({'|'.join(layer_names(model, lora))})"


def layer_names(model: Any, lora: LoraRecipe) -> list[str]:
    """Return the adapted layers by name alone, which is how engines read them of an adapter.

    Raises:
        UserError: the model's blocks have no linear layer of that name.
    """
    from torch.nn import Linear

    linear = (name for name, module in model.named_modules() if isinstance(module, Linear))
    known = sorted({name.rpartition(".")[2] for name in linear if re.match(BLOCKS, name)})
    wanted = known if lora.targets == ALL else lora.targets
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise UserError(
            f"the recipe's lora.targets name {', '.join(unknown)}, and the base model's layers are "
            f"{', '.join(known)}; name some of these, or write: targets: [all-linear]"
        )
    return list(wanted)


def take_step(model: Any, optimiser: Optimizer, schedule: LRScheduler) -> None:
    """Move the trainable weights against their gradient, that of all processes and clipped, and forget it."""
    import torch

    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    add_up_gradients(trainable)
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

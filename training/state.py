"""Where a training stands: all that a checkpoint must hold for the rest to be as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from training.results import Effort, Epoch, effort_of
from training.scores import Metrics

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(slots=True)
class Training:
    """All that changes in the course of a training."""

    adapted: Any
    optimiser: Optimizer
    schedule: LRScheduler
    history: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of the epoch under way, one a step
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    best_probabilities: Any = None
    tokens: int = 0
    positions: int = 0  # tokens and padding
    seconds: float = 0.0
    resumed_at: int = 0

    @property
    def best(self) -> Epoch:
        """Return the best epoch on valid, the first of equals."""
        return max(self.history, key=lambda epoch: (round(epoch.valid.macro_f1, 6), -epoch.valid.log_loss))

    @property
    def steps(self) -> int:
        """Return the steps taken."""
        return (self.history[-1].step if self.history else 0) + len(self.losses)

    @property
    def effort(self) -> Effort:
        return effort_of(self.tokens, self.positions, self.seconds, self.resumed_at)

    def trained_weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the weights that training moves."""
        named = self.adapted.named_parameters()
        return {name: weight.detach().clone() for name, weight in named if weight.requires_grad}


def moving_parts(adapted: Any, optimiser: Optimizer, schedule: LRScheduler) -> dict[str, Any]:
    """Return weights, optimiser, schedule and random states, as tensors and plain values."""
    import torch

    saved = ("lora_", "modules_to_save.")
    named = adapted.named_parameters()
    return {
        "weights": {name: weight for name, weight in named if any(part in name for part in saved)},
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "random": torch.get_rng_state(),
        "random_on_gpus": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_moving_parts(
    adapted: Any, optimiser: Optimizer, schedule: LRScheduler, saved: Mapping[str, Any]
) -> None:
    """Bring what has just been set up to where the saved parts were."""
    import torch

    adapted.load_state_dict(saved["weights"], strict=False)
    optimiser.load_state_dict(saved["optimiser"])
    schedule.load_state_dict(saved["schedule"])
    torch.set_rng_state(saved["random"])
    if saved["random_on_gpus"]:
        torch.cuda.set_rng_state_all(saved["random_on_gpus"])


def snapshot(training: Training) -> dict[str, Any]:
    """Return everything as tensors and plain values, the random states among them."""
    return moving_parts(training.adapted, training.optimiser, training.schedule) | {
        "history": [asdict(epoch) for epoch in training.history],
        "losses": training.losses,
        "best_weights": training.best_weights,
        "best_probabilities": training.best_probabilities,
        "tokens": training.tokens,
        "positions": training.positions,
        "seconds": training.seconds,
        "resumed_at": training.resumed_at,
    }


def restore(training: Training, saved: Mapping[str, Any]) -> None:
    """Bring a training that has just been set up to where the saved one was."""
    set_moving_parts(training.adapted, training.optimiser, training.schedule, saved)
    training.history = [Epoch(**epoch | {"valid": Metrics(**epoch["valid"])}) for epoch in saved["history"]]
    training.losses = list(saved["losses"])
    training.best_weights = saved["best_weights"]
    training.best_probabilities = saved["best_probabilities"]
    training.tokens, training.positions = saved["tokens"], saved["positions"]
    training.seconds, training.resumed_at = saved["seconds"], saved["resumed_at"]

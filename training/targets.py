"""What is learned of every text, and the loss that measures it: one class, or each class by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.label_sets import Truths, multi_hot

if TYPE_CHECKING:
    import torch

POWER = {"none": 0.0, "softened": 0.5, "balanced": 1.0}


@dataclass(frozen=True, slots=True)
class OneClass:
    """The class of every text; cross-entropy, whose sum over a batch is divided by the classes' weights."""

    classes: torch.Tensor
    weights: torch.Tensor

    def total(self, batch: Sequence[int]) -> torch.Tensor:
        """Return what the summed loss of a batch is divided by."""
        return self.weights[self.classes[list(batch)]].sum()

    def loss(self, logits: torch.Tensor, batch: Sequence[int]) -> torch.Tensor:
        """Return the summed loss of the texts at these positions."""
        import torch

        loss_of = torch.nn.CrossEntropyLoss(weight=self.weights.to(logits.device), reduction="sum")
        summed: torch.Tensor = loss_of(logits, self.classes[list(batch)].to(logits.device))
        return summed


@dataclass(frozen=True, slots=True)
class EachClass:
    """Whether each class applies to every text; binary cross-entropy, the mean over texts and classes."""

    applies: torch.Tensor  # float32, texts × classes
    weights: torch.Tensor  # of a class's positive texts

    def total(self, batch: Sequence[int]) -> torch.Tensor:
        """Return what the summed loss of a batch is divided by."""
        import torch

        return torch.tensor(float(len(batch) * self.applies.shape[1]))

    def loss(self, logits: torch.Tensor, batch: Sequence[int]) -> torch.Tensor:
        """Return the summed loss of the texts at these positions."""
        import torch

        loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=self.weights.to(logits.device), reduction="sum")
        summed: torch.Tensor = loss_of(logits, self.applies[list(batch)].to(logits.device))
        return summed


Targets = OneClass | EachClass


def targets_of(labels: Sequence[str], classes: Sequence[str], mode: str, *, several: bool) -> Targets:
    """Return what is learned of texts with these labels; ``several`` lets more than one class apply."""
    import torch

    if several:
        applies = multi_hot(labels, classes)
        weights = torch.from_numpy(positive_weights(applies, mode))
        return EachClass(torch.from_numpy(applies.astype(np.float32)), weights)
    targets = [classes.index(label) for label in labels]
    return OneClass(torch.tensor(targets), torch.from_numpy(class_weights(targets, len(classes), mode)))


def class_weights(targets: Sequence[int], count: int, mode: str) -> NDArray[np.float32]:
    """Return the weight of each class in the loss; over the examples they average to one.

    ``softened`` is the square root of ``balanced``: it lifts rare classes without drowning their
    few examples' noise in the gradient.
    """
    sizes = np.bincount(np.asarray(targets), minlength=count).clip(1)
    weights = (len(targets) / (count * sizes)) ** POWER[mode]
    return (weights * len(targets) / (weights * sizes).sum()).astype(np.float32)


def positive_weights(applies: Truths, mode: str) -> NDArray[np.float32]:
    """Return how much more a text to which a class applies counts than one to which it does not.

    ``balanced`` is others over positives, and both sides count alike; ``softened`` is its square root.
    """
    positives = applies.sum(axis=0).clip(1)
    others = (len(applies) - positives).clip(1)
    weights: NDArray[np.float32] = ((others / positives) ** POWER[mode]).astype(np.float32)
    return weights

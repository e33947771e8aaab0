"""The classifier's first head: logistic regression on the frozen encoder, in the standard architecture.

A fresh head on the first token learns too slowly on a CPU (banking77: .734 after ten minutes). The
solver takes seconds and gives the point from which LoRA goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOUDER_THAN_RESIDUAL = 30.0


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Logits are ``vectors @ weight.T + bias``: weight (labels, width), bias (labels,)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def fit_head(
    vectors: NDArray[np.float32],
    targets: Sequence[int],
    count: int,
    strength: float,
    *,
    intercept: bool = True,
) -> LinearHead:
    """Fit logistic regression with balanced class weights.

    ``targets`` hold every position below ``count`` at least once. Vectors are standardised for the
    solver, and the scaling is folded into the weights. Without ``intercept`` (a decoder's head has no
    bias) they are not centred, and the bias is zero.
    """
    from sklearn.linear_model import LogisticRegression

    mean = vectors.mean(axis=0) if intercept else np.zeros(vectors.shape[1], np.float32)
    spread = vectors.std(axis=0) + 1e-6
    model = LogisticRegression(
        C=strength, class_weight="balanced", max_iter=300, tol=1e-3, fit_intercept=intercept
    )
    model.fit((vectors - mean) / spread, np.asarray(targets))
    weight, bias = model.coef_, np.broadcast_to(model.intercept_, len(model.coef_))
    if count == 2:  # scikit-learn keeps one row for two classes; the softmax of ± half of it is its sigmoid
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    return LinearHead(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32))


def add_averaging_layer(encoder: Any) -> None:
    """Add to a BERT or RoBERTa encoder a layer that makes of every token the mean of all, normalised.

    Queries and keys of zero attend to all tokens alike; values and output pass them on, so much
    louder than the residual that only the mean remains; the feed-forward part adds nothing. The
    first token, which the standard head reads, then says what mean pooling would say, in an
    architecture that every engine serves.
    """
    import copy

    import torch

    layer = copy.deepcopy(encoder.encoder.layer[-1])
    identity = torch.eye(encoder.config.hidden_size)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.zero_()
        layer.attention.self.value.weight.copy_(identity)
        layer.attention.output.dense.weight.copy_(identity * LOUDER_THAN_RESIDUAL)
        layer.attention.output.LayerNorm.weight.fill_(1)
        layer.output.LayerNorm.weight.fill_(1)
    encoder.encoder.layer.append(layer)
    encoder.config.num_hidden_layers += 1


def pass_through(dense: Any, scale: float) -> None:
    """Set the head's square layer to ``scale`` times the identity.

    The activation behind it is linear there: tanh of BERT and RoBERTa, and also ModernBERT's GELU, which
    halves what is small.
    """
    import torch

    with torch.no_grad():
        dense.weight.copy_(torch.eye(dense.weight.shape[0]) * scale)
        if dense.bias is not None:
            dense.bias.zero_()


def install_head(output: Any, head: LinearHead, scale: float) -> None:
    """Write the head, fitted on ``1 / scale`` times what the layer reads, into what gives the logits."""
    import torch

    with torch.no_grad():
        output.weight.copy_(torch.from_numpy(head.weight / scale))
        if output.bias is not None:
            output.bias.copy_(torch.from_numpy(head.bias))


def class_weights(targets: Sequence[int], count: int, mode: str) -> NDArray[np.float32]:
    """Return the weight of each class in the loss; over the examples they average to one.

    ``softened`` is the square root of ``balanced``: it lifts rare classes without drowning their
    few examples' noise in the gradient.
    """
    sizes = np.bincount(np.asarray(targets), minlength=count).clip(1)
    power = {"none": 0.0, "softened": 0.5, "balanced": 1.0}[mode]
    weights = (len(targets) / (count * sizes)) ** power
    return (weights * len(targets) / (weights * sizes).sum()).astype(np.float32)

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

from data.label_sets import Truths

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
    return _unscaled(weight, bias, mean, spread)


def fit_heads(
    vectors: NDArray[np.float32], applies: Truths, strength: float, *, intercept: bool = True
) -> LinearHead:
    """Fit a logistic regression of each class against the rest, as `fit_head` does of all together.

    ``applies`` is (messages × classes). A class that applies to all or to none has nothing to learn: its
    logit is that of its share, half a message away from certainty.
    """
    from sklearn.linear_model import LogisticRegression

    mean = vectors.mean(axis=0) if intercept else np.zeros(vectors.shape[1], np.float32)
    spread = vectors.std(axis=0) + 1e-6
    scaled = (vectors - mean) / spread
    weight, bias = np.zeros((applies.shape[1], vectors.shape[1])), np.zeros(applies.shape[1])
    for place, wanted in enumerate(applies.T):
        if wanted.all() or not wanted.any():
            share = np.clip(wanted.mean(), 0.5 / len(wanted), 1 - 0.5 / len(wanted))
            bias[place] = np.log(share / (1 - share)) if intercept else 0.0
            continue
        model = LogisticRegression(
            C=strength, class_weight="balanced", max_iter=300, tol=1e-3, fit_intercept=intercept
        ).fit(scaled, wanted)
        weight[place], bias[place] = model.coef_[0], np.ravel(model.intercept_)[0]
    return _unscaled(weight, bias, mean, spread)


def _unscaled(weight: Any, bias: Any, mean: Any, spread: Any) -> LinearHead:
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

    shared = {id(encoder.config): encoder.config}  # its settings are those of the other layers, also later
    layer = copy.deepcopy(encoder.encoder.layer[-1], shared)
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

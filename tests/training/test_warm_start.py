from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoTokenizer, BertForSequenceClassification

from training.encode import pad, tokenise
from training.finetune import add_lora, score
from training.recipe import load_recipe
from training.warm_start import add_averaging_layer, class_weights, fit_head, install_head

TEXTS = ("the canteen serves soup", "you have won a prize", "write to me tonight", "thanks for the mail") * 6


@pytest.mark.parametrize("classes", [2, 4])
def test_the_head_gives_the_probabilities_of_the_logistic_regression(tiny_bert: Path, classes: int) -> None:
    model = BertForSequenceClassification.from_pretrained(tiny_bert, num_labels=classes).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    with torch.inference_mode():
        batch = pad(tokenise(tokenizer, TEXTS, 32), 0, torch.device("cpu"))
        vectors = model.bert(**batch).last_hidden_state[:, 0].numpy()
    targets = [position % classes for position in range(len(TEXTS))]

    install_head(model, fit_head(vectors, targets, classes, 1.0), 0.001)
    labels = [str(position) for position in range(classes)]
    probabilities = score(model, tokenizer, TEXTS, 32, labels).probabilities

    scaled = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-6)
    reference = LogisticRegression(C=1.0, class_weight="balanced", max_iter=300, tol=1e-3).fit(
        scaled, targets
    )
    assert np.abs(reference.predict_proba(scaled) - probabilities).max() < 2e-3


def test_the_averaging_layer_gives_the_first_token_the_mean_of_all(tiny_bert: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(tiny_bert, num_labels=2).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    batch = pad(tokenise(tokenizer, TEXTS, 32), 0, torch.device("cpu"))  # of several lengths: padded
    with torch.inference_mode():
        tokens, mask = model.bert(**batch).last_hidden_state, batch["attention_mask"][..., None]
        means = (tokens * mask).sum(dim=1) / mask.sum(dim=1)

        add_averaging_layer(model)
        first = model.bert(**batch).last_hidden_state[:, 0]

    assert model.config.num_hidden_layers == len(model.bert.encoder.layer)
    assert torch.cosine_similarity(first, means - means.mean(dim=1, keepdim=True)).min() > 0.99


def test_lora_adapts_the_encoder_and_leaves_the_pooler_alone(tiny_bert: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(tiny_bert, num_labels=3)

    adapted = add_lora(model, load_recipe("smoke").classifier)

    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    adapters, head = (
        {name for name in trained if "lora_" in name},
        {name for name in trained if "lora_" not in name},
    )
    assert len(adapters) == 2 * 6 * 2  # two layers, six linear maps, two factors
    assert all("classifier" in name for name in head)
    assert not any("pooler" in name for name in trained)


def test_class_weights_lift_rare_classes_and_average_to_one() -> None:
    targets = [0] * 90 + [1] * 10

    for mode, ratio in (("none", 1.0), ("softened", 3.0), ("balanced", 9.0)):
        weights = class_weights(targets, 2, mode)

        assert ratio == pytest.approx(weights[1] / weights[0], rel=1e-5)
        assert pytest.approx(np.mean(weights[targets]), rel=1e-5) == 1.0

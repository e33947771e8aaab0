"""The kinds of base model that training and the engines know, and where they differ.

Each stays the standard sequence classifier of its kind, whose class transformers, MLflow and vLLM load
by name: ``BertForSequenceClassification``, ``RobertaForSequenceClassification`` (XLM-R is one),
``ModernBertForSequenceClassification``, and of decoders ``LlamaForSequenceClassification`` and
``Qwen3ForSequenceClassification``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from data.label_sets import PROBLEM_TYPE
from data.workspace import UserError, model_path
from training.encode import quietly
from training.warm_start import add_averaging_layer


@dataclass(frozen=True, slots=True)
class Architecture:
    """Where a kind of base model keeps its parts; a path of modules is relative to the classifier."""

    encoder: str
    dense: str  # the head's square layer, which reads the vector of the whole text; decoders have none
    output: str  # the linear layer that gives the logits
    head: tuple[str, ...]  # saved with the adapter, or the warm start would be lost
    features: Callable[[Any, Any], Any]  # (model, vectors) → what the output layer reads of them
    vector: Literal["added", "mean", "last"]  # the mean by a layer that is added, or its own; the last token
    normalises: bool  # undoes the scale of the dense layer before the output layer

    def longest_input(self, model: Any) -> int:
        """Return the tokens that the model has positions for."""
        positions = int(model.config.max_position_embeddings)
        # RoBERTa counts positions from behind the one of padding.
        return positions - model.config.pad_token_id - 1 if self.encoder == "roberta" else positions

    def output_scale(self, head_scale: float) -> float:
        """Return how much smaller than the text's vector that is what the output layer reads."""
        return 1.0 if self.normalises or not self.dense else head_scale

    @property
    def reads(self) -> str:
        """Return the layer that reads the vector of the whole text; a decoder's reads every token's."""
        return self.dense or self.output


def _pooled(model: Any, vectors: Any) -> Any:
    return model.bert.pooler(vectors[:, None])


def _squashed(model: Any, vectors: Any) -> Any:
    return model.classifier.dense(vectors).tanh()


def _normalised(model: Any, vectors: Any) -> Any:
    return model.head(vectors)


def _as_they_are(_model: Any, vectors: Any) -> Any:
    return vectors


BERT = Architecture(
    encoder="bert",
    dense="bert.pooler.dense",
    output="classifier",
    head=("pooler", "classifier"),
    features=_pooled,
    vector="added",
    normalises=False,
)
ROBERTA = Architecture(
    encoder="roberta",
    dense="classifier.dense",
    output="classifier.out_proj",
    head=("classifier",),
    features=_squashed,
    vector="added",
    normalises=False,
)
MODERNBERT = Architecture(
    encoder="model",
    dense="head.dense",
    output="classifier",
    head=("head", "classifier"),
    features=_normalised,
    vector="mean",
    normalises=True,
)
DECODER = Architecture(
    encoder="model",
    dense="",
    output="score",
    head=("score",),
    features=_as_they_are,
    vector="last",
    normalises=False,
)
ENCODERS = {"bert": BERT, "roberta": ROBERTA, "xlm-roberta": ROBERTA, "modernbert": MODERNBERT}
ARCHITECTURES = ENCODERS | {"llama": DECODER, "qwen3": DECODER}


def architecture_of(model: Any) -> Architecture:
    """Return what is known of a loaded classifier."""
    return ARCHITECTURES[model.config.model_type]


def base_model(
    name: str, labels: Sequence[str], *, several: bool = False, dropout: float | None = None
) -> tuple[Any, Any]:
    """Return what an adapter is trained on and can be loaded onto: an encoder that averages, a fresh head.

    A decoder keeps its last token, which has read all the others; it is told which token is padding.
    ``several`` labels of one message make it a multi-label classifier. ``dropout`` is the encoder's own in
    training, in place of what it was made with.

    In float32, whatever the base is stored in.

    Raises:
        UserError: the base model is missing, or of a kind that the engines do not serve.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    folder = model_path(name)
    config = AutoConfig.from_pretrained(folder)
    if config.model_type not in ARCHITECTURES:
        raise UserError(
            f"the base model {name!r} is of type {config.model_type!r}; "
            f"the classifier's base must be one of: {', '.join(ARCHITECTURES)}"
        )
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: position for position, label in enumerate(labels)}
    config.problem_type = PROBLEM_TYPE if several else "single_label_classification"
    if dropout is not None:
        for key in config.to_dict():
            if key.endswith(("dropout", "dropout_prob")):
                setattr(config, key, dropout)
    known = ARCHITECTURES[config.model_type]
    if known.vector == "mean":
        config.classifier_pooling = "mean"
    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        config.pad_token_id = tokenizer.pad_token_id
        model = AutoModelForSequenceClassification.from_pretrained(folder, config=config, dtype=torch.float32)
        if known.vector == "added":
            add_averaging_layer(model.get_submodule(known.encoder))
        return model, tokenizer

"""The embedder's training: LoRA with in-batch negatives, and how well partners find each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.workspace import model_path
from training.encode import autocast, by_length, choose_device, quietly
from training.lora import adapted_layers, take_step, warm_up_and_decay
from training.negatives import mine_negatives
from training.pairs import Pair, batches_of_strangers
from training.recipe import EmbedderRecipe
from training.results import Retrieval

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAX_LENGTH = 256  # tokens of a text that the saved model reads, whatever length it was tuned on
SLICE = 64


def base_model(name: str) -> SentenceTransformer:
    """Return transformer, mean pooling and normalisation, whatever modules the base folder lists."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    with quietly():
        transformer = Transformer(str(model_path(name)), max_seq_length=MAX_LENGTH)
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), "mean"), Normalize()]
    return SentenceTransformer(modules=modules, device=str(choose_device()))


def tune(
    model: SentenceTransformer, pairs: Sequence[Pair], recipe: EmbedderRecipe, *, seed: int
) -> Iterator[float]:
    """Train LoRA with in-batch negatives (MultipleNegativesRankingLoss); yield each step's loss.

    With ``hard_negatives`` in the recipe, every pair also brings so many texts that the frozen model
    takes for its partner. Texts are cut at the recipe's length, which is shorter than what the model
    reads later. The model's transformer is a PEFT model afterwards.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import batch_to_device
    from tqdm import tqdm

    model.max_seq_length = recipe.max_length
    batches = list(islice(_endless(pairs, recipe, seed), recipe.max_steps))
    read, count = [pair for batch in batches for pair in batch], recipe.hard_negatives
    negatives = mine_negatives(partial(encode, model), read, count) if count else {}
    torch.manual_seed(seed)
    config = LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=adapted_layers(model[0].model, recipe.lora),
    )
    model[0].model = get_peft_model(model[0].model, config)
    loss_of = MultipleNegativesRankingLoss(model, scale=recipe.scale)
    rows = torch.arange(recipe.batch_size, device=model.device)
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = warm_up_and_decay(optimiser, recipe.max_steps, recipe.warm_up)
    if model.device.type == "cpu":
        model[0].model.set_attn_implementation("eager")  # as the classifier: docs/log.md
    model.train()
    for batch in tqdm(batches, "training the embedder", unit="step"):
        sides = [[pair.anchor for pair in batch], [pair.positive for pair in batch]]
        if all(pair in negatives for pair in batch):
            sides += [[negatives[pair][place] for pair in batch] for place in range(count)]
        features = [batch_to_device(model.preprocess(side), model.device) for side in sides]
        with autocast(recipe.precision, model.device):
            loss = loss_of(features, rows[: len(batch)])
        loss.backward()
        take_step(model, optimiser, schedule)
        yield loss.item()
    model.max_seq_length = MAX_LENGTH
    model.eval()


def find_partners(model: SentenceTransformer, pairs: Sequence[Pair], sentences: Sequence[Pair]) -> Retrieval:
    """Look for every anchor's positive among all positives, and for texts by a sentence of their own.

    Other texts of the anchor's own thread are left out: finding them is no mistake.
    """
    ahead = _ranked_ahead(model, pairs)
    own = _ranked_ahead(model, sentences) if sentences else np.zeros(1)
    return Retrieval(
        pairs=len(pairs),
        recall_at_10=float((ahead < 10).mean()),
        mrr=float((1 / (ahead + 1)).mean()),
        own_mrr=float((1 / (own + 1)).mean()),
    )


def _ranked_ahead(model: SentenceTransformer, pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Return for every pair how many texts of other threads come before its own positive."""
    with autocast("bf16", model.device):
        anchors = encode(model, [pair.anchor for pair in pairs])
        positives = encode(model, [pair.positive for pair in pairs])
    similarity = anchors @ positives.T
    threads = np.array([pair.thread_id for pair in pairs])
    own = similarity.diagonal()[:, None]
    ahead: NDArray[np.int64] = ((similarity > own) & (threads[:, None] != threads[None, :])).sum(axis=1)
    return ahead


def is_better(tuned: Retrieval, frozen: Retrieval) -> bool:
    """Tuned weights must find more at the top, not less within ten, and not unlearn plain search.

    Pairs that have little to do with each other teach a model to forget: on such an archive partners
    were found better while the recall of questions fell from .88 to .28.
    """
    return (
        tuned.mrr > frozen.mrr
        and tuned.recall_at_10 >= frozen.recall_at_10
        and tuned.own_mrr >= frozen.own_mrr
    )


def encode(model: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Encode in batches of similar length; a bar appears when it takes long."""
    from tqdm import tqdm

    vectors = np.zeros((len(texts), int(model.get_embedding_dimension() or 0)), dtype=np.float32)
    with tqdm(total=len(texts), desc="embedding", unit="text", delay=10, leave=False) as progress:
        for batch in by_length([len(text) for text in texts], SLICE):
            vectors[batch] = model.encode(
                [texts[position] for position in batch],
                batch_size=SLICE,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            progress.update(len(batch))
    return vectors


def _endless(pairs: Sequence[Pair], recipe: EmbedderRecipe, seed: int) -> Iterator[list[Pair]]:
    done = 0
    while True:
        for batch in batches_of_strangers(pairs, recipe.batch_size, seed=seed + done):
            done += 1
            yield batch

"""The embedder's training: LoRA, contrastive; the other texts of a batch are what must not be found."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.workspace import UserError, model_path
from training import checkpoint as checkpoints
from training.data_parallel import add_up, is_first, put_together, seed_step, share, trained_together
from training.encode import autocast, by_length, choose_device, cut, pad, quietly, tokenise
from training.lora import adapted_layers, take_step, warm_up_and_decay
from training.negatives import Answers, Negatives, answers_of, mine_negatives, related
from training.pairs import Pair, batches_of_strangers
from training.recipe import EmbedderRecipe
from training.results import Effort, effort_of
from training.state import moving_parts, set_moving_parts

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

MAX_LENGTH = 256  # tokens of a text that the saved model reads, whatever length it was tuned on
SLICE = 64
PARTS = 8  # of a step's texts, each padded by itself


@dataclass(frozen=True, slots=True)
class TunedEmbedder:
    """How the training went; the model's transformer is a PEFT model with the tuned weights."""

    losses: tuple[float, ...]
    effort: Effort


@dataclass(slots=True)
class _Standing:
    model: SentenceTransformer
    optimiser: Optimizer
    schedule: LRScheduler
    answers: Answers  # of all that is read: what was mined for one pair may answer another
    losses: list[float] = field(default_factory=list)  # one a step
    tokens: int = 0
    positions: int = 0  # tokens and padding
    seconds: float = 0.0
    resumed_at: int = 0


def base_model(name: str) -> SentenceTransformer:
    """Return transformer, mean pooling and normalisation, whatever modules the base folder lists."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    with quietly():
        transformer = Transformer(str(model_path(name)), max_seq_length=MAX_LENGTH)
    config = transformer.model.config
    if "roberta" in config.model_type:  # vLLM 0.32 asks for what transformers 5 leaves out
        config.position_embedding_type = "absolute"
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), "mean"), Normalize()]
    return SentenceTransformer(modules=modules, device=str(choose_device()))


def check_dimensions(model: SentenceTransformer, recipe: EmbedderRecipe) -> None:
    """Refuse prefixes that are no part of the model's vectors.

    Raises:
        UserError: a dimension of the recipe is not below the model's.
    """
    whole, largest = int(model.get_embedding_dimension() or 0), max(recipe.matryoshka or (0,))
    if largest >= whole:
        raise UserError(
            f"the recipe's embedder.matryoshka names {largest}, and the vectors of {recipe.base_model!r} "
            f"have {whole} dimensions; name smaller ones"
        )


def fit_embedder(
    model: SentenceTransformer,
    pairs: Sequence[Pair],
    recipe: EmbedderRecipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> TunedEmbedder:
    """Tune the base model on pairs of texts that belong together; the same seed gives the same weights.

    With ``hard_negatives`` in the recipe, every pair also brings up to so many texts that a search with
    the frozen model finds in place of its partner. With ``processes`` they train together.
    """
    batches = list(islice(_endless(pairs, recipe, seed), recipe.max_steps))
    read = [pair for batch in batches for pair in batch]
    negatives = _mined(model, read, recipe) if recipe.hard_negatives else {}
    itself = partial(_take_part, batches, negatives, recipe, seed=seed)
    with trained_together(recipe.processes, itself, checkpoint) as saved:
        return tune(model, batches, negatives, recipe, seed=seed, checkpoint=saved)


def tune(
    model: SentenceTransformer,
    batches: Sequence[Sequence[Pair]],
    negatives: Negatives,
    recipe: EmbedderRecipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> TunedEmbedder:
    """Train LoRA, one step a batch.

    Texts are cut at the recipe's length, which is shorter than what the model reads later. With a
    ``checkpoint``, a training that was killed goes on where it was saved last, to the same weights.
    """
    import torch
    from tqdm import tqdm

    torch.manual_seed(seed)
    now = _set_up(model, recipe, answers_of(pair for batch in batches for pair in batch))
    if checkpoint and (saved := checkpoints.load_checkpoint(checkpoint)):
        _restore(now, saved, of=len(batches))
    written = time.monotonic()
    model.train()
    with tqdm(
        total=len(batches),
        initial=len(now.losses),
        desc="training the embedder",
        unit="step",
        disable=not is_first() or len(now.losses) == len(batches),
    ) as progress:
        for batch in batches[len(now.losses) :]:
            seed_step(seed, len(now.losses))
            _learn(now, batch, negatives, recipe)
            progress.update()
            if checkpoint and is_first() and time.monotonic() - written > checkpoints.EVERY_S:
                checkpoints.save_checkpoint(checkpoint, _snapshot(now))
                written = time.monotonic()
    if checkpoint and is_first():
        checkpoints.save_checkpoint(checkpoint, _snapshot(now))
    model.eval()
    return TunedEmbedder(tuple(now.losses), effort_of(now.tokens, now.positions, now.seconds, now.resumed_at))


def contrastive_loss(
    vectors: torch.Tensor,
    pairs: int,
    scale: float,
    *,
    prefixes: Sequence[int] = (),
    answers: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the mean cross-entropy of finding every anchor's positive among all other texts (InfoNCE).

    ``vectors`` holds the anchors, the positives in the same order, and whatever else is to be told from
    them, one row a text; of these, ``answers`` (pairs, others) marks what belongs to an anchor all the
    same and is not compared with it. The losses of ``prefixes`` of the vectors are added to that of the whole
    (Matryoshka representation learning: Kusupati et al. 2022).
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    wanted = torch.arange(pairs, device=vectors.device)
    loss = vectors.new_zeros(())
    left_out = torch.zeros((pairs, len(vectors) - pairs), dtype=torch.bool, device=vectors.device)
    if answers is not None:
        left_out[:, pairs:] = answers
    for dimension in (vectors.shape[1], *prefixes):
        directions = normalize(vectors[:, :dimension])
        similarity = directions[:pairs] @ directions[pairs:].T
        loss = loss + cross_entropy((scale * similarity).masked_fill(left_out, -math.inf), wanted)
    return loss


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


def _mined(model: SentenceTransformer, pairs: Sequence[Pair], recipe: EmbedderRecipe) -> Negatives:
    """Mine with the frozen model, which reads as much of a text as training does."""
    model.max_seq_length = recipe.max_length
    with autocast(recipe.precision, model.device):
        negatives = mine_negatives(partial(encode, model), pairs, recipe.hard_negatives)
    model.max_seq_length = MAX_LENGTH
    return negatives


def _take_part(
    batches: Sequence[Sequence[Pair]],
    negatives: Negatives,
    recipe: EmbedderRecipe,
    *,
    seed: int,
    checkpoint: Path,
) -> None:
    tune(base_model(recipe.base_model), batches, negatives, recipe, seed=seed, checkpoint=checkpoint)


def _set_up(model: SentenceTransformer, recipe: EmbedderRecipe, answers: Answers) -> _Standing:
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=adapted_layers(model[0].model, recipe.lora),
    )
    adapted = get_peft_model(model[0].model, config)
    if model.device.type == "cpu":
        adapted.set_attn_implementation("eager")  # as the classifier: docs/log.md
    model[0].model = adapted
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = warm_up_and_decay(optimiser, recipe.max_steps, recipe.warm_up)
    return _Standing(model, optimiser, schedule, answers)


def _learn(
    now: _Standing,
    batch: Sequence[Pair],
    negatives: Negatives,
    recipe: EmbedderRecipe,
) -> None:
    """Take one step: the processes share the texts out, and each computes the loss of the whole batch."""
    import torch

    started = time.monotonic()
    texts = [pair.anchor for pair in batch] + [pair.positive for pair in batch]
    others = [each for pair in batch for each in negatives.get(pair, ())]
    vectors = _vectors_of(now, [*texts, *(each.text for each in others)], recipe)
    answers = torch.tensor(related(batch, others, now.answers), device=vectors.device) if others else None
    loss = contrastive_loss(
        vectors, len(batch), recipe.scale, prefixes=recipe.matryoshka or (), answers=answers
    )
    if vectors.requires_grad:  # not in a process that had no text to read
        loss.backward()  # type: ignore[no-untyped-call]
    take_step(now.model, now.optimiser, now.schedule)
    now.losses.append(loss.item())
    now.seconds += time.monotonic() - started


def _vectors_of(now: _Standing, texts: Sequence[str], recipe: EmbedderRecipe) -> torch.Tensor:
    """Return the vectors of all texts; those that this process has read, in parts by length, can teach."""
    import torch

    device = now.model.device
    ids = tokenise(now.model.tokenizer, texts, recipe.max_length)
    own = share(sorted(range(len(texts)), key=lambda place: len(ids[place])))
    figures = torch.zeros(2, dtype=torch.float64)  # tokens, tokens and padding
    vectors = [torch.zeros((0, int(now.model.get_embedding_dimension() or 0)), device=device)]
    for part in cut(own, max(1, math.ceil(len(own) / PARTS))):
        read = [ids[place] for place in part]
        inputs = pad(read, now.model.tokenizer.pad_token_id, device, longest=recipe.max_length)
        figures += torch.tensor([sum(map(len, read)), inputs["input_ids"].numel()], dtype=torch.float64)
        with autocast(recipe.precision, device):
            vectors.append(now.model(inputs)["sentence_embedding"].float())
    add_up(figures)
    now.tokens += round(figures[0].item())
    now.positions += round(figures[1].item())
    return put_together(torch.cat(vectors), own, len(texts))


def _snapshot(now: _Standing) -> dict[str, Any]:
    return moving_parts(now.model[0].model, now.optimiser, now.schedule) | {
        "losses": now.losses,
        "tokens": now.tokens,
        "positions": now.positions,
        "seconds": now.seconds,
        "resumed_at": now.resumed_at,
    }


def _restore(now: _Standing, saved: Mapping[str, Any], *, of: int) -> None:
    """Bring what has just been set up to where it was saved; a training that is over was not resumed."""
    set_moving_parts(now.model[0].model, now.optimiser, now.schedule, saved)
    now.losses = list(saved["losses"])
    now.tokens, now.positions, now.seconds = saved["tokens"], saved["positions"], saved["seconds"]
    now.resumed_at = len(now.losses) if len(now.losses) < of else saved["resumed_at"]


def _endless(pairs: Sequence[Pair], recipe: EmbedderRecipe, seed: int) -> Iterator[list[Pair]]:
    done = 0
    while True:
        for batch in batches_of_strangers(pairs, recipe.batch_size, seed=seed + done):
            done += 1
            yield batch

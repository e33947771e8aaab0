"""What the generator's adapter is worth: how well it foretells the archive's own answers, beside its base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.dataset import read_messages
from data.prompts import read_prompts
from data.workspace import UserError, model_path
from evaluation.metrics import Floats, Interval, interval, resample
from training.answers_loss import encode, mean_loss
from training.encode import choose_device, quietly
from training.grounded import COLUMNS, grounded_pairs
from training.recipe import GeneratorRecipe, load_recipe

MOST_PAIRS = 50  # of each kind, as on valid


@dataclass(frozen=True, slots=True)
class AnswerLoss:
    """Cross-entropy in nats per token of the answers; ``saved`` is the base's minus the adapter's."""

    pairs: int
    threads: int
    base: float
    adapter: float
    saved: Interval
    against_champion: Interval | None = None  # the loss of the champion's adapter minus this one's


def measure_answer_loss(
    prepared: Path,
    adapter: Path,
    recipe: str,
    *,
    champion: Path | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> AnswerLoss:
    """Ask base, adapter and the champion's adapter for the same answers of the test split.

    The pairs are made as for the training: questions whose answer is one of the sentences shown. The
    intervals draw whole threads.

    Raises:
        UserError: the recipe trains no generator.
    """
    chosen = generator_section(recipe)
    model, tokenizer = _load(model_path(chosen.base_model), adapter, champion)
    names = ["adapter", *(["champion"] if champion else [])]
    pairs = grounded_pairs(read_messages(prepared, columns=COLUMNS, split="test"), most=MOST_PAIRS)
    prompts, threads, asked = read_prompts(), dict[str, int](), 0
    sums = np.zeros((len(pairs), 2 + len(names)))  # of each thread: tokens, and the loss of base and adapters
    for pair in pairs:
        if not (encoded := encode(tokenizer, [pair], prompts, chosen.max_length)):
            continue
        with model.disable_adapter():
            losses = [mean_loss(model, tokenizer, encoded, chosen)]
        for name in names:
            model.set_adapter(name)
            losses.append(mean_loss(model, tokenizer, encoded, chosen))
        tokens = len(encoded[0].ids) - encoded[0].begins
        sums[threads.setdefault(pair.thread_id, len(threads))] += tokens * np.array([1.0, *losses])
        asked += 1
    return _summed(sums[: len(threads)], asked, draws=draws, confidence=confidence, seed=seed)


def generator_section(recipe: str) -> GeneratorRecipe:
    """Return what the recipe says of the generator.

    Raises:
        UserError: it says nothing.
    """
    chosen = load_recipe(recipe).generator
    if chosen is None:
        raise UserError(f"the recipe {recipe!r} has no section 'generator', and an adapter was handed in")
    return chosen


def _load(base: Path, adapter: Path, champion: Path | None) -> tuple[Any, Any]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(base)
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(choose_device())
        model = PeftModel.from_pretrained(plain, adapter, adapter_name="adapter")
        if champion:
            model.load_adapter(str(champion), "champion")
    return model, tokenizer


def _summed(sums: Floats, pairs: int, *, draws: int, confidence: float, seed: int) -> AnswerLoss:
    """Divide what was summed up by thread: columns are tokens, base, adapter and maybe the champion's."""
    total = sums.sum(axis=0)
    drawn = resample(sums, draws=draws, seed=seed) if len(sums) else np.full((draws, len(total)), np.nan)

    def minus_adapter(column: int) -> Interval:
        with np.errstate(invalid="ignore", divide="ignore"):
            value = (total[column] - total[2]) / total[0]
            return interval(float(value), (drawn[:, column] - drawn[:, 2]) / drawn[:, 0], confidence)

    with np.errstate(invalid="ignore", divide="ignore"):
        base, tuned = total[1:3] / total[0]
    return AnswerLoss(
        pairs,
        len(sums),
        float(base),
        float(tuned),
        minus_adapter(1),
        minus_adapter(3) if len(total) > 3 else None,
    )

"""What the generator's adapter is worth: how well it foretells the archive's own answers, beside its base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import read_messages
from data.prompts import read_prompts
from data.workspace import UserError, model_path
from evaluation.metrics import Interval, interval, resample
from serving.adapter import check_adapter
from training.answers_loss import answer_losses, encode
from training.encode import choose_device, quietly
from training.grounded import COLUMNS, grounded_pairs
from training.recipe import load_recipe

MOST_PAIRS = 50  # of each kind, as on valid


@dataclass(frozen=True, slots=True)
class AnswerLoss:
    """Cross-entropy in nats per token of the answers; ``saved`` is the base's minus the adapter's."""

    pairs: int
    threads: int
    base: float
    adapter: float
    saved: Interval


def measure_answer_loss(
    prepared: Path, adapter: Path, recipe: str, *, draws: int = 2000, confidence: float = 0.95, seed: int = 7
) -> AnswerLoss:
    """Ask base and adapter for the same answers of the test split; the interval draws whole threads.

    The pairs are made as for the training: questions whose answer is one of the sentences shown.

    Raises:
        UserError: the recipe trains no generator, or the adapter belongs to another base.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chosen = load_recipe(recipe).generator
    if chosen is None:
        raise UserError(f"the recipe {recipe!r} has no section 'generator', and an adapter was handed in")
    base = model_path(chosen.base_model)
    check_adapter(adapter, base)
    pairs = grounded_pairs(read_messages(prepared, columns=COLUMNS, split="test"), most=MOST_PAIRS)
    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(base)
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(choose_device())
        model = PeftModel.from_pretrained(plain, adapter)
    prompts, threads = read_prompts(), dict[str, int]()
    sums = []
    for pair in pairs:
        encoded = encode(tokenizer, [pair], prompts, chosen.max_length)
        if not encoded:
            continue
        ((tuned, tokens),) = answer_losses(model, tokenizer, encoded, chosen)
        with model.disable_adapter():
            ((untuned, _),) = answer_losses(model, tokenizer, encoded, chosen)
        place = threads.setdefault(pair.thread_id, len(threads))
        sums.append((place, untuned, tuned, tokens))
    return _summed(sums, len(threads), draws=draws, confidence=confidence, seed=seed)


def _summed(
    sums: list[tuple[int, float, float, int]], threads: int, *, draws: int, confidence: float, seed: int
) -> AnswerLoss:
    by_thread = np.zeros((threads, 3))
    for place, *figures in sums:
        by_thread[place] += figures
    untuned, tuned, tokens = by_thread.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = resample(by_thread, draws=draws, seed=seed) if threads else np.full((draws, 3), np.nan)
        saved = interval(
            float((untuned - tuned) / tokens), (drawn[:, 0] - drawn[:, 1]) / drawn[:, 2], confidence
        )
        return AnswerLoss(len(sums), threads, float(untuned / tokens), float(tuned / tokens), saved)

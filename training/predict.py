"""What a model says of texts: batches forward, nothing learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data.label_sets import PROBLEM_TYPE, THRESHOLDS
from training.data_parallel import add_up, is_first, share
from training.encode import by_length, pad, tokenise
from training.scores import Scores

BATCH = 64


def score(model: Any, tokenizer: Any, texts: Sequence[str], max_length: int, labels: Sequence[str]) -> Scores:
    """Return the float32 probabilities of the labels for every text.

    A multi-label classifier without thresholds yet gives a label from one half on.
    """
    import torch

    several = is_several(model)
    own = share(range(len(texts)))
    ids = tokenise(tokenizer, [texts[each] for each in own], max_length)
    probabilities = np.zeros((len(texts), len(labels)), dtype=np.float32)
    for batch, output in forward(model, tokenizer, ids, max_length, "classifying"):
        logits = output.logits.float()
        stated = logits.sigmoid() if several else logits.softmax(dim=-1)
        probabilities[[own[each] for each in batch]] = stated.cpu().numpy()
    add_up(torch.from_numpy(probabilities))
    if not several:
        return Scores(tuple(labels), probabilities)
    thresholds = getattr(model.config, THRESHOLDS, None) or [0.5] * len(labels)
    return Scores(tuple(labels), probabilities, tuple(thresholds))


def is_several(model: Any) -> bool:
    """Say whether the classifier may give several labels to one message."""
    return bool(model.config.problem_type == PROBLEM_TYPE)


def forward(
    model: Any, tokenizer: Any, ids: Sequence[Sequence[int]], max_length: int, what: str
) -> Iterator[tuple[list[int], Any]]:
    """Yield positions and model output of batches of similar length; a bar appears when it takes long."""
    import torch
    from tqdm import tqdm

    model.eval()
    with tqdm(
        total=len(ids), desc=what, unit="text", delay=10, leave=False, disable=not is_first()
    ) as progress:
        for batch in by_length([len(each) for each in ids], BATCH):
            with torch.inference_mode():
                cut = [ids[each] for each in batch]
                yield batch, model(**pad(cut, tokenizer.pad_token_id, model.device, longest=max_length))
            progress.update(len(batch))

"""From texts to batches of token ids of similar length, and the device they are computed on."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.workspace import UserError, locate

if TYPE_CHECKING:
    import torch

BATCHES_PER_POOL = 32
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def choose_device() -> torch.device:
    """Return the GPU when there is one; otherwise the CPU, held to a single thread.

    On cores that other processes share, two torch threads wait for each other: 29 texts a
    second were measured with two against 122 with one.
    """
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(1)
    keep_freed_memory()
    return torch.device("cpu")


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed for the next batch; where there is no glibc, nothing happens.

    Otherwise every large tensor is mapped from the system anew, page by page: 11.1 CPU seconds a
    step of 32 texts of 256 tokens, 4.9 of them in the kernel, against 5.9.
    """
    import ctypes

    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return
    set_option(M_MMAP_MAX, 0)
    set_option(M_TRIM_THRESHOLD, 2**31 - 1)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a training step computes.

    bf16 halves the time on a processor that knows it; one that does not would emulate it slowly,
    and computes in float32.
    """
    import torch

    if precision == "bf16" and (device.type == "cuda" or _processor_knows_bf16()):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from drawing bars and listing missing heads at every load and save.

    MLflow looks for a licence of the model on the hub; a local folder has none there, and the
    warning would name a temporary path.
    """
    from transformers.utils import logging as transformers_logging

    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    licences = logging.getLogger("mlflow.transformers")
    licence_level = licences.level
    licences.setLevel(logging.ERROR)
    try:
        yield
    finally:
        licences.setLevel(licence_level)
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()


def merged_folder(model_folder: str | Path) -> Path:
    """Return the folder with the weights: ``merged`` below a trained model's folder, or the folder itself.

    Raises:
        UserError: there is no model.
    """
    folder = locate(model_folder)
    for candidate in (folder / "merged", folder):
        if (candidate / "config.json").is_file():
            return candidate
    raise UserError(f"no trained model in {folder}; train one first: notebooks 02 and 03, or: mailroom run")


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the token ids of each text, cut at ``max_length`` with the closing token kept."""
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    return ids


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return batches of positions, longest first, so that little is padding and memory peaks at once."""
    return cut(sorted(range(len(lengths)), key=lambda position: -lengths[position]), batch_size)


def shuffled_by_length(lengths: Sequence[int], batch_size: int, *, seed: int) -> list[list[int]]:
    """Return one epoch's batches: random, yet of similar lengths within a batch.

    Positions are shuffled, sorted by length within pools of some batches, cut, and the batches
    shuffled again: about a third of the computation of padding to random neighbours.
    """
    chance = random.Random(seed)  # noqa: S311 (an order, not a secret)
    order = list(range(len(lengths)))
    chance.shuffle(order)
    pool = batch_size * BATCHES_PER_POOL
    batches = [
        batch
        for start in range(0, len(order), pool)
        for batch in cut(sorted(order[start : start + pool], key=lengths.__getitem__), batch_size)
    ]
    chance.shuffle(batches)
    return batches


def pad(
    ids: Sequence[Sequence[int]], padding: int, device: torch.device, *, longest: int
) -> dict[str, torch.Tensor]:
    """Return the batch as ``input_ids`` and ``attention_mask`` of shape (texts, width).

    The width is one of few, and ``longest`` at most: oneDNN keeps what it has prepared for every shape
    that it meets, and memory grew with every width.
    """
    import torch

    width = min(_round_up(max(map(len, ids))), longest)
    tokens = torch.full((len(ids), width), padding, dtype=torch.long)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for row, each in enumerate(ids):
        tokens[row, : len(each)] = torch.tensor(each, dtype=torch.long)
        mask[row, : len(each)] = 1
    return {"input_ids": tokens.to(device), "attention_mask": mask.to(device)}


def _round_up(length: int) -> int:
    """Return the next width: multiples of 8 up to 64, then four to every doubling."""
    step = max(8, 1 << ((length - 1).bit_length() - 3)) if length > 64 else 8
    return -(-length // step) * step


def _processor_knows_bf16() -> bool:
    import torch

    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def cut(order: list[int], size: int) -> list[list[int]]:
    """Return the order in parts of ``size``, the last one shorter."""
    return [order[start : start + size] for start in range(0, len(order), size)]

"""One training in several processes of a machine: each reads its share of a batch, all take the same step.

Gradients are summed, so that a step is what a single process would have taken, but for the order of the
sums. One process has one GPU or, without any, one thread of the CPU. Outside `train_together` everything
here is what a single process does anyway.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.workspace import UserError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
MOST_STEPS = 2**32  # of one seed


@contextmanager
def trained_together(
    count: int | None, training: Callable[..., object], checkpoint: Path | None
) -> Iterator[Path | None]:
    """Yield the checkpoint of a training that ``count`` processes have brought to its end.

    ``training`` takes the keyword ``checkpoint`` and writes it. With one process, or in one of several,
    there is nothing to do, and ``checkpoint`` is yielded as it is.

    Raises:
        UserError: as `train_together`.
    """
    if count in (None, 1) or not is_alone():
        yield checkpoint
        return
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        checkpoint = checkpoint or Path(folder) / "finished.pt"
        train_together(count, partial(training, checkpoint=checkpoint))
        yield checkpoint


def train_together(count: int, training: Callable[[], object]) -> None:
    """Call ``training`` in ``count`` new processes that know of one another, until all have returned.

    They end with this process. What one of them raises ends the others and is raised here.

    Raises:
        UserError: the machine has fewer GPUs or, without any, fewer cores.
    """
    import torch
    from torch.multiprocessing.spawn import spawn

    on_gpus = torch.cuda.is_available()
    most = torch.cuda.device_count() if on_gpus else len(os.sched_getaffinity(0))
    if count > most:
        raise UserError(
            f"the recipe asks for {count} processes, and this machine has {most} "
            f"{'GPUs' if on_gpus else 'cores'}; lower processes in the recipe"
        )
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        spawn(_take_part, (count, f"file://{folder}/meeting", training), count)  # type: ignore[no-untyped-call]


def is_alone() -> bool:
    """Say whether this process trains by itself."""
    return _place()[1] == 1


def is_first() -> bool:
    """Say whether this process is the one that writes and shows what happens."""
    return _place()[0] == 0


def share(items: Sequence[Item]) -> list[Item]:
    """Return this process's share: neighbours, which are of like length, go to different processes."""
    place, count = _place()
    return list(items[place::count])


def add_up(*tensors: torch.Tensor) -> None:
    """Replace each of the tensors, all on one device, by its sum over the processes."""
    import torch

    if is_alone():
        return
    summed = torch.cat([tensor.reshape(-1) for tensor in tensors])
    torch.distributed.all_reduce(summed)
    parts = torch.split(summed, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def put_together(own: torch.Tensor, places: Sequence[int], count: int) -> torch.Tensor:
    """Return the ``count`` rows of all processes, each in its place; ``own`` are this process's.

    Gradients flow into the own rows alone: where every process computes the same loss from all rows, the
    sum of their gradients is that of a single process.
    """
    import torch

    whole = own.new_zeros((count, *own.shape[1:]))
    rows = torch.tensor(places, dtype=torch.long, device=own.device)
    if not is_alone():
        whole[rows] = own.detach()
        add_up(whole)
    return whole.index_copy(0, rows, own)


def add_up_gradients(weights: Sequence[torch.Tensor]) -> None:
    """Sum the gradients; a process that had no text of the batch brings zeros."""
    import torch

    if is_alone():
        return
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    add_up(*(weight.grad for weight in weights if weight.grad is not None))


def seed_step(seed: int, step: int) -> None:
    """Let every process drop something else, and the same again when the step is repeated.

    A single process goes on with the random state that it has: its checkpoint holds that.
    """
    import torch

    if not is_alone():
        place, count = _place()
        torch.manual_seed((seed * MOST_STEPS + step) * count + place)


def _place() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many there are."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _take_part(place: int, count: int, meeting: str, training: Callable[[], object]) -> None:
    import torch

    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(place)
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"  # nobody outside this machine
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    torch.distributed.init_process_group(backend, init_method=meeting, rank=place, world_size=count)
    try:
        training()
    finally:
        torch.distributed.destroy_process_group()

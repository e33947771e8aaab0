from __future__ import annotations

import ctypes
import resource

import pytest
import torch

from training.encode import by_length, keep_freed_memory, pad, shuffled_by_length
from training.lora import learning_rate_factor


def test_batches_hold_every_position_once() -> None:
    lengths = [7 * number % 31 for number in range(205)]

    for batches in (by_length(lengths, 16), shuffled_by_length(lengths, 16, seed=3)):
        assert list(range(205)) == sorted(position for batch in batches for position in batch)
        assert max(len(batch) for batch in batches) == 16


def test_texts_of_a_batch_have_similar_lengths() -> None:
    lengths = [number % 200 for number in range(3200)]

    batches = shuffled_by_length(lengths, 16, seed=0)

    spreads = [max(lengths[p] for p in batch) - min(lengths[p] for p in batch) for batch in batches]
    assert sum(spreads) / len(spreads) < 15


def test_batches_follow_the_seed() -> None:
    lengths = list(range(100))

    assert shuffled_by_length(lengths, 8, seed=1) == shuffled_by_length(lengths, 8, seed=1)
    assert shuffled_by_length(lengths, 8, seed=1) != shuffled_by_length(lengths, 8, seed=2)


def test_padding_is_masked() -> None:
    batch = pad([[5, 6, 7], [8]], 0, torch.device("cpu"), longest=4)

    assert batch["input_ids"].tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


def test_batches_come_in_few_widths() -> None:
    widths = {
        pad([[1] * length], 0, torch.device("cpu"), longest=250)["input_ids"].shape[1]
        for length in range(1, 251)
    }

    assert widths == {*range(8, 65, 8), *range(80, 129, 16), 160, 192, 224, 250}


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(101)]

    assert pytest.approx(factors[0]) == 0.1
    assert factors[9] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == 0.0


def test_memory_that_a_batch_has_freed_is_there_for_the_next() -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("no glibc here")
    keep_freed_memory()
    sizes = (2**24, 2**24)  # numbers of four bytes: larger than what glibc keeps by itself

    def pages_asked_for() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(4):
            tensors = [torch.ones(size) for size in sizes]
            tensors.clear()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages_asked_for()

    # the best of three: a system that is short of memory takes pages back whenever it likes
    assert 4 * sum(sizes) / resource.getpagesize() > min(pages_asked_for() for _ in range(3))

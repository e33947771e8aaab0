"""Which side a message is on: train, valid or test, decided by a hash and for whole conversations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from data.threads import Groups

SHARES = (("train", 0.7), ("valid", 0.1), ("test", 0.2))


def split_of(component_id: str, *, seed: int) -> str:
    """Return the split of a component: 70 % train, 10 % valid, 20 % test, the same in every run."""
    digest = hashlib.sha256(f"{seed}:{component_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    return SHARES[-1][0]


def splits(
    message_ids: Sequence[str], threads: Groups, links: Iterable[tuple[int, int]], *, seed: int
) -> tuple[list[str], list[str]]:
    """Return the split and the component id of every message, for messages given in rank order.

    A component is threads joined by what is alike in them, so that no near copy of a training
    message is tested on. It is named by its earliest message: later mail does not move it.
    ``threads`` is joined in place.
    """
    for one, other in links:
        threads.join(one, other)
    components = [message_ids[threads.of(rank)] for rank in range(len(message_ids))]
    known = {component: split_of(component, seed=seed) for component in set(components)}
    return [known[component] for component in components], components

"""How often the interval of the archive's recall holds the true one, on archives whose truth is known.

    .venv/bin/python -m tests.benchmarks.archive_recall [--trials 2000]

Each world is an archive with fixed labels; in every trial others of its messages are labelled. Exit
status 1 when the interval of nominally 95 % holds the true recall in fewer than 93 or more than 97 of
100 trials, by more than two standard errors of the count.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from evaluation.archive_recall import STRATA, Stratum, design_effect, estimate_recall, strata_of

DRAWS = 2000


@dataclass(frozen=True)
class World:
    """Sizes of flagged, near and rest, the share of wanted messages in each, and how many are labelled."""

    sizes: tuple[int, int, int]
    shares: tuple[float, float, float]
    labelled: tuple[int, int, int]


@dataclass(frozen=True)
class Coverage:
    trials: int
    covered: float
    below: float  # the true recall lies below the interval
    width: float  # mean, from end to end


WORLDS = {
    "many hits": World((1000, 1000, 8000), (0.6, 0.15, 0.02), (200, 200, 200)),
    "rare hits": World((400, 1000, 20_000), (0.5, 0.05, 0.002), (150, 200, 600)),
    "hardly a hit": World((400, 1000, 20_000), (0.5, 0.03, 0.0005), (150, 200, 600)),
    "no hit in the rest": World((400, 1000, 20_000), (0.5, 0.01, 0), (150, 200, 600)),
    "large archive": World((2000, 10_000, 100_000), (0.3, 0.02, 0.001), (300, 300, 1000)),
    "labels at random": World((400, 1000, 20_000), (0.5, 0.05, 0.003), (40, 100, 2000)),
    "nearly all labelled": World((150, 25, 225), (0.95, 0.4, 0.02), (110, 18, 170)),
    "nearly perfect": World((400, 1000, 20_000), (0.99, 0.002, 0.0002), (150, 200, 1500)),
}


def coverage(world: World, trials: int, *, seed: int = 0) -> Coverage:
    """Label other messages in every trial, drawn from the strata without replacement."""
    random = np.random.default_rng(seed)
    hits = [round(size * share) for size, share in zip(world.sizes, world.shares, strict=True)]
    ends = []
    for trial in range(trials):
        strata = [
            Stratum(name, size, labelled, int(random.hypergeometric(wanted, size - wanted, labelled)))
            for name, size, wanted, labelled in zip(STRATA, world.sizes, hits, world.labelled, strict=True)
        ]
        found = estimate_recall(strata, draws=DRAWS, seed=trial).recall
        ends.append((found.low, found.high))
    return _counted(np.array(ends), hits[0] / sum(hits))


def coverage_of_threads(
    trials: int, *, labelled: float, scored: int | None = None, by_thread: bool = True, seed: int = 3
) -> Coverage:
    """The same where whole threads are labelled whose messages resemble each other.

    ``scored``: the strata are counted on so many unlabelled messages; ``by_thread=False`` leaves the
    design effect out, to show what it is for.
    """
    random = np.random.default_rng(seed)
    threads = np.repeat(np.arange(4000), random.integers(1, 7, 4000))
    moods = random.beta(0.06 * 0.3 / 0.7, 0.94 * 0.3 / 0.7, 4000)  # 6 % wanted, correlation .7 in a thread
    wanted = random.random(len(threads)) < moods[threads]
    scores = random.normal(0.2 + 0.45 * wanted + 0.1 * random.normal(size=4000)[threads], 0.15)
    places = strata_of(scores > 0.5, scores)
    ends = []
    for trial in range(trials):
        chosen = (random.random(4000) < labelled)[threads]
        others = np.flatnonzero(~chosen)
        seen = others if scored is None else random.choice(others, scored, replace=False)
        strata = []
        for place, name in enumerate(STRATA):
            here = chosen & (places == place)
            effect = design_effect(wanted[here].astype(float), threads[here]) if by_thread else 1.0
            size = int(here.sum()) + round((places[seen] == place).mean() * len(others))
            strata.append(Stratum(name, size, int(here.sum()), int(wanted[here].sum()), effect))
        found = estimate_recall(strata, scored=scored, draws=DRAWS, seed=trial).recall
        ends.append((found.low, found.high))
    return _counted(np.array(ends), float((places[wanted] == 0).mean()))


def _counted(ends: np.ndarray, true: float) -> Coverage:
    low, high = ends.T
    inside = (low <= true + 1e-12) & (true - 1e-12 <= high)
    return Coverage(len(ends), float(inside.mean()), float((low > true).mean()), float((high - low).mean()))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    results = {name: coverage(world, trials) for name, world in WORLDS.items()}
    results["threads, 5 % labelled"] = coverage_of_threads(trials, labelled=0.05)
    results["threads, 15 % labelled"] = coverage_of_threads(trials, labelled=0.15)
    results["threads, sizes counted on 2,000"] = coverage_of_threads(trials, labelled=0.15, scored=2000)
    print(f"{'world':<34} {'covered':>8} {'too high':>9} {'too low':>8} {'width':>6}")
    for name, found in results.items():
        above = 1 - found.covered - found.below
        print(f"{name:<34} {found.covered:>8.3f} {found.below:>9.3f} {above:>8.3f} {found.width:>6.3f}")
    without = coverage_of_threads(trials, labelled=0.15, by_thread=False)
    print(f"{'(15 %, without the design effect)':<34} {without.covered:>8.3f}")
    chance = 2 * (0.95 * 0.05 / trials) ** 0.5
    return 0 if all(abs(found.covered - 0.95) <= 0.02 + chance for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How often the gate is wrong: real classifiers, real statistics, nine kinds of challenger.

    .venv/bin/python -m tests.benchmarks.gate [--seeds 50] [--messages 16000]
    .venv/bin/python -m tests.benchmarks.gate --texts FILE.parquet --benign LABEL --critical LABEL

Every seed draws training, test and a large held-out part of one population of labelled messages: the
made-up sample, or a Parquet file with the columns ``text`` and ``label`` (and ``dup_group``, where
near copies are marked). Classifiers are logistic regressions on TF-IDF with a fitted temperature.
What a challenger is truly worth is measured on everything that it was not trained on; the gate sees
the test alone. Search, drift and speed are the same for all and never decide here.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from evaluation.baselines import (
    default_label,
    from_probabilities,
    induce_lexicon,
    predict_by_lexicon,
    predict_by_tfidf,
    read_lexicon,
)
from evaluation.changes import DatasetCounts
from evaluation.drift import Drift, Drifted
from evaluation.findings import Findings, Latency, Provenance, RoundTrip
from evaluation.gate import judge
from evaluation.leakage import Leakage, find_leakage
from evaluation.metrics import Predictions, TestSet, assess, calibration, counts, macro_f1, right, wilson
from evaluation.paired import compare
from evaluation.rules import Rules, load_rules
from evaluation.slices import measure_slices
from evaluation.verdict import Outcome
from tests.benchmarks.gate_challengers import (
    BASE,
    MORE,
    TEST,
    Challenger,
    Population,
    challengers,
    draw,
    population_of,
    read_sample,
    read_texts,
    trained,
)

SIZES = (300, 1000, TEST)  # test messages
PROBES = 64
AGAINST = "macro-F1 minus champion"
BANDS = (-1.0, -0.05, -0.02, -0.01, 0.0, 0.02, 0.05, 1.0)  # of the true gain in macro-F1


@dataclass(frozen=True, slots=True)
class Gain:
    """What a challenger is truly worth against the champion: on everything that was not trained on."""

    macro_f1: float
    worst_recall: float  # the largest drop of a critical class, negative
    worst_slice: float  # the largest drop in accuracy of a slice, negative


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict, and what the challenger is truly worth."""

    scenario: str
    messages: int
    outcome: Outcome
    stopped_by: str
    gain: Gain
    not_worse: bool  # whether the comparison of macro-F1 with the champion, by itself, passed


@dataclass(frozen=True, slots=True)
class Rivals:
    """What a challenger is compared with: the champion's answers to all messages, the baselines' to the test.

    Lexicon and TF-IDF are trained on as many messages as the challenger, with the right labels.
    """

    champion: np.ndarray
    baselines: Mapping[int, tuple[Predictions, Predictions]]
    leaks: dict[tuple[int, int, int, int], Leakage] = field(
        default_factory=dict
    )  # what was looked for before


def test_set(population: Population, rows: np.ndarray, names: Sequence[str]) -> TestSet:
    _, threads = np.unique(population.threads[rows], return_inverse=True)
    codes = np.searchsorted(names, population.labels[rows])
    return TestSet(tuple(map(str, rows)), threads, tuple(names), codes)


def judged(
    population: Population, challenger: Challenger, rivals: Rivals, rows: np.ndarray, rules: Rules
) -> tuple[Outcome, str, bool]:
    """Put the challenger before the gate on these test messages."""
    names = sorted(set(population.labels))
    test = test_set(population, rows, names)
    said, before = (
        from_probabilities(name, test, names, answers[rows], rules.benign)
        for name, answers in (("challenger", challenger.probabilities), ("champion", rivals.champion))
    )
    compared = [*(_first(other, len(rows)) for other in rivals.baselines[len(challenger.trained_on)]), before]
    whole, draws = said.complete == len(test), rules.draws
    assert said.probabilities is not None
    findings = Findings(
        labels=test.labels,
        messages=len(test),
        threads=test.thread_count,
        scored=said.complete,
        challenger=assess(test, said, draws=draws) if whole else None,
        others=(),
        comparisons=tuple(compare(test, said, other, draws=draws) for other in compared) if whole else (),
        has_champion=True,
        slices=measure_slices(
            test,
            said,
            before,
            {name: tuple(values[rows]) for name, values in population.slices.items()},
            minimum=rules.limits.slice_messages,
            draws=draws,
        ),
        slice_reference="champion",
        calibration=calibration(test, said.probabilities, draws=draws) if whole else None,
        curves=(),
        workload=(),
        questions=0,
        retrieval=None,
        answers=None,
        drift=Drift("not varied", 400, 400, (Drifted("words", "Wasserstein", 0.0),), 0.5),
        leakage=_leakage(population, challenger, rivals, rows),
        round_trips=(round_trip(challenger, rows), RoundTrip("embedder", "1", PROBES, 1.0, 0.0)),
        adapter_megabytes=1.0,
        model_megabytes=91.0,
        latency=Latency(50, 40.0, 40.0),
        provenance=Provenance("d", "benchmark", 0, rules.digest, {"classifier": "d", "embedder": "d"}),
        dataset=DatasetCounts(len(population), {}, Counter(map(str, population.labels))),
    )
    verdict = judge(findings, rules)
    stopping = [check for check in verdict.checks if not check.passed and check.effect == verdict.outcome]
    grouped = {"critical classes", "slices"}
    why = stopping[0].group if stopping and stopping[0].group in grouped else ""
    passed = {check.name for check in verdict.checks if check.passed}
    return verdict.outcome, why or (stopping[0].name if stopping else ""), AGAINST in passed


def round_trip(challenger: Challenger, rows: np.ndarray) -> RoundTrip:
    """Compare the answers of the registered copy with the challenger's, as registering does."""
    here, there = (answers[rows[:PROBES]] for answers in (challenger.probabilities, challenger.copy))
    same = float((here.argmax(axis=1) == there.argmax(axis=1)).mean())
    return RoundTrip("classifier", "1", PROBES, same, float(np.abs(here - there).max()))


def _first(predictions: Predictions, count: int) -> Predictions:
    probabilities = predictions.probabilities
    return replace(
        predictions,
        predicted=predictions.predicted[:count],
        probabilities=None if probabilities is None else probabilities[:count],
        alert_score=None,
    )


def true_gain(
    population: Population, challenger: np.ndarray, champion: np.ndarray, rows: np.ndarray, rules: Rules
) -> Gain:
    """Return what the challenger is truly worth against the champion, on all these messages."""
    names = sorted(set(population.labels))
    test = test_set(population, rows, names)
    critical = [test.truth == names.index(name) for name in rules.critical if name in names]
    slices = [
        values[rows] == value
        for values in population.slices.values()
        for value in np.unique(values[rows])
        if (values[rows] == value).sum() >= rules.limits.slice_messages
    ]
    said = [
        from_probabilities("", test, names, answers[rows], rules.benign)
        for answers in (np.nan_to_num(challenger), champion)
    ]
    gained = np.subtract(*(macro_f1(counts(test, each).sum(axis=0), len(names)) for each in said))
    more = np.subtract(*(right(test, each).astype(float) for each in said))
    return Gain(float(gained), *(min(more[own].mean() for own in owns) for owns in (critical, slices)))


def one_seed(population: Population, rules: Rules, seed: int) -> Iterator[Judged]:
    rng = np.random.default_rng(seed)
    rows = draw(population, rng)
    train, test = rows.train, rows.test
    champion = trained(population, train[:BASE], population.labels[train[:BASE]], rows.valid)
    whole = test_set(population, test, sorted(set(population.labels)))
    texts = list(population.texts[test])
    rivals = Rivals(
        champion,
        {count: _baselines(population, whole, texts, train[:count], rules) for count in (BASE, MORE)},
    )
    for challenger in challengers(population, rows, rules, rng):
        gain = true_gain(population, challenger.probabilities, champion, np.r_[test, rows.rest], rules)
        for size in SIZES:
            outcome, why, not_worse = judged(population, challenger, rivals, test[:size], rules)
            yield Judged(challenger.scenario, size, outcome, why, gain, not_worse)


def _leakage(population: Population, challenger: Challenger, rivals: Rivals, rows: np.ndarray) -> Leakage:
    """Look for the test messages among what was trained on; copies stand in threads of their own there."""
    known, leaked = challenger.trained_on, challenger.leaked
    case = (int(known[0]), len(known), len(leaked), len(rows))
    if case not in rivals.leaks:
        threads = [f"t{number}" for number in population.threads[known]]
        rivals.leaks[case] = find_leakage(
            list(population.texts[rows]),
            [f"t{number}" for number in population.threads[rows]],
            [*population.texts[known], *population.texts[leaked]],
            [*threads, *(f"copy {place}" for place in range(len(leaked)))],
        )
    return rivals.leaks[case]


def _baselines(
    population: Population, test: TestSet, texts: list[str], train: np.ndarray, rules: Rules
) -> tuple[Predictions, Predictions]:
    train_texts = list(population.texts[train])
    train_labels = [str(label) for label in population.labels[train]]
    lexicon = read_lexicon(sorted(set(train_labels) - set(rules.benign))) or induce_lexicon(
        train_texts, train_labels, rules.benign
    )
    return (
        predict_by_lexicon(test, texts, lexicon, default_label(train_labels, rules.benign)),
        predict_by_tfidf(test, texts, train_texts, train_labels, rules.benign),
    )


def report(found: Sequence[Judged], rules: Rules) -> str:
    """Return the tables in Markdown."""
    margins = rules.margins
    lines = [
        "| challenger | true macro-F1 minus champion | " + " | ".join(f"{size:,}" for size in SIZES) + " |"
    ]
    lines.append("|---|---|" + "---|" * len(SIZES))
    for scenario in dict.fromkeys(each.scenario for each in found):
        own = [each for each in found if each.scenario == scenario]
        gains = np.array([each.gain.macro_f1 for each in own if each.messages == SIZES[0]])
        cells = [_counts([each for each in own if each.messages == size]) for size in SIZES]
        spread = f"{gains.mean():+.3f} ({gains.min():+.3f} to {gains.max():+.3f})"
        lines.append(f"| {scenario} | {spread} | {' | '.join(cells)} |")
    lines += ["", "promote / hold / reject, and what stopped it most often", ""]
    honest = [each for each in found if not each.scenario.startswith(("leak", "better, "))]
    groups = {
        f"truly worse: macro-F1 by more than {margins.champion_macro_f1:g}": [
            each for each in honest if each.gain.macro_f1 < -margins.champion_macro_f1
        ],
        f"truly worse: recall of a critical class by more than {margins.critical_recall:g}": [
            each for each in honest if each.gain.worst_recall < -margins.critical_recall
        ],
        f"truly worse: accuracy of a slice by more than {margins.slice_accuracy:g}": [
            each for each in honest if each.gain.worst_slice < -margins.slice_accuracy
        ],
        "truly not worse by any of these": [
            each
            for each in honest
            if each.gain.macro_f1 >= -margins.champion_macro_f1
            and each.gain.worst_recall >= -margins.critical_recall
            and each.gain.worst_slice >= -margins.slice_accuracy
        ],
        "leak, NaN or another registered model": [each for each in found if each not in honest],
    }
    lines += [
        "| group | test messages | judged | promoted | 95 % | held | rejected |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, members in groups.items():
        for size in SIZES:
            own = [each for each in members if each.messages == size]
            if own:
                kinds = Counter(each.outcome for each in own)
                bounds = wilson(kinds["promote"], len(own))
                lines.append(
                    f"| {name} | {size:,} | {len(own)} | {kinds['promote']} "
                    f"| {bounds.low:.1%} to {bounds.high:.1%} | {kinds['hold']} | {kinds['reject']} |"
                )
    sizes = " | ".join(f"{size:,}" for size in SIZES)
    lines += ["", f'the check "{AGAINST}" alone: passed of judged', ""]
    lines += [f"| true gain | {sizes} |", "|---|" + "---|" * len(SIZES)]
    for low, high in pairwise(BANDS):
        inside = [each for each in honest if low <= each.gain.macro_f1 < high]
        cells = []
        for size in SIZES:
            own = [each for each in inside if each.messages == size]
            cells.append(f"{sum(each.not_worse for each in own)} of {len(own)}")
        if inside:
            lines.append(f"| {low:+.2f} to {high:+.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _counts(own: Sequence[Judged]) -> str:
    kinds = Counter(each.outcome for each in own)
    stops = Counter(each.stopped_by for each in own if each.stopped_by).most_common(1)
    why = f" ({stops[0][0]})" if stops else ""
    return f"{kinds['promote']} / {kinds['hold']} / {kinds['reject']}{why}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--messages", type=int, default=16_000, help="of the sample")
    parser.add_argument("--texts", type=Path, help="a Parquet file with the columns text and label")
    parser.add_argument("--column", default="text", help="where its texts stand")
    parser.add_argument("--benign", default="", help="its label that raises no alert")
    parser.add_argument("--critical", default="", help="its label whose misses cost most")
    chosen = parser.parse_args()
    rules = load_rules()
    if chosen.texts:
        rules = rules.model_copy(update={"benign": (chosen.benign,), "critical": (chosen.critical,)})
    started = time.monotonic()
    columns = read_texts(chosen.texts, chosen.column) if chosen.texts else read_sample(chosen.messages)
    population = population_of(columns)
    needed = MORE + TEST + 1000
    if len(population) < needed:
        parser.error(f"{len(population):,} different messages; at least {needed:,} are needed")
    print(f"{len(population):,} messages, {dict(Counter(map(str, population.labels)))}", flush=True)
    found: list[Judged] = []
    for seed in range(chosen.seeds):
        found += one_seed(population, rules, seed)
        print(f"seed {seed + 1} of {chosen.seeds}, {time.monotonic() - started:.0f} s", flush=True)
    print(report(found, rules))


if __name__ == "__main__":
    main()

"""Labelled messages, and the challengers that the gate's benchmark trains on them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.rules import Rules
from training.scores import Scores, apply_temperature, fit_temperature

BASE, MORE = 1500, 4000  # training messages
TEST = 3000
VALID = 400  # for the temperature alone
FORGOTTEN = 0.8  # of the labels of one critical class that its challenger is not told
LEAKED = 300
COPY = 0.9  # cosine of word trigrams: below the gate's own bound, so that no copy stays
FEATURES = 10_000
OPENING = 2000  # characters of a text that are read


@dataclass(frozen=True, slots=True)
class Population:
    """Labelled messages; ``vectors`` has a row of TF-IDF weights for each."""

    texts: np.ndarray
    labels: np.ndarray
    threads: np.ndarray
    slices: Mapping[str, np.ndarray]
    vectors: Any

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows of the population, no thread in two parts but valid, test and rest."""

    train: np.ndarray
    test: np.ndarray
    valid: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True, slots=True)
class Challenger:
    """What is judged: answers to every message, what it was trained on, and its registered copy's answers."""

    scenario: str
    probabilities: np.ndarray
    trained_on: np.ndarray
    copy: np.ndarray
    leaked: np.ndarray


def read_sample(messages: int) -> dict[str, Any]:
    from data.sample import write_sample

    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        archive = write_sample(Path(folder) / "sample", seed=7, messages=messages)
        truth = json.loads(Path(f"{archive}.truth.json").read_text(encoding="utf-8"))
    rows = [
        row
        for row in truth["sources"].values()
        if row["label"] and not row["duplicate_of"] and not row["near_duplicate_of"]
    ]
    names = ("text", "label", "thread", "channel", "language")
    return {name: [row[name] for row in rows] for name in names}


def read_texts(path: Path, column: str) -> dict[str, Any]:
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pydict()
    return {
        "text": [text[:OPENING] for text in table[column]],
        "label": [str(label) for label in table["label"]],
        "thread": table.get("dup_group", list(range(len(table[column])))),
    }


def population_of(columns: dict[str, Any]) -> Population:
    """Leave out near copies, which would be leaks whoever trained, and weigh the words of what stays."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    kept = first_of_copies(columns["text"])
    texts = [columns["text"][row] for row in kept]
    _, threads = np.unique([str(columns["thread"][row]) for row in kept], return_inverse=True)
    lengths = np.array([len(text) for text in texts])
    bands = np.digitize(lengths, np.quantile(lengths, [1 / 3, 2 / 3]))
    slices = {name: np.array(columns[name])[kept] for name in ("channel", "language") if name in columns}
    return Population(
        np.array(texts, dtype=object),
        np.array(columns["label"])[kept],
        threads,
        {**slices, "length": np.array(["short", "middle", "long"])[bands]},
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=FEATURES).fit_transform(texts),
    )


def first_of_copies(texts: Sequence[str]) -> np.ndarray:
    """Return the rows that are no near copy of an earlier one."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        ngram_range=(3, 3), n_features=2**20, alternate_sign=False, binary=True, dtype=np.float32
    )
    grams = vectorizer.transform(texts)
    kept = np.ones(len(texts), dtype=bool)
    for start in range(0, len(texts), 512):
        block = (grams[start : start + 512] @ grams.T).tocoo()
        alike = (block.data >= COPY) & (block.col < block.row + start)
        kept[np.unique(block.row[alike]) + start] = False
    return np.flatnonzero(kept)


def draw(population: Population, rng: np.random.Generator) -> Drawn:
    """Deal the rows out by whole threads."""
    order = rng.permutation(population.threads.max() + 1)[population.threads]
    rows = np.argsort(order, kind="stable")
    train = rows[:MORE]
    others = rows[~np.isin(population.threads[rows], population.threads[train])]
    return Drawn(train, others[:TEST], others[TEST : TEST + VALID], others[TEST + VALID :])


def challengers(
    population: Population, rows: Drawn, rules: Rules, rng: np.random.Generator
) -> Iterator[Challenger]:
    """Yield the kinds of challenger; the champion is trained on the first part of ``train``."""
    labels, train, test = population.labels, rows.train, rows.test
    base = train[:BASE]
    nothing = np.array([], dtype=int)

    def answers(known: np.ndarray, taught: np.ndarray) -> np.ndarray:
        return trained(population, known, taught, rows.valid)

    equal = answers(train[BASE : 2 * BASE], labels[train[BASE : 2 * BASE]])
    better = answers(train, labels[train])
    yield Challenger("equal: 1,500 other messages", equal, train[BASE : 2 * BASE], equal, nothing)
    yield Challenger("better: 4,000 messages instead of 1,500", better, train, better, nothing)
    for share in (0.1, 0.3):
        found = answers(base, shuffled(labels[base], share, rng))
        yield Challenger(f"worse: {share:.0%} of the labels shuffled", found, base, found, nothing)
    forgetful = labels[train].copy()
    critical = sorted(set(labels) & set(rules.critical))
    victim, quiet = (
        critical[rng.integers(len(critical))],
        next(name for name in rules.benign if name in labels),
    )
    forgetful[(forgetful == victim) & (rng.random(len(train)) < FORGOTTEN)] = quiet
    found = answers(train, forgetful)
    yield Challenger("more messages, but one critical class forgotten", found, train, found, nothing)
    kind = next((kind for kind in ("language", "channel") if kind in population.slices), None)
    if kind:
        found = answers(train, shuffled_slice(labels[train], population.slices[kind][train], rng))
        yield Challenger(
            f"more messages, but the labels of one {kind} shuffled", found, train, found, nothing
        )
    leaked = test[:LEAKED]
    seen = np.concatenate([train, leaked])
    found = answers(seen, labels[seen])
    yield Challenger("leak: 300 test messages in training", found, train, found, leaked)
    damaged = better.copy()
    damaged[test[0]] = np.nan
    yield Challenger("better, with NaN for one message", damaged, train, damaged, nothing)
    yield Challenger("better, but another model was registered", better, train, equal, nothing)


def shuffled(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the labels with a share of them exchanged among each other."""
    chosen = rng.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    changed[chosen] = labels[rng.permutation(chosen)]
    return changed


def shuffled_slice(labels: np.ndarray, slices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the labels with those of one slice, not the largest, exchanged among each other."""
    values, counts = np.unique(slices, return_counts=True)
    chosen = slices == rng.choice(np.delete(values, counts.argmax()))
    changed = labels.copy()
    changed[chosen] = rng.permutation(labels[chosen])
    return changed


def trained(population: Population, rows: np.ndarray, labels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the calibrated probabilities of all labels, in order, for every message of the population."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=300)
    model.fit(population.vectors[rows], labels)
    names = tuple(map(str, model.classes_))
    said = Scores(names, model.predict_proba(population.vectors).astype(np.float32))
    checked = Scores(names, said.probabilities[valid])
    temperature = fit_temperature([str(label) for label in population.labels[valid]], checked)
    return apply_temperature(said, temperature).probabilities.astype(np.float64)

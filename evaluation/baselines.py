"""What a model must be better than: a keyword lexicon, and TF-IDF with logistic regression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from data.workspace import UserError
from evaluation.metrics import Floats, Predictions, TestSet

LEXICON_PATH = Path(__file__).with_name("lexicon.yaml")
INDUCED_TERMS = 20
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
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        terms = {str(label): tuple(str(term) for term in listed) for label, listed in written.items()}
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise UserError(f"cannot read the lexicon {path}: {type(error).__name__}") from error
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
    words, own_label = counter.get_feature_names_out(), np.asarray(labels)
    terms = {}
    for label in sorted(set(labels) - set(benign)):
        inside, outside = present[own_label == label], present[own_label != label]
        log_odds = _log_odds(inside) - _log_odds(outside)
        terms[label] = tuple(str(words[column]) for column in np.argsort(-log_odds)[:INDUCED_TERMS])
    return Lexicon(terms, induced=True)


def _log_odds(present: np.ndarray) -> np.ndarray:
    share = (np.asarray(present.sum(axis=0)).ravel() + 0.5) / (present.shape[0] + 1)
    return np.log(share / (1 - share))


def predict_by_lexicon(test: TestSet, texts: Sequence[str], lexicon: Lexicon, default: str) -> Predictions:
    """Give each message the label with the most matches, and the default one when there is none."""
    matches = lexicon.matches(texts)
    names = list(lexicon.terms)
    winners = [names[row.argmax()] if row.any() else default for row in matches]
    name = "lexicon (induced)" if lexicon.induced else "lexicon"
    return Predictions(name, codes(winners, test.labels), alert_score=matches.sum(axis=1).astype(np.float64))


def predict_by_tfidf(
    test: TestSet,
    texts: Sequence[str],
    train_texts: Sequence[str],
    train_labels: Sequence[str],
    benign: Sequence[str],
    *,
    seed: int = 7,
) -> Predictions:
    """Train TF-IDF of words and word pairs with logistic regression on the train split, and predict."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=2 if len(train_texts) > 500 else 1, max_features=100_000
    )
    features = vectorizer.fit_transform([text[:OPENING] for text in train_texts])
    model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=300, random_state=seed)
    model.fit(features, train_labels)
    probabilities = model.predict_proba(vectorizer.transform([text[:OPENING] for text in texts]))
    return from_probabilities("TF-IDF", test, [str(label) for label in model.classes_], probabilities, benign)


def default_label(train_labels: Sequence[str], benign: Sequence[str]) -> str:
    """Return the most frequent benign label of the training messages, or the most frequent of all."""
    return Counter([label for label in train_labels if label in benign] or train_labels).most_common(1)[0][0]


def codes(names: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Return each name's place among the test's labels; a label unknown to the test comes last."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places.get(name, len(labels)) for name in names], dtype=np.int64)


def from_probabilities(
    name: str, test: TestSet, labels: Sequence[str], probabilities: Floats, benign: Sequence[str]
) -> Predictions:
    """Turn a model's own label order into the test's; a test label it does not know gets probability 0.

    A row with NaN is a message without an answer: it is predicted as no known label.
    """
    known = codes(labels, test.labels)
    whole = np.isfinite(probabilities).all(axis=1)
    aligned = np.zeros((len(probabilities), len(test.labels)))
    inside = known < len(test.labels)
    aligned[:, known[inside]] = probabilities[:, inside]
    winners = np.where(whole, known[np.nan_to_num(probabilities).argmax(axis=1)], len(test.labels))
    aligned[~whole] = np.nan
    quiet = [place for place, label in enumerate(test.labels) if label in benign]
    alert_score = 1 - np.nan_to_num(aligned[:, quiet].sum(axis=1), nan=1.0)
    return Predictions(name, winners.astype(np.int64), aligned, alert_score)

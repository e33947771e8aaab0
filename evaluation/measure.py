"""From models and messages to figures: the measuring half of an evaluation, without gate or report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.dataset import read_questions
from data.label_sets import classes_of
from evaluation.answers import CHUNKS_READ, Answers, measure_answers
from evaluation.baselines import (
    default_label,
    from_probabilities,
    induce_lexicon,
    predict_by_lexicon,
    predict_by_tfidf,
    read_lexicon,
)
from evaluation.case import Case
from evaluation.drift import Sketch, describe, load_sketch, sample_rows
from evaluation.judge import Asked, Judge, Judged, judge_answers
from evaluation.metrics import Curve, Predictions, TestSet, called, curve
from evaluation.release import Release, as_json
from evaluation.retrieval import MODES, Retrieval, measure_retrieval
from evaluation.rules import Rules
from evaluation.workload import alerts
from serving.evidence import RETRIEVED, evidence_for
from serving.index import Hit
from serving.judged import fetch
from serving.sentences import Sentence

SEARCH_DEPTH = 30  # chunks: enough for ten different messages
SKETCH = "reference.npz"


@dataclass(frozen=True, slots=True)
class Champion:
    """The release that is live, its models as they lie in the registry, and its training data's sketch."""

    release: Release
    classifier: Path
    embedder: Path
    temperature: float
    reference: Sketch | None


@dataclass(frozen=True, slots=True)
class Search:
    """What the search found, and how near the extracted answers are."""

    questions: int
    retrieval: Retrieval | None
    answers: Answers | None
    judged: Judged | None = None


@contextmanager
def open_champion(release: Release | None) -> Iterator[Champion | None]:
    """Yield the champion's registered models as folders; None when there is none."""
    if release is None:
        yield None
        return
    from serving.champion import champion_models, champion_of

    decided = champion_of(as_json(release))
    with champion_models(decided) as models, tempfile.TemporaryDirectory(prefix="mailroom-") as scratch:
        reference = _reference_of(release, Path(scratch))
        yield Champion(release, models.classifier, models.embedder, models.temperature, reference)


def _reference_of(release: Release, folder: Path) -> Sketch | None:
    import mlflow

    try:
        path = fetch(folder, run_id=release.run_id, artifact_path=f"report/{SKETCH}")
        return load_sketch(path)
    except (OSError, mlflow.MlflowException, ValueError, KeyError):
        return None


def ask_classifier(
    name: str,
    folder: Path,
    case: Case,
    benign: Sequence[str],
    *,
    temperature: float = 1.0,
    texts: Sequence[str] | None = None,
) -> Predictions:
    """Classify the test messages, or other ``texts``; the temperature changes the confidence alone."""
    from training.classifier import predict_proba
    from training.scores import apply_temperature

    scores = predict_proba(folder, case.messages.texts if texts is None else texts)
    if temperature != 1.0:
        scores = apply_temperature(scores, temperature)
    stated = scores.probabilities.astype(np.float64)
    several = scores.given() if scores.thresholds is not None else None
    return from_probabilities(name, case.test, scores.labels, stated, benign, several=several)


def ask_baselines(case: Case, benign: Sequence[str], *, seed: int) -> tuple[Predictions, Predictions]:
    """Return what the lexicon and TF-IDF say of the test messages."""
    train_labels = [str(label) for label in case.train.labels]
    lexicon = read_lexicon(sorted(set(classes_of(train_labels)) - set(benign)))
    if lexicon is None:
        lexicon = induce_lexicon(case.train.texts, train_labels, benign)
    return (
        predict_by_lexicon(case.test, case.messages.texts, lexicon, default_label(train_labels, benign)),
        predict_by_tfidf(
            case.test,
            case.messages.texts,
            case.train.texts,
            train_labels,
            benign,
            train_threads=case.train.threads,
            seed=seed,
        ),
    )


def curves_of(test: TestSet, predictions: Predictions, rules: Rules, *, seed: int = 7) -> tuple[Curve, ...]:
    """Return the precision-recall curves: any alert, then the critical classes of the dataset."""
    if predictions.probabilities is None:
        return ()
    scores = np.nan_to_num(predictions.probabilities)
    drawn = partial(curve, threads=test.threads, draws=rules.draws, confidence=rules.confidence, seed=seed)
    found = []
    quiet = [code for code, label in enumerate(test.labels) if label in rules.benign]
    if quiet:
        sure = 1 - scores[:, quiet].sum(axis=1)
        if predictions.predicted.ndim == 2 and predictions.alert_score is not None:
            sure = predictions.alert_score  # probabilities of several labels do not add up to one
        found.append(drawn("any alert", alerts(test, test.truth, rules.benign), sure))
    for code, label in enumerate(test.labels):
        if label in rules.critical:
            found.append(drawn(label, test.applies[:, code], scores[:, code]))
    return tuple(each for each in found if each is not None)


def measure_search(
    prepared: Path, index: Path, embedder: Path, rules: Rules, *, seed: int, judge: Judge | None = None
) -> Search:
    """Ask the answerable questions in every way of searching, and quote what lies nearest.

    The gateway quotes the same, unless it lies below the threshold, which is fitted at deployment.
    """
    from serving.embed import embed_texts, load_embedder, question_input, servable_folder
    from serving.index import open_index

    asked = [row for row in read_questions(prepared).to_pylist() if row["answerable"] and row["message_ids"]]
    if not asked:
        return Search(0, None, None)
    model = load_embedder(servable_folder(embedder))

    questions = [row["question"] for row in asked]
    vectors = np.asarray(embed_texts(model, [question_input(text) for text in questions]))
    with open_index(index) as opened:
        found = {
            mode: opened.search(questions, vectors.astype(np.float32), k=SEARCH_DEPTH, mode=mode)
            for mode in MODES
        }
    rankings = {mode: [[hit.message_id for hit in hits] for hits in lists] for mode, lists in found.items()}
    retrieval = measure_retrieval(
        rankings,
        [row["message_ids"] for row in asked],
        draws=rules.draws,
        confidence=rules.confidence,
        seed=seed,
    )
    nearest = [
        evidence_for(question, hits[:RETRIEVED], partial(embed_texts, model))
        for question, hits in zip(questions, found["hybrid"], strict=True)
    ]
    quoted = [evidence[0].sentence if evidence else None for evidence in nearest]
    responses = [sentence.text if sentence else "" for sentence in quoted]
    passages = [_passages(hits, sentence) for hits, sentence in zip(found["hybrid"], quoted, strict=True)]
    answers = measure_answers(
        responses,
        [row["answer"] for row in asked],
        passages,
        [
            bool(sentence and sentence.message_id in row["message_ids"])
            for sentence, row in zip(quoted, asked, strict=True)
        ],
        draws=rules.draws,
        confidence=rules.confidence,
        seed=seed,
    )
    judged = None
    if judge:
        rows = zip(questions, responses, (row["answer"] for row in asked), map(tuple, passages), strict=True)
        judged = judge_answers(
            judge, [Asked(*row) for row in rows], seed=seed, draws=rules.draws, confidence=rules.confidence
        )
    return Search(len(asked), retrieval, answers, judged)


def _passages(hits: Sequence[Hit], quoted: Sentence | None) -> list[str]:
    """Return the chunk that the quoted sentence stands in, and the first ones of the others."""
    first = sorted(hits[:RETRIEVED], key=lambda hit: not quoted or hit.chunk_id != quoted.chunk_id)
    return [hit.text for hit in first[:CHUNKS_READ]]


def learned_sketch(case: Case, classifier: Path, embedder: Path, *, seed: int) -> Sketch:
    """Describe a sample of the training messages by numbers, as the models see them."""
    from training.classifier import predict_proba

    texts = [case.train.texts[row] for row in sample_rows(len(case.train), seed=seed)]
    predicted = tuple(predict_proba(classifier, texts).best())
    return Sketch(describe(texts), _positions(embedder, texts), predicted)


def todays_sketch(case: Case, said: Predictions, embedder: Path, *, seed: int) -> Sketch:
    """Describe a sample of the test messages in the same way."""
    rows = sample_rows(len(case.messages), seed=seed)
    texts = [case.messages.texts[row] for row in rows]
    names = called(case.test, said)
    predicted = tuple(names[row] for row in rows)
    return Sketch(describe(texts), _positions(embedder, texts), predicted)


def _positions(embedder: Path, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the embeddings by which samples are compared, computed as those of an index are."""
    from serving.embed import embed_passages, load_embedder, passage_input, servable_folder

    model = load_embedder(servable_folder(embedder))
    return embed_passages(model, [passage_input("", text) for text in texts]).astype(np.float64)

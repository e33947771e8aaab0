"""Ask every model everything, then turn the answers into findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from tqdm import tqdm

from data.workspace import UserError
from evaluation.answer_loss import AnswerLoss, measure_answer_loss
from evaluation.behaviour import Behaviour, load_behaviour, measure_behaviour
from evaluation.case import Case, date_of
from evaluation.changes import Changes, changes_between, count_flips
from evaluation.decision import current_release, verify_alias
from evaluation.drift import Drift, measure_drift, save_sketch
from evaluation.equal_work import union_of
from evaluation.errors import worst_errors
from evaluation.false_alarms import measure_false_alarms
from evaluation.findings import Findings, Latency, Provenance, RoundTrip
from evaluation.judge import Judge
from evaluation.latency import measure_latency
from evaluation.leakage import Leakage, find_leakage
from evaluation.measure import (
    SKETCH,
    Champion,
    Search,
    ask_baselines,
    ask_classifier,
    curves_of,
    learned_sketch,
    measure_search,
    open_champion,
    todays_sketch,
)
from evaluation.metrics import Calibration, Predictions, TestSet, assess, calibration
from evaluation.origin import dataset_counts, origin_of_challenger, origin_of_champion
from evaluation.paired import compare
from evaluation.planning import Planning, measure_planning
from evaluation.registry import Version, classifier_round_trip, embedder_round_trip
from evaluation.release import Release
from evaluation.rules import Rules
from evaluation.slices import measure_slices
from evaluation.subject import Subject
from evaluation.workload import measure_workload
from serving.adapter import decided_adapter, origin_of
from training.recipe import load_recipe, recipe_digest

STEPS = 10
OWN = "the challenger's own training data"


@dataclass(frozen=True, slots=True)
class Collected:
    """The raw answers; the others are lexicon, TF-IDF and, if there is one, the champion."""

    challenger: Predictions
    others: tuple[Predictions, ...]
    champion: Release | None
    round_trips: tuple[RoundTrip, ...]
    search: Search
    drift: Drift
    leakage: Leakage
    latency: Latency | None
    behaviour: Behaviour
    planning: Planning | None = None
    answer_loss: AnswerLoss | None = None


def collect(
    subject: Subject,
    case: Case,
    rules: Rules,
    versions: tuple[Version, Version],
    folder: Path,
    *,
    judge: Judge | None = None,
) -> Collected:
    """Run challenger, champion and baselines over the test; drift.html and its numbers go to ``folder``."""
    bar = tqdm(total=STEPS, desc="evaluate", unit="step", leave=False)
    with bar, open_champion(current_release()) as champion:
        _next(bar, "baselines")
        others: tuple[Predictions, ...] = ask_baselines(case, rules.benign, seed=subject.seed)
        _next(bar, "classifier")
        model, temperature = subject.classifier.merged, subject.classifier.temperature
        challenger = ask_classifier("challenger", model, case, rules.benign, temperature=temperature)
        champion_says = _champion_says(champion, case, rules)
        _next(bar, "latency")
        latency = measure_latency(model, champion.classifier if champion else None, case.messages.texts)
        _next(bar, "registry")
        trips = (
            classifier_round_trip(versions[0], model, case.messages.texts),
            embedder_round_trip(versions[1], subject.embedder.merged, case.messages.texts),
        )
        _next(bar, "search")
        search = measure_search(
            subject.prepared, subject.index, subject.embedder.folder, rules, seed=subject.seed, judge=judge
        )
        _next(bar, "drift")
        drift = _drift(
            subject, case, challenger, folder, rules=rules, champion=champion, champion_says=champion_says
        )
        _next(bar, "behaviour")
        behaviour = _behaviour(subject, case, rules)
        _next(bar, "leakage")
        leakage = _leakage(case)
        _next(bar, "workload")
        all_others = (*others, champion_says) if champion_says else others
        planning = _planning(subject, case, rules, (challenger, *all_others))
        _next(bar, "generator")
        answer_loss = _answer_loss(subject, rules, champion.release if champion else None)
        return Collected(
            challenger,
            all_others,
            champion.release if champion else None,
            trips,
            search,
            drift,
            leakage,
            latency,
            behaviour,
            planning,
            answer_loss,
        )


def _next(bar: Any, name: str) -> None:
    bar.set_postfix_str(name, refresh=False)
    bar.update()


def _champion_says(champion: Champion | None, case: Case, rules: Rules) -> Predictions | None:
    if champion is None:
        return None
    model, temperature = champion.classifier, champion.temperature
    return ask_classifier("champion", model, case, rules.benign, temperature=temperature)


def _planning(subject: Subject, case: Case, rules: Rules, answers: tuple[Predictions, ...]) -> Planning:
    model, temperature = subject.classifier.merged, subject.classifier.temperature

    def ask(texts: Sequence[str]) -> Predictions:
        return ask_classifier("challenger", model, case, rules.benign, temperature=temperature, texts=texts)

    return measure_planning(subject.prepared, case, answers, rules, ask=ask, seed=subject.seed)


def _drift(
    subject: Subject,
    case: Case,
    challenger: Predictions,
    folder: Path,
    *,
    rules: Rules,
    champion: Champion | None,
    champion_says: Predictions | None,
) -> Drift:
    """Compare today's messages with the champion's training data, or train with test for the first model.

    The challenger's own sketch stays in ``folder``, for the day when it is the champion.
    """
    model, seed, page = subject.embedder.merged, subject.seed, folder / "drift.html"
    own = learned_sketch(case, subject.classifier.merged, model, seed=seed)
    save_sketch(own, folder / SKETCH)
    reference, described_as = own, OWN
    if champion and champion_says and champion.reference:
        now = todays_sketch(case, champion_says, champion.embedder, seed=seed)
        reference = champion.reference
        described_as = f"the training data of champion version {champion.release.classifier_version}"
    else:
        now = todays_sketch(case, challenger, model, seed=seed)
    alarms = measure_false_alarms(
        reference,
        embedding_limit=rules.limits.embedding_drift,
        descriptor_limit=rules.limits.descriptor_drift,
        confidence=rules.confidence,
        seed=seed,
    )
    return replace(measure_drift(reference, now, page, described_as=described_as), false_alarms=alarms)


def _answer_loss(subject: Subject, rules: Rules, champion: Release | None) -> AnswerLoss | None:
    if subject.adapter is None:
        return None
    try:
        champions = decided_adapter(champion.digests) if champion else None
    except UserError:  # the gate says that it could not be compared
        champions = None
    if champions and origin_of(champions)["base"] != origin_of(subject.adapter.folder)["base"]:
        champions = None  # likewise: it fits no more on what the generator is now
    return measure_answer_loss(
        subject.prepared,
        subject.adapter.folder,
        subject.recipe,
        champion=champions,
        draws=rules.draws,
        confidence=rules.confidence,
        seed=subject.seed,
    )


def _behaviour(subject: Subject, case: Case, rules: Rules) -> Behaviour:
    from training.classifier import predict_proba

    return measure_behaviour(
        lambda texts: predict_proba(subject.classifier.merged, texts),
        subject.prepared,
        case.test.labels,
        benign=rules.benign,
        declared=load_behaviour(),
        confidence=rules.confidence,
        seed=subject.seed,
    )


def _leakage(case: Case) -> Leakage:
    return find_leakage(
        case.messages.texts,
        case.messages.threads,
        case.seen.texts,
        case.seen.threads,
        newest_train=date_of(case.seen.times, newest=True),
        oldest_test=date_of(case.messages.times, newest=False),
    )


def findings_of(subject: Subject, case: Case, rules: Rules, collected: Collected) -> Findings:
    """Compute every figure with its interval; without a whole set of answers there is none."""
    drawn: _Drawn = {"draws": rules.draws, "confidence": rules.confidence, "seed": subject.seed}
    test, challenger, others = case.test, collected.challenger, collected.others
    whole = challenger.complete == len(test) and challenger.probabilities is not None
    reference = others[-1]
    return Findings(
        labels=test.labels,
        messages=len(test),
        threads=test.thread_count,
        scored=challenger.complete,
        challenger=assess(test, challenger, **drawn) if whole else None,
        others=tuple(assess(test, other, **drawn) for other in others),
        comparisons=tuple(compare(test, challenger, other, **drawn) for other in (others if whole else ())),
        has_champion=collected.champion is not None,
        slices=measure_slices(
            test,
            challenger,
            reference,
            case.slices,
            minimum=rules.limits.slice_messages,
            **drawn,
        ),
        slice_reference=reference.name,
        calibration=_calibration(test, challenger, drawn) if whole else None,
        curves=curves_of(test, challenger, rules, seed=subject.seed),
        workload=measure_workload(
            test,
            (challenger, *others, union_of(test, challenger, others[0], rules.benign)),
            rules.benign,
            minutes_per_alert=rules.minutes_per_alert,
            **drawn,
        ),
        questions=collected.search.questions,
        retrieval=collected.search.retrieval,
        answers=collected.search.answers,
        judged=collected.search.judged,
        drift=collected.drift,
        leakage=collected.leakage,
        round_trips=collected.round_trips,
        adapter_megabytes=_largest_adapter(subject),
        model_megabytes=max(subject.classifier.model_megabytes, subject.embedder.model_megabytes),
        latency=collected.latency,
        provenance=Provenance(
            subject.dataset, subject.recipe, subject.seed, rules.digest, subject.parts, subject.details
        ),
        notes=tuple(_notes(subject, case, rules, collected)),
        behaviour=collected.behaviour,
        planning=collected.planning,
        dataset=dataset_counts(subject.prepared),
        changes=_changes(subject, case, rules, collected),
        errors=worst_errors(
            test,
            challenger,
            rules.critical,
            channels=case.messages.channels,
            times=case.messages.times,
        ),
        answer_loss=collected.answer_loss,
        multi_label=test.is_multi_label,
    )


class _Drawn(TypedDict):
    """How every range is drawn."""

    draws: int
    confidence: float
    seed: int


def _calibration(test: TestSet, challenger: Predictions, drawn: _Drawn) -> Calibration | None:
    if challenger.probabilities is None:
        return None
    given = challenger.given(test)[:, :-1] if challenger.predicted.ndim == 2 else None
    return calibration(test, challenger.probabilities, given=given, **drawn)


def _largest_adapter(subject: Subject) -> float:
    trained = subject.classifier.adapter_megabytes, subject.embedder.adapter_megabytes
    return max(*trained, subject.adapter.megabytes if subject.adapter else 0.0)


def _changes(subject: Subject, case: Case, rules: Rules, collected: Collected) -> Changes | None:
    champion = collected.champion
    if champion is None:
        return None
    return changes_between(
        origin_of_champion(champion),
        origin_of_challenger(subject, rules.digest),
        count_flips(case.test, collected.others[-1], collected.challenger),
        release=champion.id,
        versions=(champion.classifier_version, champion.embedder_version),
    )


def _notes(subject: Subject, case: Case, rules: Rules, collected: Collected) -> list[str]:
    """Say what was left out, and why."""
    notes = []
    if not set(rules.benign) & set(case.test.labels):
        notes.append(
            f"No test message is {' or '.join(rules.benign)}: all are alerts; workload is not measured."
        )
    if absent := sorted(set(rules.critical) - dataset_counts(subject.prepared).labels.keys()):
        notes.append(f"Critical classes that the dataset has not, not judged: {', '.join(absent)}.")
    if undeclared := collected.behaviour.undeclared:
        notes.append(
            "Classes without texts in evaluation/behaviour.yaml, tested for invariance alone: "
            f"{', '.join(undeclared)}."
        )
    if collected.others[0].name != "lexicon":
        notes.append(
            "No written lexicon covers these labels; the lexicon was induced from the training labels."
        )
    if not collected.search.questions:
        notes.append("The archive has no questions with known answers: search and answers are not judged.")
    if collected.champion:
        notes.append(
            "The champion's embedder is not searched with again: only the classifiers are compared pairwise."
        )
        if collected.drift.reference == OWN:
            notes.append(
                "The champion's numbers about its training data are gone; drift is train against test."
            )
    if subject.classifier.recipe_digest != recipe_digest(load_recipe(subject.recipe)):
        notes.append(
            f"The models were trained by recipe {subject.classifier.recipe!r}, not by what stands in "
            f"{Path(subject.recipe).name!r}."
        )
    return [*notes, *verify_alias()]

"""What becomes live answers a share first; a regression makes the former bundle live again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from made_decisions import decide
from made_gateway import CopyingGenerator, client_of
from test_bundle import kept, write_manifest
from test_door import door_of, wait_until

from data.workspace import UserError
from serving import canary as tried
from serving import swap
from serving.audit import verify_audit
from serving.bundle import Bundle
from serving.canary import Canary, Tally, Trial, classified, regressions, score_differences
from serving.client import EngineUnavailableError
from serving.door import Door, Doors
from serving.embed import Vectors
from serving.guard import Guards
from serving.limits import DeadlineError, deadline, seconds_left
from serving.live import go_live, served_bundle
from serving.metrics import Metrics

RULE = Canary(share=0.5, messages=10, failed=0.1, differing=0.2, slower=2)
Follow = Callable[[Doors, Door, list[str]], None]
TEXTS = [[f"text {number}"] for number in range(200)]


def says(place: int) -> Callable[[Sequence[str]], Vectors]:
    return lambda texts: np.eye(2, dtype=np.float32)[[place] * len(texts)]


def unsure(texts: Sequence[str]) -> Vectors:
    """Give the same labels as ``says(1)``, with hardly a reason."""
    return np.array([[0.49, 0.51]] * len(texts), np.float32)


def fails(_texts: Sequence[str]) -> Vectors:
    raise EngineUnavailableError("classifier")


@pytest.fixture
def present(tmp_path: Path) -> Door:
    return replace(door_of(tmp_path / "present"), labels=("ham", "spam"), classify=says(0))


@pytest.fixture
def candidate(tmp_path: Path) -> Door:
    """Its labels stand in another order: labels are compared, not places."""
    door = door_of(tmp_path / "candidate")
    bundle = replace(door.bundle, digest="c" * 64)
    return replace(door, bundle=bundle, labels=("spam", "ham"), classify=says(1))


@pytest.mark.parametrize(
    ("tally", "found"),
    [
        (Tally(9), None),
        (Tally(10), ()),
        (Tally(10, failed=1, differing=2, seconds=[0.2], present_seconds=[0.1]), ()),
        (Tally(3, failed=2), ("failed on 2 of 3 messages",)),
        (Tally(3, differing=3), ("labels 3 of 3 messages otherwise",)),
        (
            Tally(10, seconds=[0.3], present_seconds=[0.1]),
            ("takes 300 ms at p95, the present bundle 100 ms",),
        ),
        (Tally(10, score_difference=2.0), ()),
        (
            Tally(4, failed=1, score_difference=2.1),
            ("gives probabilities that differ by 0.70 on average",),
        ),
        (Tally(9, seconds=[0.3], present_seconds=[0.1]), None),
        (Tally(10, seconds=[0.03], present_seconds=[0.001]), ()),
    ],
    ids=[
        "too few",
        "same",
        "within every bound",
        "fails",
        "differs",
        "slow",
        "scores within the bound",
        "scores differ",
        "slow, too few",
        "not noticeably",
    ],
)
def test_the_rule_says_what_becomes_of_a_tally(tally: Tally, found: tuple[str, ...] | None):
    assert regressions(tally, RULE) == found


def test_the_same_texts_always_fall_on_the_same_side(present: Door, candidate: Door):
    trial = Trial(candidate, RULE.model_copy(update={"share": 0.1}), Metrics())
    sides = [trial.takes(texts) for texts in TEXTS]

    assert sides == [trial.takes(texts) for texts in TEXTS]
    assert 5 <= sum(sides) <= 40
    other = Trial(replace(candidate, bundle=present.bundle), trial.rule, Metrics())
    assert sides != [other.takes(texts) for texts in TEXTS]  # another trial, another share


def test_the_candidate_answers_its_share_and_both_are_compared(present: Door, candidate: Door):
    trial = Trial(candidate, RULE, Metrics())

    answered = [classified(trial, present, texts)[0] is candidate for texts in TEXTS]

    assert answered == [trial.takes(texts) for texts in TEXTS]
    assert (trial.tally.messages, trial.tally.differing) == (sum(answered), 0)
    assert len(trial.tally.seconds) == len(trial.tally.present_seconds) == sum(answered)


def sure(texts: Sequence[str]) -> Vectors:
    return np.array([[0.92, 0.08]] * len(texts), np.float32)


def at(temperature: float, door: Door) -> Door:
    """Return the door with a bundle that states this temperature."""
    (door.bundle.folder / "thresholds.json").write_text(json.dumps({"temperature": temperature}))
    return replace(door, bundle=write_manifest(door.bundle.folder))


@pytest.mark.parametrize(("temperature", "goes_back"), [(1.0, False), (1.5, False), (4.0, True)])
def test_a_wrong_temperature_goes_back_though_every_label_is_the_same(
    present: Door, candidate: Door, temperature: float, goes_back: bool
):
    metrics = Metrics()
    before = at(1.0, replace(present, classify=sure))
    trial = Trial(at(temperature, replace(candidate, labels=present.labels, classify=sure)), RULE, metrics)

    for texts in TEXTS[: RULE.messages]:
        trial.classify(texts, before)

    assert (trial.tally.messages, trial.tally.differing) == (RULE.messages, 0)
    assert bool(trial.regressions()) is goes_back
    seen = metrics.registry.get_sample_value("mailroom_canary_score_difference_count")
    assert seen == RULE.messages


def test_probabilities_are_paired_by_label(present: Door, candidate: Door):
    one, other = at(1.0, present), at(1.0, candidate)  # its labels stand in another order
    other = replace(other, labels=("spam", "ham", "new"))

    apart = score_differences(
        one, np.array([[0.7, 0.3]], np.float32), other, np.array([[0.2, 0.7, 0.1]], np.float32)
    )

    assert apart == pytest.approx([0.1])


def test_a_candidate_that_fails_costs_no_request(present: Door, candidate: Door):
    trial = Trial(replace(candidate, classify=fails), RULE, Metrics())

    doors = {id(classified(trial, present, texts)[0]) for texts in TEXTS}

    assert doors == {id(present)}
    assert trial.tally.failed == trial.tally.messages > 0
    assert trial.regressions()


def test_nobody_waits_long_for_a_candidate(present: Door, candidate: Door, monkeypatch: pytest.MonkeyPatch):
    def hangs(_texts: Sequence[str]) -> Vectors:
        time.sleep(seconds_left(60))
        raise DeadlineError

    monkeypatch.setattr(tried, "PATIENCE_S", 0.05)
    trial = Trial(replace(candidate, classify=hangs), RULE, Metrics())
    taken = next(texts for texts in TEXTS if trial.takes(texts))
    started = time.monotonic()

    assert classified(trial, present, taken)[0] is present
    assert time.monotonic() - started < 1
    assert trial.tally.failed == 1


def test_a_candidate_is_not_blamed_for_a_request_without_time(present: Door, candidate: Door):
    trial = Trial(replace(candidate, classify=fails), RULE, Metrics())
    taken = next(texts for texts in TEXTS if trial.takes(texts))

    with deadline(tried.PATIENCE_S / 2):
        assert classified(trial, present, taken)[0] is present

    assert trial.tally.messages == 0


@pytest.fixture
def follow(guards: Guards, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    """Return what lets doors follow the live bundle, where another door starts at once."""
    stop, followers = threading.Event(), []

    def begin(doors: Doors, second: Door, log: list[str]) -> None:
        closing = ExitStack()
        closing.callback(log.append, "closed")
        monkeypatch.setattr(swap, "POLL_S", 0.01)
        monkeypatch.setattr(swap, "start_door", lambda *_, **__: (second, closing))
        follower = threading.Thread(
            target=swap.follow_live,
            args=(doors, "auto", guards.metrics, guards.audit),
            kwargs={"stop": stop, "canary": RULE},
        )
        followers.append(follower)
        follower.start()

    yield begin
    stop.set()
    for follower in followers:
        follower.join(5)


@dataclass(frozen=True)
class Lived:
    """A gateway on a first bundle that follows what is live, and a second bundle to come."""

    first: Bundle
    second: Bundle
    doors: Doors
    log: list[str]
    client: TestClient


@pytest.fixture
def lived(
    tmp_path: Path,
    guards: Guards,
    candidate: Door,
    follow: Follow,
    request: pytest.FixtureRequest,
) -> Lived:
    first = kept(tmp_path / "first")
    go_live(first)
    second = kept(tmp_path / "second")
    doors, log = Doors(), list[str]()
    present = replace(candidate, bundle=first, labels=("ham", "spam"), classify=says(0))
    client = client_of(present, guards, doors=doors)
    follow(doors, replace(candidate, bundle=second, classify=getattr(request, "param", says(1))), log)
    return Lived(first, second, doors, log, client)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lived", "ends", "answered"),
    [
        (says(1), "done", {"first", "second"}),
        (unsure, "rolled_back", {"first", "second"}),
        (says(0), "rolled_back", {"first", "second"}),
        (fails, "rolled_back", {"first"}),
    ],
    indirect=["lived"],
    ids=["agrees", "unsure", "differs", "fails"],
)
def test_a_trial_ends_with_the_better_bundle_live_and_no_request_lost(
    lived: Lived, guards: Guards, ends: str, answered: set[str]
):
    go_live(lived.second)
    wait_until(lambda: lived.doors.trial is not None)

    codes, releases, number = set(), set(), 0
    while not guards.metrics.registry.get_sample_value("mailroom_swaps_total", {"outcome": ends}):
        reply = lived.client.post("/v1/classify", json={"messages": [{"text": f"text {number}"}]})
        codes.add(reply.status_code)
        releases.add(reply.json()["release"])
        number += 1
        assert number < 1_000

    is_back = ends == "rolled_back"
    wait_until(lambda: lived.log == (["closed"] if is_back else []))
    assert (codes, releases) == ({200}, answered)
    assert lived.doors.current is not None
    assert lived.doors.current.bundle.digest == (lived.first if is_back else lived.second).digest
    assert lived.doors.current.bundle.digest == served_bundle().digest
    told = [json.loads(line)["event"] for line in guards.audit.path.read_text().splitlines()]
    canaries = [event["bundle"] for event in told if event.get("event") == "canary"]
    assert canaries == ([lived.second.digest] if is_back else [])
    assert verify_audit(guards.audit.path)[1] is None


def test_who_rolls_back_during_a_trial_ends_it(lived: Lived):
    go_live(lived.second)
    wait_until(lambda: lived.doors.trial is not None)

    decide("rolled_back", "first")
    go_live(lived.first)
    wait_until(lambda: lived.log == ["closed"])

    assert lived.doors.trial is None
    assert lived.doors.current is not None
    assert lived.doors.current.bundle.digest == lived.first.digest


def test_what_a_reviewer_went_back_to_is_served_without_a_trial(lived: Lived):
    decide("rolled_back", "second")
    go_live(lived.second)
    wait_until(lambda: lived.doors.current is not None and lived.doors.current.bundle == lived.second)

    assert lived.doors.trial is None


@pytest.mark.parametrize("canary", [RULE, None], ids=["tried", "not tried"])
def test_what_sleeps_sleeps_on_in_a_candidate_but_for_what_is_tried(
    tmp_path: Path, guards: Guards, monkeypatch: pytest.MonkeyPatch, canary: Canary | None
):
    doors, stop, asked = Doors(), threading.Event(), list[set[str]]()
    first = kept(tmp_path / "first")
    go_live(first)
    dozing = CopyingGenerator()
    dozing.asleep = frozenset({"generator", "classifier"})
    present = replace(door_of(tmp_path / "present"), bundle=first, client=dozing)  # type: ignore[arg-type]
    doors.open(present, ExitStack())

    def start(*_: object, asleep: set[str], **__: object) -> None:
        asked.append(asleep)
        stop.set()
        raise UserError("seen")

    monkeypatch.setattr(swap, "POLL_S", 0.01)
    monkeypatch.setattr(swap, "start_door", start)
    go_live(kept(tmp_path / "second"))
    swap.follow_live(doors, "auto", guards.metrics, guards.audit, stop=stop, canary=canary)

    assert asked == [{"generator"} if canary else {"generator", "classifier"}]


def test_a_text_counts_once_however_often_it_is_sent(candidate: Door):
    trial = Trial(candidate, Canary(share=0.5, messages=10), Metrics())
    present = replace(candidate, labels=("ham", "spam"), classify=says(0))

    for _ in range(3):
        trial.classify(["the same"] * 64, present)

    assert trial.tally.messages == 1

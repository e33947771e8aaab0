"""What must not change a label, what must not lower a class, and what must simply be known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest

from data.workspace import UserError
from evaluation.behaviour import (
    Ask,
    Behaviour,
    Declared,
    _amounts,
    _dates,
    _words,
    load_behaviour,
    measure_behaviour,
)
from tests.serving.made_dataset import LABELS, write_dataset

DECLARED = Declared(
    tolerance=0.05,
    swaps={"weekdays": ("Monday", "Thursday", "Friday")},
    texts={
        "off_channel": ("Call me on the other phone.", "Not here, call me."),
        "ordinary": ("The garage is closed.", "The garage is open."),
        "unheard_of": ("What is this?", "Who is that?"),
    },
)


@dataclass(frozen=True)
class Said:
    labels: tuple[str, ...]
    probabilities: np.ndarray

    def best(self) -> list[str]:
        return [self.labels[column] for column in self.probabilities.argmax(axis=1)]


def classifier(alarming: Callable[[str], float]) -> Ask:
    """A model of two labels whose probability of off_channel is a function of the text."""

    def ask(texts: Sequence[str]) -> Said:
        share = np.array([alarming(text) for text in texts])
        return Said(("off_channel", "ordinary"), np.column_stack([share, 1 - share]))

    return ask


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("behaviour") / "prepared")


def failures(ask: Ask, dataset: Path) -> dict[tuple[str, str], tuple[int, int]]:
    found = measured(ask, dataset)
    return {(test.kind, test.name): (test.failures, test.cases) for test in found.tests}


def measured(ask: Ask, dataset: Path, labels: Sequence[str] = LABELS) -> Behaviour:
    return measure_behaviour(ask, dataset, labels, benign=("ordinary",), declared=DECLARED)


def test_a_model_that_reads_what_is_said_fails_nothing(dataset: Path) -> None:
    found = failures(classifier(lambda text: 0.9 if "call me" in text.lower() else 0.1), dataset)

    assert {0} == {failed for failed, _ in found.values()}
    assert {"weekdays", "amounts", "placeholders"} <= {name for kind, name in found if kind == "invariance"}


def test_a_model_that_goes_by_the_weekday_is_caught(dataset: Path) -> None:
    found = failures(classifier(lambda text: 0.9 if "Monday" in text else 0.1), dataset)

    failed, cases = found["invariance", "weekdays"]
    assert 0 < failed <= cases
    assert 0 == found["invariance", "amounts"][0]
    assert (2, 2) == found["functionality", "off_channel"]


def test_a_model_that_goes_by_a_digit_is_caught(dataset: Path) -> None:
    found = failures(
        classifier(lambda text: 0.9 if sum(map(int, re.findall(r"\d", text))) % 2 else 0.1), dataset
    )

    assert found["invariance", "amounts"][0] > 0


def test_a_model_that_a_clear_text_makes_less_sure_is_caught(dataset: Path) -> None:
    found = failures(classifier(lambda text: 0.2 if "call me" in text.lower() else 0.8), dataset)

    failed, cases = found["directional", "off_channel"]
    assert 0 < failed <= cases


def test_a_fall_within_the_tolerance_is_none(dataset: Path) -> None:
    found = failures(classifier(lambda text: 0.77 if "call me" in text.lower() else 0.8), dataset)

    assert 0 == found["directional", "off_channel"][0]


def test_an_answer_that_is_no_number_is_a_failure(dataset: Path) -> None:
    found = failures(classifier(lambda _: float("nan")), dataset)

    assert all(failed == cases for failed, cases in found.values())


def test_labels_without_texts_are_named_and_left_out(dataset: Path) -> None:
    ask = classifier(lambda _: 0.1)

    assert ("insider_information",) == measured(ask, dataset).undeclared
    strange = measured(ask, dataset, ("ham", "junk"))
    assert ("ham", "junk") == strange.undeclared
    assert {"invariance"} == {test.kind for test in strange.tests}
    assert strange.total("functionality") is None


def test_wilson_ranges_hold_the_share(dataset: Path) -> None:
    total = measured(classifier(lambda text: 0.9 if "Monday" in text else 0.1), dataset).total("invariance")

    assert total is not None
    assert total.cases == sum(
        cases
        for (kind, name), (_, cases) in failures(classifier(lambda _: 0.1), dataset).items()
        if kind == "invariance" and name != "placeholders"
    )
    assert 0 < total.rate.low < total.rate.value == total.failures / total.cases < total.rate.high < 1


def test_swaps_exchange_the_same_for_the_same_and_leave_the_rest() -> None:
    chance = Random(1)
    text = "On Monday, not on Mondayish days; Monday it is, 1,200 shares on 3.4.2025 and 2025-04-03, v2."

    days = _words(("Monday", "Friday"))(text, chance)
    dates, amounts = _dates(text, chance), _amounts(text, chance)

    assert "On Friday, not on Mondayish days; Friday it is" in days
    assert re.sub(r"\d+\.\d+\.\d{4}|\d{4}-\d\d-\d\d", "D", dates) == re.sub(
        r"\d+\.\d+\.\d{4}|\d{4}-\d\d-\d\d", "D", text
    )
    assert dates != text
    assert "3.4.2025 and 2025-04-03, v2." in amounts
    assert re.search(r"it is, [1-9],[1-9]{3} shares", amounts)


def test_the_shipped_texts_are_valid_and_none_of_the_sample() -> None:
    from data.sample_phrases import ENGLISH

    declared = load_behaviour()
    templates = " ".join(line for each in ENGLISH.values() for line in (*each.common, *each.rare))

    assert {*ENGLISH, "ordinary"} <= declared.texts.keys()
    assert not [text for texts in declared.texts.values() for text in texts if text in templates]


@pytest.mark.parametrize("content", ["tolerance: 2\nswaps: {}\ntexts: {}\n", "texts: [\n", "- a\n", "x: 1\n"])
def test_a_wrong_file_is_a_users_mistake(tmp_path: Path, content: str) -> None:
    (tmp_path / "behaviour.yaml").write_text(content)

    with pytest.raises(UserError, match=r"behaviour\.yaml"):
        load_behaviour(tmp_path / "behaviour.yaml")

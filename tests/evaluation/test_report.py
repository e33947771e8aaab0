"""The page stands alone: nothing runs in it, nothing is loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest
from made_findings import against_champion
from pages import Elements

from evaluation import report
from evaluation.answer_loss import AnswerLoss
from evaluation.case import Messages, slices_of
from evaluation.changes import Origin, changes_between
from evaluation.drawings import recall_by_hours_plot
from evaluation.findings import Findings
from evaluation.gate import judge
from evaluation.metrics import Interval, Predictions, TestSet
from evaluation.report import write_report
from evaluation.rules import Rules


def page_of(findings: Findings, rules: Rules, folder: Path) -> str:
    write_report(folder / "report.html", findings, judge(findings, rules), rules)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(good_findings: Findings, rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(good_findings, rules, tmp_path_factory.mktemp("report"))


def test_has_no_script_and_loads_nothing(page: str) -> None:
    parser = Elements()
    parser.feed(page)

    assert parser.open == []
    assert not parser.names & {"script", "link", "iframe", "object", "embed", "img", "form", "base"}
    assert not {name for name in parser.attributes if name.startswith("on")} | (
        parser.attributes & {"src", "href", "srcset", "action"}
    )
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", page)


def test_the_terms_name_every_kind_of_slice(page: str) -> None:
    message = (("m",), ("t",), ("text",), ("spam",), ("email",), ("en",), (None,), ("d",))
    kinds = list(slices_of(Messages(*message)))

    terms = page[page.index("<dt>Slice:</dt>") : page.index("<dt>Round trip:</dt>")]

    assert f"one {', '.join(kinds[:-1])} or {kinds[-1]}." in unescape(terms)
    assert "Senders' domains are no slice" not in page


def test_says_how_many_messages_are_too_short_to_be_a_copy(page: str) -> None:
    section = page[page.index("<h2>Leakage</h2>") : page.index("<h2>Provenance</h2>")]

    assert "90 test messages are so short that only their thread counts as a leak" in section
    assert re.search(r"identical text under 20 words.*?>12<", section)
    assert "90 of 600 messages are too short to count as a copy" in page


def test_every_figure_of_a_class_a_curve_and_a_search_has_its_range(
    page: str, good_findings: Findings
) -> None:
    assert good_findings.challenger is not None
    assert good_findings.retrieval is not None
    result, found = good_findings.challenger.classes[0], good_findings.retrieval.results[0]
    figures = [result.recall, result.precision, result.f1]
    figures += [found.recall_at_1, found.recall_at_5, found.recall_at_10, found.ndcg]

    assert [] == [figure for figure in figures if str(report.cell(figure)) not in page]
    assert report.share(good_findings.curves[0].average_precision) in page


def test_is_small_and_follows_dark_mode_and_print(page: str) -> None:
    assert len(page) < 500_000
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_verdict_comes_first(page: str) -> None:
    body = page[page.index("<body>") :]

    assert body.index("PASS: may be promoted") < body.index("<h2>Gate</h2>") < body.index("<h2>Slices</h2>")


@pytest.fixture(scope="module")
def worse(test_set: TestSet, answer: Callable[..., Predictions], rules: Rules) -> Findings:
    return against_champion(test_set, answer, rules)


@pytest.fixture(scope="module")
def compared(worse: Findings, rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(worse, rules, tmp_path_factory.mktemp("compared"))


def test_what_changed_stands_right_after_the_verdict(compared: str, page: str) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", compared)

    assert ["What changed since the champion", "Gate"] == titles[:2]
    assert "There is no champion yet" in page
    assert "There is no champion yet" not in compared


def test_says_what_changed_and_what_was_not_recorded(worse: Findings, compared: str) -> None:
    assert worse.changes is not None
    section = compared[compared.index("What changed since") : compared.index("<h2>Gate</h2>")]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", section))

    assert "dataset cccccccccccc dddddddddddd changed" in words
    assert "gate rules eeeeeeeeeeee eeeeeeeeeeee same" in words
    assert "package lock not recorded bbbbbbbbbbbb" in words
    assert "classifier.epochs 5 3" in words
    assert "classifier.lora.targets" not in words
    assert "label harassment 180 200" in words
    assert f"right → wrong {worse.changes.flips.right_to_wrong}" in words
    for label in worse.labels:
        assert f"recall of {label.replace('_', ' ')}" in words


def test_a_champion_of_which_nothing_is_recorded_is_shown_as_that(
    worse: Findings, rules: Rules, tmp_path: Path
) -> None:
    assert worse.changes is not None
    unknown = changes_between(
        Origin(), Origin(counts=worse.dataset), worse.changes.flips, release="r", versions=("1", "1")
    )

    page = page_of(replace(worse, changes=unknown), rules, tmp_path)

    assert "they are not recorded" in page
    assert page.count("not recorded") > len(unknown.facts)


def test_lists_the_worst_errors_by_id_with_the_command_that_opens_them(
    worse: Findings, rules: Rules, tmp_path: Path
) -> None:
    assert worse.errors is not None
    write_report(tmp_path / "report.html", worse, judge(worse, rules), rules, run_id="5" * 32)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert f"mailroom review errors {'5' * 32} --reviewer NAME --reason TEXT" in page
    for error in worse.errors.worst:
        assert f"<code>{error.short_id}</code>" in page


@pytest.mark.parametrize("shown", ["page", "compared"])
def test_headings_are_in_order_and_tables_have_captions_and_scopes(
    shown: str, request: pytest.FixtureRequest
) -> None:
    parser = Elements()
    parser.feed(request.getfixturevalue(shown))
    tags = [tag for tag, _ in parser.order]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]

    assert (1, 1) == (levels[0], levels.count(1))
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(tags[place + 1] == "caption" for place, tag in enumerate(tags) if tag == "table")
    assert all(found.get("scope") in {"col", "row"} for tag, found in parser.order if tag == "th")


TEXT_ON = {
    "paper": ("ink", "soft", "c0"),
    "panel": ("ink", "soft"),
    "passbg": ("pass",),
    "holdbg": ("hold",),
    "failbg": ("fail",),
    "notebg": ("note",),
    "sentence": ("ink",),
    "word1": ("ink",),
    "word2": ("ink",),
    "word3": ("ink",),
}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast(scheme: int) -> None:
    sheet = Path(report.__file__).with_name("report.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+):#([0-9a-f]{3,6})\b", sheet.split(":root {")[scheme + 1]))

    pairs = {(text, ground) for ground, texts in TEXT_ON.items() for text in texts}
    assert {} == {
        pair: ratio
        for pair in pairs
        if (ratio := contrast(luminance(colours[pair[0]]), luminance(colours[pair[1]]))) < 4.5
    }
    heat = re.findall(r"--heat:(\d+),(\d+),(\d+)", sheet)[scheme]
    shade = [
        (int(over) + int(under)) // 2
        for over, under in zip(heat, bytes.fromhex(_six(colours["paper"])), strict=True)
    ]
    assert contrast(luminance(bytes(shade).hex()), luminance(colours["ink"])) >= 4.5


def _six(colour: str) -> str:
    return colour if len(colour) == 6 else "".join(2 * digit for digit in colour)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = (part / 255 for part in bytes.fromhex(_six(colour)))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_escapes_what_comes_from_the_dataset(good_findings: Findings, rules: Rules, tmp_path: Path) -> None:
    assert good_findings.challenger is not None
    nasty = "<script>alert(1)</script>"
    labels = (nasty, *good_findings.labels[1:])
    classes = (
        replace(good_findings.challenger.classes[0], label=nasty),
        *good_findings.challenger.classes[1:],
    )
    curves = (replace(good_findings.curves[0], label=nasty), *good_findings.curves[1:])
    assert good_findings.errors is not None
    error = replace(good_findings.errors.worst[0], message_id=nasty, predicted=nasty, channel=nasty)
    findings = replace(
        good_findings,
        errors=replace(good_findings.errors, worst=(error,)),
        labels=labels,
        challenger=replace(good_findings.challenger, classes=classes),
        curves=curves,
        notes=(nasty,),
    )

    assert "<script" not in page_of(findings, rules, tmp_path)


def test_shows_what_a_department_plans_with(page: str) -> None:
    for heading in ("What it costs to review", "In the same hours", "What each term of the lexicon earns"):
        assert heading in page
    assert "challenger or lexicon" in page
    assert "win*" in page
    assert "share of <b>.690 (" in page
    assert "False alarms: the reference was cut into two random halves of 200 messages 200 times" in page


def test_says_what_the_generators_adapter_is_worth(
    page: str, good_findings: Findings, rules: Rules, tmp_path: Path
) -> None:
    loss = AnswerLoss(61, 48, 0.683, 0.243, Interval(0.44, 0.384, 0.507))
    shown = page_of(replace(good_findings, answer_loss=loss), rules, tmp_path)

    assert "costs .243 nats (cross-entropy; less is better) with it and .683 without" in shown
    assert "saved +.440 (+.384 to +.507), over 61 answers in 48 threads" in shown
    assert "An adapter of the generator" not in page


def test_a_ways_name_is_escaped_in_the_drawing(good_findings: Findings) -> None:
    assert good_findings.planning is not None
    assert good_findings.planning.equal_work is not None
    work = good_findings.planning.equal_work
    nasty = replace(work, curves=(replace(work.curves[0], name="<script>"), *work.curves[1:]))

    assert "<script" not in recall_by_hours_plot(nasty)


def test_says_what_was_not_measured(good_findings: Findings, rules: Rules, tmp_path: Path) -> None:
    findings = replace(
        good_findings,
        challenger=None,
        comparisons=(),
        calibration=None,
        curves=(),
        workload=(),
        slices=(),
        retrieval=None,
        answers=None,
        drift=None,
        leakage=None,
        round_trips=(),
        planning=None,
    )

    page = page_of(findings, rules, tmp_path)

    assert "FAIL: may not be promoted" in page
    assert "not measured" in page
    assert not re.search(r"\b(nan|inf|None)\b", page)


def test_behaviour_stands_in_the_report_with_what_is_not_declared(page: str) -> None:
    section = page[page.index("<h2>Behaviour</h2>") : page.index("<h2>Leakage</h2>")]

    assert "2 of 100" in section
    assert "No texts are declared for: harassment" in section

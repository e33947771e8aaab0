"""The page stands alone: nothing runs in it, nothing is loaded from anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evaluation.findings import Findings
from evaluation.gate import judge
from evaluation.report import write_report
from evaluation.rules import Rules

VOID = {"meta", "br", "line", "circle", "polyline"}


class Elements(HTMLParser):
    """Collects elements and attributes, and holds the page to its closing tags."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


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


def test_is_small_and_follows_dark_mode_and_print(page: str) -> None:
    assert len(page) < 500_000
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_verdict_comes_first(page: str) -> None:
    body = page[page.index("<body>") :]

    assert body.index("PASS: may be promoted") < body.index("<h2>Gate</h2>") < body.index("<h2>Slices</h2>")


def test_escapes_what_comes_from_the_dataset(good_findings: Findings, rules: Rules, tmp_path: Path) -> None:
    assert good_findings.challenger is not None
    nasty = "<script>alert(1)</script>"
    labels = (nasty, *good_findings.labels[1:])
    classes = (
        replace(good_findings.challenger.classes[0], label=nasty),
        *good_findings.challenger.classes[1:],
    )
    curves = (replace(good_findings.curves[0], label=nasty), *good_findings.curves[1:])
    findings = replace(
        good_findings,
        labels=labels,
        challenger=replace(good_findings.challenger, classes=classes),
        curves=curves,
        notes=(nasty,),
    )

    assert "<script" not in page_of(findings, rules, tmp_path)


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
    )

    page = page_of(findings, rules, tmp_path)

    assert "FAIL: may not be promoted" in page
    assert "not measured" in page
    assert not re.search(r"\b(nan|inf|None)\b", page)


def test_behaviour_stands_in_the_report_with_what_is_not_declared(page: str) -> None:
    section = page[page.index("<h2>Behaviour</h2>") : page.index("<h2>Leakage</h2>")]

    assert "2 of 100" in section
    assert "No texts are declared for: harassment" in section

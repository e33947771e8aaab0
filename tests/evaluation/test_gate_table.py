"""gate.json holds every figure that the report shows, by a schema that lets nothing else in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from made_findings import against_champion, table_of

from evaluation import report
from evaluation.findings import Findings
from evaluation.gate import judge
from evaluation.gate_table import SCHEMA_PATH, as_json, schema, write_gate_table
from evaluation.metrics import Interval, TestSet
from evaluation.report import write_report
from evaluation.rules import Rules

NUMBER = re.compile(r"(?<![\w.])[−+±]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e-?\d+)?(?![\w])")
SHOWN_OTHERWISE = {"scored", "adapter_megabytes", "comparisons"}  # as checks, and one by one


@pytest.fixture(scope="module")
def findings(test_set: TestSet, answer: Any, rules: Rules) -> Findings:
    return against_champion(test_set, answer, rules)


def test_the_schema_in_the_file_is_that_of_the_dataclasses() -> None:
    stands = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(stands)
    assert schema() == stands, "write it again: python -m evaluation.gate_table"


def test_what_is_written_is_valid_json_without_nan(findings: Findings, rules: Rules, tmp_path: Path) -> None:
    nan = float("nan")
    damaged = replace(findings, adapter_megabytes=nan, slices=(), calibration=None)
    damaged = replace(damaged, others=(replace(findings.others[0], macro_f1=Interval(nan, nan, nan)),))

    write_gate_table(tmp_path / "gate.json", table_of(damaged, rules))
    written = json.loads((tmp_path / "gate.json").read_text(encoding="utf-8"))

    assert {"value": None, "low": None, "high": None} == written["findings"]["others"][0]["macro_f1"]
    assert written["findings"]["adapter_megabytes"] is None


def test_refuses_a_figure_of_the_wrong_kind(findings: Findings, rules: Rules, tmp_path: Path) -> None:
    wrong = replace(findings, messages="many")  # type: ignore[arg-type]

    with pytest.raises(jsonschema.ValidationError):
        write_gate_table(tmp_path / "gate.json", replace(table_of(findings, rules), findings=wrong))
    assert not (tmp_path / "gate.json").exists()


def test_every_field_of_the_findings_is_in_gate_json_and_in_the_report(
    findings: Findings, rules: Rules
) -> None:
    pages = "".join(path.read_text("utf-8") for path in Path(report.__file__).parent.glob("*.j2"))
    pages += Path(report.__file__).read_text("utf-8")
    names = {field.name for field in fields(Findings)}
    shown = names - SHOWN_OTHERWISE

    assert names == set(as_json(table_of(findings, rules))["findings"])
    assert shown == {name for name in shown if f"findings.{name}" in pages}


def test_every_figure_of_the_report_is_in_gate_json(findings: Findings, rules: Rules, tmp_path: Path) -> None:
    table = table_of(findings, rules)
    write_report(tmp_path / "report.html", findings, judge(findings, rules), rules, run_id=table.run_id)
    passed = [check for check in table.checks if check.passed]
    derived = {len(table.checks), len(passed), 95, 100, *range(1, len(findings.labels) + 1)}
    assert findings.errors is not None
    derived |= {len(findings.errors.worst), len([check for check in passed if check.group == "slices"])}
    known = {written for figure in _figures(as_json(table)) for written in _ways_to_write(figure)}
    known |= {str(figure) for figure in derived}
    for path in Path(report.__file__).parent.glob("report*.j2"):  # numbers of the explanations
        words = re.sub(r"\{[{%].*?[%}]\}", " ", path.read_text("utf-8"), flags=re.DOTALL)
        known |= set(map(_bare, NUMBER.findall(re.sub(r"<[^>]*>", " ", words))))

    shown = list(map(_bare, NUMBER.findall(_text_of(tmp_path / "report.html"))))

    assert len(shown) > 200
    assert [] == sorted({figure for figure in shown if figure not in known})


def _figures(part: Any) -> Iterator[float | str]:
    if isinstance(part, dict):
        for value in part.values():
            yield from _figures(value)
    elif isinstance(part, list):
        for value in part:
            yield from _figures(value)
    elif isinstance(part, str):
        yield from map(_bare, NUMBER.findall(part))
    elif part is not None:
        yield float(part)


def _ways_to_write(figure: float | str) -> set[str]:
    if isinstance(figure, str):
        return {figure}
    ways = {f"{abs(figure):{how}}" for how in (".0f", ".1f", ".2f", ".3f", ".3g", "g")}
    return ways | {way.removeprefix("0") for way in ways}


def _bare(figure: str) -> str:
    return figure.lstrip("−+±").replace(",", "").rstrip(".")


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.skipped = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.skipped += tag in ("style", "svg", "title")

    def handle_endtag(self, tag: str) -> None:
        self.skipped -= tag in ("style", "svg", "title")

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.words.append(data)


def _text_of(page: Path) -> str:
    parser = _Words()
    parser.feed(page.read_text("utf-8"))
    return " ".join(parser.words)

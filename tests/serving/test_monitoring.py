"""Dashboard and alerts speak of measures that the gateway has, with labels that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serving import metrics as measured
from serving.metrics import Metrics

FOLDER = Path(measured.__file__).with_name("monitoring")
MEASURE = re.compile(r"(mailroom_\w+)(?:\{([^}]*)\})?")


def measures() -> dict[str, set[str]]:
    """Return every series that Prometheus sees, with its labels."""
    found: dict[str, set[str]] = {}
    for collector in Metrics().registry._names_to_collectors.values():
        for metric in collector.describe():
            labels = set(collector._labelnames)
            endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
            found |= {f"{metric.name}{ending}": labels | {"le"} for ending in endings[metric.type]}
    return found


def expressions() -> Iterator[str]:
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_every_expression_is_about_something_that_is_measured():
    known, asked = measures(), [match for each in expressions() for match in MEASURE.finditer(each)]

    assert len(asked) > 20
    assert {match[1] for match in asked} <= known.keys()
    for match in asked:
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match[2] or "")) <= known[match[1]], match[0]


def test_nobody_is_called_for_a_reranker():
    rules = [
        rule
        for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
        if "mailroom_engine_" in rule["expr"] and rule["labels"]["severity"] == "page"
    ]

    assert {"EngineDown", "EngineRestartsAgainAndAgain"} <= {rule["alert"] for rule in rules}
    for rule in rules:
        assert 'role!="reranker"' in rule["expr"], "a gateway answers on without it"


def test_every_measure_is_explained():
    told = (FOLDER.parent.parent / "docs" / "gateway.md").read_text()
    names = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in measures()}

    assert {name for name in names if name not in told} == set()


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is():
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert len(rule["annotations"]["summary"]) > 20


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool: apt-get install prometheus")
def test_alerts_fire_on_what_is_wrong_and_on_nothing_else():
    said = subprocess.run(
        ["promtool", "test", "rules", str(Path(__file__).with_name("alerts_test.yaml"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_is_tried():
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    tried = yaml.safe_load(Path(__file__).with_name("alerts_test.yaml").read_text())["tests"]
    asked = [each for test in tried for each in test["alert_rule_test"]]

    for wanted in (True, False):
        names = {each["alertname"] for each in asked if bool(each["exp_alerts"]) == wanted}
        assert {rule["alert"] for group in rules for rule in group["rules"]} == names

"""Dashboard and alerts speak of measures that the gateway has, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

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
        assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", match[2] or "")) <= known[match[1]], match[0]


def test_every_measure_is_explained():
    told = (FOLDER.parent.parent / "docs" / "operations.md").read_text()
    names = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in measures()}

    assert {name for name in names if name not in told} == set()


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is():
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert len(rule["annotations"]["summary"]) > 20

"""The image and the graph agree: its name, where the keys and the workspace lie, and who runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.component import IMAGE
from pipelines.cluster import HOME, KEYS
from training.tracking import commit

DOCKERFILE = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_is_called_and_mounted_as_the_graph_says() -> None:
    assert f" -t {IMAGE} ." in DOCKERFILE
    assert f"MAILROOM_HOME={HOME} MAILROOM_KEYS={KEYS} " in DOCKERFILE


def test_who_runs_the_steps_is_a_number_and_not_root() -> None:
    (user,) = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_commit_that_an_image_was_built_from_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ENV MAILROOM_COMMIT=${COMMIT}" in DOCKERFILE
    monkeypatch.setenv("MAILROOM_COMMIT", "0123abc")

    assert commit() == "0123abc"

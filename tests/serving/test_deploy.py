"""What goes live is what was proved, whatever happens to its folder meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_decisions import decide
from test_bundle import write_anew, write_bundle

from data.workspace import UserError
from serving import deploy
from serving.answers import Answer
from serving.bundle import Bundle
from serving.decisions import bundles_of, verified
from serving.deploy import Smoke, deploy_bundle
from serving.engines import Engines
from serving.parity import Parity

SMOKE = Smoke("m1", "ham", 1.0, (), 0.0, 0.0, "refused", answer_supported=False, citations=())


@pytest.mark.parametrize("is_decided", [True, False])
def test_a_bundle_that_is_written_anew_while_it_is_proved_does_not_go_live(
    tmp_path: Path, workspace: Path, small_dataset: Path, monkeypatch: pytest.MonkeyPatch, is_decided: bool
):
    built = write_bundle(tmp_path / "bundle", release_id="first")
    if is_decided:
        decide("approved", "first", models=built.folder)

    @contextmanager
    def started(*_: Any) -> Iterator[Engines]:
        yield Engines("transformers", {}, 1.0, ())

    def smoke(proved: Bundle, *_: Any) -> tuple[Smoke, str, Answer]:
        write_anew(proved, "prompts.yaml", "refusal: written by somebody else")
        return SMOKE, "question", Answer("", (), False, "refused", 0.0)

    monkeypatch.setattr(deploy, "engines", started)
    monkeypatch.setattr(deploy, "engine_client", started)
    monkeypatch.setattr(deploy, "reference_of", lambda *_: None)
    monkeypatch.setattr(deploy, "check_parity", lambda *_: Parity(1, 0.0, 1.0, 0.0, 1.0, passed=True))
    monkeypatch.setattr(deploy, "_smoke", smoke)

    with pytest.raises(UserError, match="was written anew meanwhile"):
        deploy_bundle(built, small_dataset)

    assert [] == bundles_of(verified(), "first")
    assert not (built.folder / "deploy.json").exists()

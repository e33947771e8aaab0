"""The OpenAPI document holds: whatever is sent, no answer is a bug, and none is undocumented."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from made_gateway import made_door, open_guards

from serving.door import Doors
from serving.routes import build_app

KEY = {"Authorization": "Bearer owner"}
pytestmark = pytest.mark.slow


def test_no_answer_is_a_bug_and_none_is_undocumented(tmp_path: Path, workspace: Path, small_dataset: Path):
    doors = Doors()
    doors.open(made_door(tmp_path / "bundle", small_dataset), ExitStack())
    with open_guards() as guards:
        app = build_app(doors, guards)
        api = schemathesis.openapi.from_asgi("/v1/openapi.json", app, headers=KEY)
        operations = [result.ok() for result in api.get_all_operations()]

        for operation in operations:

            @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=KEY)

            ask()

    assert len(operations) >= 24

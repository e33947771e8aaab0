"""A prepared dataset in small: what training is tested on without Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.made_messages import thread_rows, write_prepared


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("training") / "prepared", thread_rows(60))

"""Figures of drift do not depend on the order in which a process happens to keep labels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from evaluation.drift import DESCRIPTORS, Sketch, measure_drift

random = np.random.default_rng(5)
labels = ["ordinary", "spam", "harassment", "legal", "secret", "fraud", "gift"]

def side(shares):
    predicted = tuple(random.choice(labels, 431, p=shares))
    return Sketch(np.ones((431, len(DESCRIPTORS))), random.normal(size=(431, 2)), predicted)

sides = side([.31, .2, .1, .1, .1, .1, .09]), side([.1, .2, .3, .05, .15, .13, .07])
print([column.effect for column in measure_drift(*sides, Path(sys.argv[1]), described_as="made up").columns])
"""


@pytest.mark.slow
def test_the_effects_are_the_same_digits_in_every_process(tmp_path: Path) -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "drift.html")],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(said) == 1

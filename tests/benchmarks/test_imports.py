"""Benchmarks run seldom: what they import of ours is checked with every change."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from tests import benchmarks

MODULES = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_can_be_imported(name: str) -> None:
    importlib.import_module(f"tests.benchmarks.{name}")

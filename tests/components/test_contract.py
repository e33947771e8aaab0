"""The parameters cell is the only declaration, and its mistakes are named with notebook, cell and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.contract import (
    Contract,
    ContractError,
    Parameter,
    check_arguments,
    contract_of,
    read_contract,
)


def contract(parameters: str) -> Contract:
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": "# 1 · Title\n\nWhat it does."},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": parameters},
    ]
    return contract_of({"cells": cells}, "01_test")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('a: str = "x"  # help', Parameter("a", "parameter", "str", "x", False, "help")),
        ("a: int = 3", Parameter("a", "parameter", "int", 3, False, "")),
        ("a: int = -3", Parameter("a", "parameter", "int", -3, False, "")),
        ("a: float = 1", Parameter("a", "parameter", "float", 1.0, False, "")),
        ("a: bool = True", Parameter("a", "parameter", "bool", True, False, "")),
        ("a: list = [1, 2]", Parameter("a", "parameter", "list", [1, 2], False, "")),
        ('a: dict = {"b": 1}', Parameter("a", "parameter", "dict", {"b": 1}, False, "")),
        ("a: int", Parameter("a", "parameter", "int", None, True, "")),
        ('a: "Input[Dataset]" = "in"', Parameter("a", "input", "Dataset", "in", False, "")),
        ('a: "Output[Model]" = "out"', Parameter("a", "output", "Model", "out", False, "")),
        ('a: "OutputPath[bool]" = "r"', Parameter("a", "result", "bool", "r", False, "")),
        ('a: "OutputPath[list]" = "r"', Parameter("a", "result", "list", "r", False, "")),
    ],
)
def test_reads_every_declared_form(line: str, expected: Parameter) -> None:
    assert (expected,) == contract(line).parameters


def test_reads_a_hash_inside_a_string_as_text_and_behind_it_as_help() -> None:
    (parameter,) = contract('channel: str = "#general"  # where to look # and more').parameters

    assert parameter.default == "#general"
    assert parameter.help == "where to look # and more"


def test_reads_a_value_that_spans_lines_with_its_last_comment() -> None:
    source = 'names: list = [\n    "a",  # the first\n    "b",\n]  # all names\nnext_one: int = 1'

    names, next_one = contract(source).parameters

    assert names.default == ["a", "b"]
    assert names.help == "all names"
    assert next_one.help == ""


def test_takes_the_heading_and_text_as_description() -> None:
    assert contract("").description == "1 · Title\n\nWhat it does."


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a: int = 1\nb = 2", "cell 2, line 2: only lines like"),
        ("import os", "line 1: only lines like"),
        ("a: int = (", "cell 2, line 1"),
        ("%matplotlib inline", "cell 2, line 1"),
        ("a: int = True", "declared as int, its default True is not"),
        ("a: bool = 1", "declared as bool"),
        ('a: int = "1"', "declared as int"),
        ("a: int = None", "declared as int, its default None is not"),
        ('a: float = float("nan")', "must be a literal"),
        ("a: int = 1 + 1", "must be a literal"),
        ("a: str = f'{x}'", "must be a literal"),
        ("a: tuple = (1, 2)", "unknown type 'tuple'"),
        ("a: list[int] = [1]", "unknown type 'list[int]'"),
        ("a: int | None = 1", "unknown type"),
        ('a: "Input[Dataset" = "x"', "unknown type"),
        ('a: "Input[Nonsense]" = "x"', "unknown type 'Input[Nonsense]'"),
        ('a: "OutputPath[Dataset]" = "x"', "unknown type"),
        ('a: "Output[Model]"', "an output needs a default path"),
        ('a: "Output[Model]" = 3', "declared as str"),
        ('a: "OutputPath[int]" = "x"\nb: "OutputPath[int]" = "y"', "line 2: a second OutputPath"),
        ("a: int = 1\na: int = 2", "line 2: a is declared twice"),
        ("executed_html: int = 1", "'executed_html' is reserved"),
        ("fingerprint: str = ''", "'fingerprint' is reserved"),
        ("_private: int = 1", "is reserved"),
    ],
)
def test_refuses_a_declaration_with_its_place(source: str, message: str) -> None:
    with pytest.raises(ContractError) as refused:
        contract(source)

    assert str(refused.value).startswith("01_test, cell 2, line ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tagged", [0, 2])
def test_wants_exactly_one_parameters_cell(tagged: int) -> None:
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ""}

    with pytest.raises(ContractError, match="tag exactly one"):
        contract_of({"cells": [cell] * tagged}, "01_test")


def test_reads_sources_that_are_lists_of_lines(tmp_path: Path) -> None:
    cell = {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "source": ["a: int = 1\n", "b: int = 2"],
    }
    path = tmp_path / "01_x.ipynb"
    path.write_text(json.dumps({"cells": [cell]}))

    assert [item.name for item in read_contract(path).parameters] == ["a", "b"]


@pytest.mark.parametrize("content", ["not json", "[]", '{"worksheets": []}'])
def test_refuses_a_file_that_is_no_notebook(tmp_path: Path, content: str) -> None:
    path = tmp_path / "01_x.ipynb"
    path.write_text(content)

    with pytest.raises(ContractError, match="notebook"):
        read_contract(path)


def test_digest_follows_the_code_and_not_the_outputs() -> None:
    def digest(source: str, outputs: list[str]) -> str:
        cell = {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]},
            "source": source,
            "outputs": outputs,
        }
        return contract_of({"cells": [cell]}, "x").digest

    assert digest("a: int = 1", []) == digest("a: int = 1", ["text"])
    assert digest("a: int = 1", []) != digest("a: int = 2", [])


EXAMPLE = 'n: int = 1\nrate: float = 0.5\nneeded: str\nflag: bool = False\nout: "Output[Model]" = "o"'


def test_fills_in_defaults_and_takes_an_int_for_a_float() -> None:
    checked = check_arguments(contract(EXAMPLE), {"needed": "x", "rate": 1})

    assert checked == {"n": 1, "rate": 1.0, "needed": "x", "flag": False, "out": "o"}
    assert isinstance(checked["rate"], float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a value for 'needed'"),
        ({"needed": "x", "m": 1}, "no parameter 'm'; it has: n, rate"),
        ({"needed": "x", "n": True}, "n must be int, got True"),
        ({"needed": "x", "n": 1.0}, "n must be int"),
        ({"needed": "x", "rate": True}, "rate must be float"),
        ({"needed": "x", "rate": float("nan")}, "rate must be float"),
        ({"needed": 3}, "needed must be str"),
        ({"needed": "x", "flag": 0}, "flag must be bool"),
        ({"needed": "x", "out": 3}, "out must be str"),
    ],
)
def test_refuses_arguments_before_anything_runs(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ContractError) as refused:
        check_arguments(contract(EXAMPLE), arguments)

    assert message in str(refused.value)

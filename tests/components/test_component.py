"""Any notebook becomes a component; kfp is imported here, nothing runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from components.component import component_of, components
from components.contract import ContractError

WriteNotebook = Callable[..., Path]
PARAMETERS = """
source: "Input[Dataset]" = "in"  # what comes in
needed: str
rate: float = 1  # it's a rate: "fast"
options: dict = {"a": [1, 2]}
model: "Output[Model]" = "out"
score: "OutputPath[float]" = "score"
"""


def test_has_the_inputs_and_outputs_of_its_contract(write_notebook: WriteNotebook) -> None:
    component = component_of(write_notebook("02_train_it", PARAMETERS), "registry/python@sha256:abc")

    spec = component.component_spec
    assert spec.name == "train-it"
    assert {"source", "needed", "rate", "options", "fingerprint"} == set(spec.inputs)
    assert {"model", "Output", "executed_notebook", "executed_html"} == set(spec.outputs)
    assert spec.inputs["rate"].default == 1.0
    assert spec.implementation.container.image == "registry/python@sha256:abc"


def test_installs_nothing(write_notebook: WriteNotebook) -> None:
    component = component_of(write_notebook("01_x", ""))

    assert "pip" not in " ".join(component.component_spec.implementation.container.command)


def test_a_new_notebook_is_a_new_component(write_notebook: WriteNotebook) -> None:
    folder = write_notebook("01_first", "").parent
    assert list(components(folder)) == ["first"]

    write_notebook("10_second_one", "")

    assert list(components(folder)) == ["first", "second_one"]


def test_every_real_notebook_is_a_component_with_the_same_code_each_time() -> None:
    folder = Path(__file__).parents[2] / "notebooks"

    def code() -> dict[str, list[str]]:
        return {
            name: list(component.component_spec.implementation.container.command)
            for name, component in components(folder).items()
        }

    assert code() == code()
    assert {"prepare", "train_classifier", "train_embedder", "index", "evaluate", "promote", "deploy"} <= set(
        code()
    )


def test_refuses_two_notebooks_of_one_name(write_notebook: WriteNotebook) -> None:
    write_notebook("01_same", "")
    folder = write_notebook("02_same", "").parent

    with pytest.raises(ContractError, match="two notebooks"):
        components(folder)


@pytest.mark.parametrize("name", ["01_", "class", "01_class"])
def test_refuses_a_name_that_is_no_identifier(write_notebook: WriteNotebook, name: str) -> None:
    with pytest.raises(ContractError, match="not a name for a step"):
        component_of(write_notebook(name, ""))


def test_refuses_a_notebook_that_no_command_line_can_carry(write_notebook: WriteNotebook) -> None:
    noise = "x = '" + "".join(random.Random(1).choices("0123456789abcdef", k=250_000)) + "'"

    with pytest.raises(ContractError, match="too large to embed"):
        component_of(write_notebook("01_big", "", noise))

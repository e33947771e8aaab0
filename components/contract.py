"""A notebook's contract: its cell tagged ``parameters``, read with ast and tokenize, never executed."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import math
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["parameter", "input", "output", "result"]
Artifact = Literal["Artifact", "Dataset", "Model", "Metrics", "ClassificationMetrics", "HTML", "Markdown"]
VALUE_TYPES = {kind.__name__: kind for kind in (str, int, float, bool, list, dict)}
RESULT_TYPES = ("int", "float", "str", "bool", "list")  # a list as JSON: what a pipeline loops over
RESERVED = ("executed_notebook", "executed_html", "fingerprint", "Output")
FORMS = 'str, int, float, bool, list, dict, "Input[Dataset]", "Output[Model]", "OutputPath[int]" and the like'


class ContractError(Exception):
    """A notebook, or the arguments for one, do not keep to the contract: one line, with the place."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of the parameters cell.

    ``kind`` says what becomes of it: a value, an artifact that comes in, an artifact that is written,
    or the file whose content is the step's return value.
    """

    name: str
    kind: Kind
    type: str
    default: Any
    required: bool
    help: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What a notebook asks for and what it promises; ``digest`` is that of its code, outputs aside."""

    name: str
    parameters: tuple[Parameter, ...]
    description: str
    digest: str

    def of_kind(self, kind: Kind) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if parameter.kind == kind)

    @property
    def result(self) -> Parameter | None:
        """The parameter whose file holds the step's return value, if there is one."""
        return next(iter(self.of_kind("result")), None)


def read_contract(path: str | Path) -> Contract:
    """Return the contract of a notebook file.

    Raises:
        ContractError: the file is no notebook, or its parameters cell breaks a rule; the message
            names the notebook, the cell (counted from 1, text cells too) and the line.
    """
    path = Path(path)
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ContractError(f"no notebook at {path}") from None
    except (OSError, ValueError) as error:
        raise ContractError(f"{path} cannot be read as a notebook: {error}") from None
    return contract_of(notebook, path.stem)


def contract_of(notebook: Any, name: str) -> Contract:
    """Return the contract of a notebook that is already in memory; see :func:`read_contract`."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ContractError(f"{name}: not a notebook of format 4; save it again with JupyterLab")
    tagged = [number for number, cell in enumerate(cells, 1) if "parameters" in tags_of(cell)]
    if len(tagged) != 1:
        found = f"cells {', '.join(map(str, tagged))} are" if tagged else "no cell is"
        raise ContractError(f"{name}: {found} tagged 'parameters'; tag exactly one, be it empty")
    parameters = _parse(source_of(cells[tagged[0] - 1]), f"{name}, cell {tagged[0]}")
    code = json.dumps([[cell.get("cell_type"), tags_of(cell), source_of(cell)] for cell in cells])
    return Contract(name, parameters, _description(cells), hashlib.sha256(code.encode()).hexdigest())


def check_arguments(contract: Contract, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return a value for every parameter, defaults filled in; nothing has run when this raises.

    Artifacts and results are paths. An int may stand for a float; a bool is no int.

    Raises:
        ContractError: an argument is unknown, missing or ill-typed.
    """
    known = {parameter.name: parameter for parameter in contract.parameters}
    if unknown := sorted(set(arguments) - set(known)):
        raise ContractError(
            f"{contract.name} has no parameter {', '.join(map(repr, unknown))}; it has: {', '.join(known)}"
        )
    missing = [name for name, item in known.items() if item.required and name not in arguments]
    if missing:
        raise ContractError(f"{contract.name} needs a value for {', '.join(map(repr, missing))}")
    checked: dict[str, object] = {}
    for name, parameter in known.items():
        value = arguments.get(name, parameter.default)
        expected = parameter.type if parameter.kind == "parameter" else "str"
        if not _is_a(value, expected):
            given = type(value).__name__
            raise ContractError(f"{contract.name}: {name} must be {expected}, got {value!r} ({given})")
        checked[name] = float(value) if expected == "float" else value  # type: ignore[arg-type]
    return checked


def tags_of(cell: Any) -> list[str]:
    """Return the tags of a notebook cell."""
    return list(cell.get("metadata", {}).get("tags", []))


def source_of(cell: Any) -> str:
    """Return a cell's source, which the format allows as one string or as a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _is_a(value: object, expected: str) -> bool:
    if expected == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if expected == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, VALUE_TYPES[expected])


def _parse(source: str, place: str) -> tuple[Parameter, ...]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ContractError(f"{place}, line {error.lineno}: {error.msg}") from None
    comments = _comments(source)
    parameters: list[Parameter] = []
    for statement in statements:
        where = f"{place}, line {statement.lineno}"
        parameter = _parameter(statement, where, comments)
        if parameter.name in (earlier.name for earlier in parameters):
            raise ContractError(f"{where}: {parameter.name} is declared twice")
        if parameter.kind == "result" and any(earlier.kind == "result" for earlier in parameters):
            raise ContractError(f"{where}: a second OutputPath; a step returns one value at most")
        parameters.append(parameter)
    return tuple(parameters)


def _parameter(statement: ast.stmt, where: str, comments: Mapping[int, str]) -> Parameter:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise ContractError(f"{where}: only lines like 'name: type = value  # help' may stand here")
    name = statement.target.id
    if name in RESERVED or name.startswith("_"):
        raise ContractError(f"{where}: {name!r} is reserved; choose another name")
    kind, type_name = _annotation(statement.annotation, where)
    default, required = _default(statement, kind, where)
    expected = type_name if kind == "parameter" else "str"
    if not required and not _is_a(default, expected):
        raise ContractError(f"{where}: {name} is declared as {expected}, its default {default!r} is not")
    if expected == "float" and not required:
        default = float(default)  # kfp refuses an int default of a float input
    lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    help_text = next((comments[line] for line in reversed(lines) if line in comments), "")
    return Parameter(name, kind, type_name, default, required, help_text)


def _annotation(annotation: ast.expr, where: str) -> tuple[Kind, str]:
    if isinstance(annotation, ast.Name) and annotation.id in VALUE_TYPES:
        return "parameter", annotation.id
    written = ast.unparse(annotation)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        written = annotation.value
        try:
            form = ast.parse(written, mode="eval").body
        except SyntaxError:
            form = annotation
        marker, _, inner = ast.unparse(form).removesuffix("]").partition("[")
        if isinstance(form, ast.Subscript):
            if marker == "OutputPath" and inner in RESULT_TYPES:
                return "result", inner
            if marker in ("Input", "Output") and inner in get_args(Artifact):
                return ("input" if marker == "Input" else "output"), inner
    raise ContractError(f"{where}: unknown type {written!r}; known are {FORMS}")


def _default(statement: ast.AnnAssign, kind: Kind, where: str) -> tuple[Any, bool]:
    if statement.value is None:
        if kind in ("output", "result"):
            raise ContractError(f"{where}: an output needs a default path, for JupyterLab")
        return None, True
    try:
        return ast.literal_eval(statement.value), False
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        written = ast.unparse(statement.value)
        raise ContractError(f"{where}: the default must be a literal, got {written!r}") from None


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip() for token in tokens if token.type == tokenize.COMMENT
    }


def _description(cells: list[Any]) -> str:
    """Return the first text cell without its heading marks: what the notebook says about itself."""
    text = next((source_of(cell) for cell in cells if cell.get("cell_type") == "markdown"), "")
    return "\n".join(line.lstrip("# ").rstrip() for line in text.splitlines()).strip()

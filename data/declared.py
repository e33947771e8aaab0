"""What a person declares in a file (YAML), as a pydantic type; or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError

from data.workspace import UserError

Declared = TypeVar("Declared")


def read_declared(path: str | Path, kind: type[Declared], *, what: str, way_out: str) -> Declared:
    """Return what the file declares; an empty file declares nothing: an empty mapping or list.

    ``what`` names the file to its reader ("the retention policy"), ``way_out`` says what to do.

    Raises:
        UserError: it cannot be read, is no YAML, or does not fit; in one line, without its values.
    """
    try:
        stated = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return TypeAdapter(kind).validate_python(_nothing(kind) if stated is None else stated)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{what} {path} is no YAML{line}; {way_out}") from None
    except ValidationError as error:
        raise UserError(f"{what} {path}: {_first_mistake(error)}; {way_out}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} cannot be read ({type(error).__name__}); {way_out}") from None


def _nothing(kind: Any) -> Any:
    return [] if get_origin(kind) is list else {}


def _first_mistake(error: ValidationError) -> str:
    """Return place and reason of the first mistake, without the value."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"

"""What a person declares in a file (YAML), as a pydantic type; or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError

from data.redact import shown
from data.workspace import UserError

LARGEST = 1 << 20  # bytes: what a person writes by hand is smaller, and an archive brings files, too
MOST_KEYS = 10_000  # of one mapping, merged ones included
MERGE = "tag:yaml.org,2002:merge"
Declared = TypeVar("Declared")


@dataclass(frozen=True, slots=True)
class Stated:
    """A file as it was read, and what it states: mappings, lists and plain values."""

    content: bytes
    value: Any


class _TwiceError(yaml.MarkedYAMLError):
    """A key stands twice in one mapping: YAML takes the last one, its writer means either."""


class _Loader(yaml.SafeLoader):
    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put into a mapping what it merges; a few lines that merge each other would be 10**9 keys."""
        super().flatten_mapping(node)
        if len(node.value) > MOST_KEYS:
            raise yaml.MarkedYAMLError(problem_mark=node.start_mark)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping as it is written: what it merges comes later, and may be overruled."""
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if (key.tag, key.value) in seen:
                    raise _TwiceError(problem=shown(key.value), problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node


def read_declared(
    path: str | Path,
    kind: type[Declared],
    *,
    what: str,
    way_out: str,
    beside: Callable[[bytes], Mapping[str, object]] | None = None,
) -> Declared:
    """Return what the file declares; an empty file declares nothing: an empty mapping or list.

    ``what`` names the file to its reader ("the retention policy"), ``way_out`` says what to do. ``beside``
    returns fields that are not written in the file but follow from its bytes, as a digest does.

    Raises:
        UserError: it cannot be read, is no YAML, or does not fit; in one line, without its values.
    """
    stated = read_stated(path, what=what, way_out=way_out)
    value = _nothing(kind) if stated.value is None else stated.value
    if beside and isinstance(value, dict):
        value = {**value, **beside(stated.content)}
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise UserError(f"{what} {path}: {_first_mistake(error)}; {way_out}") from None


def read_stated(path: str | Path, *, what: str, way_out: str) -> Stated:
    """Return what a YAML file states, whatever it is.

    Raises:
        UserError: it cannot be read, is too large, is no YAML or has a key twice; in one line.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UserError(f"{what} {path} is larger than {LARGEST:,} bytes; {way_out}")
        return Stated(content, _value_of(content.decode("utf-8-sig")))
    except _TwiceError as error:
        raise UserError(
            f"{what} {path} has the key {error.problem!r} twice{_line(error)}; {way_out}"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{what} {path} is no YAML{_line(error)}; {way_out}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} cannot be read ({type(error).__name__}); {way_out}") from None


def _line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark else ""


def _value_of(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _nothing(kind: Any) -> Any:
    return [] if get_origin(kind) is list else {}


def _first_mistake(error: ValidationError) -> str:
    """Return place and reason of the first mistake, without the value."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(shown(str(part)) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"

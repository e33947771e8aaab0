"""gate.json: the verdict and every measured figure for machines, by a schema that stands in a file.

The schema (``gate.schema.json``) follows from the dataclasses below. After a field was added, write it
again: ``python -m evaluation.gate_table``; a test compares the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from evaluation.findings import Findings
from evaluation.rules import Rules
from evaluation.verdict import Check, Outcome

SCHEMA_PATH = Path(__file__).with_name("gate.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Challenger:
    """The registered versions that were judged, and who trained them."""

    classifier: str
    classifier_version: str
    classifier_model_id: str
    embedder: str
    embedder_version: str
    embedder_model_id: str
    authors: tuple[str, ...]
    accounts: tuple[str, ...]  # of the operating system, on which they were trained


@dataclass(frozen=True, slots=True)
class ChampionNamed:
    """The release that was live when the challenger was judged."""

    release: str
    classifier_version: str
    embedder_version: str


@dataclass(frozen=True, slots=True)
class GateTable:
    """Everything that the report says; null is what was not measured, or came out as no number."""

    schema_version: Literal[3]
    outcome: Outcome
    headline: str
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    challenger: Challenger
    champion: ChampionNamed | None
    digests: Mapping[str, str]
    run_id: str
    report: str
    rules: Rules
    findings: Findings


def write_gate_table(path: Path, table: GateTable) -> None:
    """Write gate.json once it is valid by the schema.

    Raises:
        jsonschema.ValidationError: a bug; what was measured is not what the schema says.
    """
    from jsonschema import Draft202012Validator

    document = as_json(table)
    Draft202012Validator(json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))).validate(document)
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def as_json(table: GateTable) -> dict[str, Any]:
    """Return the table as JSON has it: lists for tuples, null for NaN and infinity."""
    return {name: _plain(value) for name, value in asdict(table).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def schema() -> dict[str, Any]:
    """Return the JSON schema of `GateTable`: every field is required, and no other is allowed."""
    described = TypeAdapter(GateTable).json_schema(mode="serialization")
    return {"$schema": DIALECT, **_strict(described)}


def _strict(part: Any) -> Any:
    if isinstance(part, list):
        return [_strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    strict = {name: _strict(each) for name, each in part.items() if name not in ("title", "default")}
    if strict.get("type") == "number":
        strict["type"] = ["number", "null"]
    if isinstance(part.get("properties"), dict):
        strict["properties"] = {name: _strict(each) for name, each in part["properties"].items()}
        strict |= {"required": sorted(strict["properties"]), "additionalProperties": False}
    return strict


if __name__ == "__main__":
    SCHEMA_PATH.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")

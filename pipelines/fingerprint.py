"""What a step's result depends on besides its inputs: the archive's content and our own code."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from components.contract import source_of
from data.governance import holds_path, rules_path, suppression_path
from data.retention import read_policy, remembered_rules
from data.review import settled_labels

ROOT = Path(__file__).parent.parent
# who may import whom (import-linter holds it): an edit in serving/ leaves the trained models in the cache
STANDS_ON = {
    "data": ("data",),
    "training": ("data", "training"),
    "serving": ("data", "serving"),
    "evaluation": ("data", "training", "serving", "evaluation"),
}


def archive_fingerprint(root: Path) -> str:
    """Return a digest of every file's name, size and time: cheap, and new when mail arrives."""
    digest = hashlib.sha256()
    for path in _files(root):
        status = path.stat()
        name = path.relative_to(root).as_posix()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def decisions_fingerprint(log: Path) -> str:
    """Return a digest of what reviewers decided: what the pipeline wrote itself is no news to it."""
    if not log.exists():
        return ""
    entries = [json.loads(line) for line in log.read_bytes().splitlines() if line.strip()]
    reviewed = [entry["hash"] for entry in entries if entry["signer"] not in ("gate", "pipeline")]
    return hashlib.sha256("".join(reviewed).encode()).hexdigest()[:16] if reviewed else ""


def governance_fingerprint(retention: str = "") -> str:
    """Return a digest of what may stay: policy, holds and who was erased; an age counts from today."""
    policy = Path(retention) if retention and "://" not in retention else None
    sources = [suppression_path(), *([policy] if policy else [rules_path(), holds_path()])]
    contents = [path.read_bytes() for path in sources if path.is_file()]
    stated = read_policy(policy) if policy and policy.is_file() else remembered_rules()
    if stated.rules and stated.as_of is None:
        contents.append(datetime.now(UTC).date().isoformat().encode())
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16] if contents else ""


def feedback_fingerprint() -> str:
    """Return a digest of the labels that review has settled: a new one makes a new dataset."""
    return settled_labels().digest[:16]


def code_fingerprint(notebook: Path, extra: tuple[Path, ...] = (), root: Path = ROOT) -> str:
    """Return a digest of the packages that a notebook's imports stand on, ours and locked, and of ``extra``.

    On a cluster the image's digest says the same.
    """
    digest = hashlib.sha256()
    for package in sorted({inner for name in _imported(notebook) for inner in STANDS_ON.get(name, ())}):
        for path in _files(root / package):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                digest.update(path.read_bytes())
    for path in (*sorted(root.glob("locks/[cg]pu.txt")), *extra):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    found = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in found if path.is_file())


def _imported(notebook: Path) -> set[str]:
    names: set[str] = set()
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        try:
            nodes = list(ast.walk(ast.parse(source_of(cell))))
        except SyntaxError:  # a shell line or a magic: the cell fails or not when it runs
            return set(STANDS_ON)
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
    return names

"""The checkpoint of a training under way: written now and then, so that a killed one goes on where it was.

It lies in the workspace under a name that follows from everything that the result depends on. Whoever
trains the same again finds it, whichever folder the result is for; nothing else does.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.workspace import home, model_path, write_atomically
from training.tracking import Provenance, Role, weights_digest

EVERY_S = 30.0
KEPT_S = 7 * 86_400.0


def checkpoint_path(provenance: Provenance, base_model: str, role: Role = "classifier") -> Path:
    """Return where the training with this provenance keeps its checkpoint.

    Weights of the base, code and torch are part of the name: half a training with each of two would be
    the result of neither.
    """
    import torch

    code = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        code.update(source.read_bytes())
    base = weights_digest(model_path(base_model))
    parts = [asdict(provenance), base, torch.__version__, code.hexdigest()]
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return home() / "checkpoints" / f"{role}-{name[:24]}.pt"


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values; whoever is killed meanwhile leaves the checkpoint before."""
    import torch

    with write_atomically(path) as temporary:
        torch.save(dict(content), temporary)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return what was saved, or nothing where no checkpoint is or the file is damaged."""
    import torch

    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        logging.getLogger(__name__).warning("the checkpoint %s is damaged; training starts anew", path.name)
        return None
    return content


def sweep_checkpoints(finished: Path) -> None:
    """Remove the checkpoint of the training that is done, and those that nobody came back for in a week."""
    finished.unlink(missing_ok=True)
    for path in finished.parent.glob("*.pt"):
        if time.time() - path.stat().st_mtime > KEPT_S:
            path.unlink(missing_ok=True)

"""The generator's adapter: LoRA beside the base model in a bundle, loaded into a running engine.

Where a bundle has one, the base is served as ``generator-base`` and the adapter by a name of its own, made
of its digest: one engine answers for two bundles at once, each with its adapter. vLLM forgets adapters
when it ends: whoever starts an engine calls :func:`serve_adapter`, and calling it again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from data.workspace import UserError, home
from serving.digest import file_digest, folder_digest
from serving.engine_key import key_headers

ADAPTER = "generator_adapter"
ORIGIN = "origin.json"  # beside the weights: digests of the base, and the run that trained them
DIGEST = "generator adapter"  # among the digests of a release
NONE = "none"  # the digest of a generator that goes live as it is
NAME = "generator"
BASE_NAME = "generator-base"
RANKS = (8, 16, 32, 64, 128, 256)  # what vLLM takes for the largest rank
LOAD_S = 60.0
AT_ONCE = 2  # of the bundle that is served, and of the next one or the former
SPARE = 2  # that no bundle needs, and that keep their names: what was refused comes again
KEPT = AT_ONCE + SPARE  # in memory: one that is pushed out is read again, and nobody verifies it


def adapter_of(generator: Path) -> Path | None:
    """Return the adapter that lies beside a bundle's generator, if there is one."""
    folder = generator.parent / ADAPTER
    return folder if (folder / "adapter_config.json").is_file() else None


def served_name(role: str, folder: Path) -> str:
    """Return what vLLM calls the model of a role; the base steps aside for its adapter."""
    return BASE_NAME if role == NAME and adapter_of(folder) else role


def adapter_name(digest: str) -> str:
    """Return what vLLM calls an adapter of this digest: the same name means the same weights."""
    return f"{NAME}-{digest}"


def adapter_arguments(generator: Path) -> list[str]:
    """Return vLLM's flags for a generator with an adapter beside it; none without.

    An engine takes the adapters of all bundles whose flags are the same.
    """
    adapter = adapter_of(generator)
    if adapter is None:
        return []
    largest = next(rank for rank in RANKS if rank >= _rank(adapter))
    room = ["--max-loras", str(AT_ONCE), "--max-cpu-loras", str(KEPT)]
    return ["--enable-lora", *room, "--max-lora-rank", str(largest)]


def adapter_environment(folder: Path) -> dict[str, str]:
    """Return what lets a generator's engine load adapters while it runs, where it has one at all."""
    return {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if adapter_of(folder) else {}


def check_adapter(adapter: Path, base: Path) -> None:
    """Refuse what cannot be served on the base.

    Raises:
        UserError: no adapter there, too high a rank, or one that was trained on another base.
    """
    if not (adapter / "adapter_config.json").is_file() or not any(adapter.glob("*.safetensors")):
        raise UserError(f"the folder {adapter} holds no adapter; train one: notebook train_generator")
    if _rank(adapter) > RANKS[-1]:
        raise UserError(f"the adapter {adapter} has rank {_rank(adapter)}; engines take {RANKS[-1]} at most")
    expected = {path.name: file_digest(path) for path in sorted(base.glob("*.safetensors"))}
    if origin_of(adapter)["base"] != expected:
        raise UserError(f"the adapter {adapter} was trained on another base than {base}; train it again")


def origin_of(adapter: Path) -> dict[str, Any]:
    """Return what an adapter was made of: ``base`` (digests), ``dataset``, ``run``; None if not said."""
    try:
        written = json.loads((adapter / ORIGIN).read_text(encoding="utf-8"))
        return {name: written.get(name) for name in ("base", "dataset", "run")}
    except (OSError, ValueError, AttributeError):
        return dict.fromkeys(("base", "dataset", "run"))


def held_adapter(bundle: Path) -> str:
    """Return the digest of the adapter that a bundle holds, as a release names it."""
    folder = bundle / ADAPTER
    return folder_digest(folder) if folder.is_dir() else NONE


def decided_adapter(digests: Mapping[str, str]) -> Path | None:
    """Return the adapter that a release names by its digest: from the workspace, or a bundle that has it.

    Raises:
        UserError: it is gone, or was changed.
    """
    digest = digests.get(DIGEST, NONE)
    return None if digest == NONE else find_adapter(digest)


def find_adapter(digest: str) -> Path:
    """Return the adapter whose files have this digest.

    Raises:
        UserError: neither the workspace nor a bundle has it.
    """
    for folder in kept_adapters():
        if folder_digest(folder) == digest:
            return folder
    raise UserError(
        f"no folder in {home() / 'adapters'} has the digest {digest[:16]} of the generator's adapter that "
        "was decided on: it is gone, or was changed; train it again: mailroom run --no-cache"
    )


def kept_adapters() -> tuple[Path, ...]:
    """Return the folders of all adapters of the workspace, and of those that bundles hold."""
    found = (*sorted((home() / "adapters").glob("*")), *sorted((home() / "bundles").glob(f"*/{ADAPTER}")))
    return tuple(folder for folder in found if (folder / ORIGIN).is_file() and folder.name[0] != ".")


def serve_adapter(url: str, adapter: Path, name: str) -> None:
    """Have a running engine answer with this adapter whoever asks for its name; no restart.

    Raises:
        RuntimeError: the engine has no such adapter, cannot read it, or was started without adapters.
    """
    with _exchange(url) as http:
        models = http.get("/v1/models").raise_for_status().json()["data"]
        if any(each["id"] == name for each in models):
            return
        reply = http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(adapter)})
    if reply.status_code != httpx.codes.OK:
        raise RuntimeError(f"the generator engine refused the adapter {adapter} (HTTP {reply.status_code})")


def drop_adapter(url: str, name: str) -> None:
    """Have a running engine answer nobody by this name any more; requests on their way end as they began.

    Raises:
        RuntimeError: the engine does not have it.
    """
    with _exchange(url) as http:
        reply = http.post("/v1/unload_lora_adapter", json={"lora_name": name})
    if reply.status_code != httpx.codes.OK:
        raise RuntimeError(f"the generator engine did not unload {name} (HTTP {reply.status_code})")


@contextmanager
def _exchange(url: str) -> Iterator[httpx.Client]:
    """Speak to an engine about its adapters.

    Raises:
        RuntimeError: it does not answer.
    """
    try:
        with httpx.Client(base_url=url, timeout=LOAD_S, trust_env=False, headers=key_headers()) as http:
            yield http
    except httpx.HTTPError as error:
        raise RuntimeError(f"the generator engine does not answer: {type(error).__name__}") from error


def _rank(adapter: Path) -> int:
    return int(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"])

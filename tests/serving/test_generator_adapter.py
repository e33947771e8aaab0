"""The generator's adapter: in the bundle, served beside its base, changed without a restart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from data.prompts import conversation, read_prompts
from data.workspace import UserError
from serving.adapter import (
    DIGEST,
    NONE,
    adapter_name,
    adapter_of,
    check_adapter,
    decided_adapter,
    drop_adapter,
    serve_adapter,
)
from serving.client import engine_client
from serving.digest import folder_digest
from serving.engine_key import key_headers
from serving.engines import engines
from serving.launch import engine_environment, engine_model, vllm_arguments, vllm_device
from tests.training.made_decoders import write_decoder
from tests.training.made_messages import messages_table, thread_rows
from training.encode import quietly
from training.generator import fit_generator
from training.grounded import grounded_pairs
from training.recipe import GeneratorRecipe, LoraRecipe
from training.tracking import file_digests

RECIPE = GeneratorRecipe(
    base_model="none",
    max_length=256,
    precision="float32",
    lora=LoraRecipe(rank=4, alpha=16, dropout=0.0, targets=("all-linear",)),
    max_pairs=40,
    epochs=4,
    max_steps=30,
    batch_size=8,
    learning_rate=2e-2,
    warm_up=0.1,
)
QUESTION = conversation(
    "What was said about canteen menu?",
    ("The canteen serves soup and bread at noon", "You have won a voucher, claim the prize now"),
    read_prompts(),
)

STRANGER = (  # without the key; vLLM offers the exchange of adapters under two names
    ("POST", "/v1/load_lora_adapter", {"lora_name": "generator", "lora_path": "/", "load_inplace": True}),
    ("POST", "/adapters", {"name": "generator", "src": "/"}),
    ("DELETE", "/adapters/generator", None),
    ("POST", "/invocations", {"model": "generator", "prompt": "hello"}),
    ("POST", "/tokenize", {"model": "generator", "prompt": "hello"}),
    ("GET", "/metrics", None),
)


def write_adapter(base: Path, folder: Path, *, seed: int = 7) -> Path:
    pairs = grounded_pairs(messages_table(thread_rows(60)), most=40)
    tuned = fit_generator(base, pairs, pairs[:20], RECIPE, seed=seed)
    with quietly():
        tuned.model.save_pretrained(folder, save_embedding_layers=False)
    write_origin(base, folder)
    return folder


def write_origin(base: Path, folder: Path) -> None:
    origin = {"base": file_digests(base), "dataset": "d" * 64, "run": "r" * 32}
    (folder / "origin.json").write_text(json.dumps(origin))


def fake_adapter(base: Path, folder: Path, rank: int = 4) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    write_origin(base, folder)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_decoder("llama", tmp_path / "bundle" / "generator", positions=2048)


@pytest.mark.slow
def test_an_adapter_belongs_to_its_base_and_has_a_rank_that_engines_take(base: Path, tmp_path: Path) -> None:
    other = write_decoder("llama", tmp_path / "other", seed=1)

    check_adapter(fake_adapter(base, tmp_path / "right"), base)

    with pytest.raises(UserError, match="trained on another base"):
        check_adapter(tmp_path / "right", other)
    with pytest.raises(UserError, match="rank 999"):
        check_adapter(fake_adapter(base, tmp_path / "high", 999), base)
    with pytest.raises(UserError, match="holds no adapter"):
        check_adapter(tmp_path / "none", base)


@pytest.mark.slow
def test_what_is_deployed_is_the_adapter_that_was_decided_on(base: Path, workspace: Path) -> None:
    assert decided_adapter({}) is None, "a release of earlier days"
    assert decided_adapter({DIGEST: NONE}) is None
    for name, rank in (("another", 8), ("one", 4)):
        (workspace / "adapters").mkdir(parents=True, exist_ok=True)
        fake_adapter(base, workspace / "adapters" / name, rank)
    decided = {DIGEST: folder_digest(workspace / "adapters" / "one")}
    kept = workspace / "bundles" / "live" / "generator_adapter"
    shutil.copytree(workspace / "adapters" / "one", kept)

    assert workspace / "adapters" / "one" == decided_adapter(decided)
    (workspace / "adapters" / "one" / "adapter_model.safetensors").write_bytes(b"others")
    assert kept == decided_adapter(decided)
    shutil.rmtree(kept)
    with pytest.raises(UserError, match="it is gone, or was changed"):
        decided_adapter(decided)


def test_the_base_steps_aside_for_the_adapter_and_only_then(base: Path) -> None:
    alone = vllm_arguments(engine_model("generator", base), 8001, "cpu")

    fake_adapter(base, base.parent / "generator_adapter", rank=12)
    beside = vllm_arguments(engine_model("generator", base), 8001, "cpu")

    assert "--enable-lora" not in alone
    assert "generator" == alone[alone.index("--served-model-name") + 1]
    assert "generator-base" == beside[beside.index("--served-model-name") + 1]
    assert "16" == beside[beside.index("--max-lora-rank") + 1]
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in engine_environment("cpu")


@pytest.mark.slow
@pytest.mark.skipif(vllm_device() != "cpu", reason="needs vLLM's CPU build")
def test_vllm_answers_with_the_adapter_and_changes_it_without_a_restart(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(base, base.parent / "generator_adapter")
    other = write_adapter(base, tmp_path / "other", seed=8)
    bundle, name, next_name = base.parent, name_of(adapter), name_of(other)
    assert adapter == adapter_of(base)

    with engines(bundle, "vllm", roles=("generator",)) as running, engine_client(running) as client:
        url = running.urls["generator"]
        for method, route, body in STRANGER:
            refused = httpx.request(method, f"{url}{route}", json=body, trust_env=False)
            assert (route, httpx.codes.UNAUTHORIZED) == (route, refused.status_code)
        plain = said(url, "generator-base")
        first = said(url, name)
        assert first == client.chat(QUESTION, max_tokens=12).text
        serve_adapter(url, adapter, name)  # there already: nothing changes
        assert first == said(url, name)

        serve_adapter(url, other, next_name)
        second = said(url, next_name)
        with pytest.raises(RuntimeError, match="refused the adapter"):
            serve_adapter(url, tmp_path / "gone", "generator-gone")
        assert (first, second) == (said(url, name), said(url, next_name))

        drop_adapter(url, next_name)
        with pytest.raises(RuntimeError, match="did not unload"):
            drop_adapter(url, next_name)
        with pytest.raises(httpx.HTTPStatusError):
            said(url, next_name)
        assert (first, plain) == (said(url, name), said(url, "generator-base"))
        assert () == running.dead_roles()
    shutil.rmtree(adapter)
    shutil.copytree(other, adapter)
    with engines(bundle, "vllm", roles=("generator",)) as restarted:
        assert second == said(restarted.urls["generator"], next_name)

    assert 3 == len({plain, first, second})


@pytest.mark.slow
def test_transformers_answers_with_the_adapter_too(base: Path) -> None:
    from serving.transformers_engine import ChatMessage, ChatRequest, TextGenerator

    request = ChatRequest(messages=[ChatMessage(**turn) for turn in QUESTION], max_tokens=12)
    plain = TextGenerator(base).answer(request)
    write_adapter(base, base.parent / "generator_adapter")

    assert plain != TextGenerator(base).answer(request)


def name_of(adapter: Path) -> str:
    return adapter_name(folder_digest(adapter))


def said(url: str, model: str) -> str:
    body = {"model": model, "messages": QUESTION, "max_tokens": 12, "temperature": 0.0}
    reply = httpx.post(
        f"{url}/v1/chat/completions", json=body, timeout=60, trust_env=False, headers=key_headers()
    )
    return str(reply.raise_for_status().json()["choices"][0]["message"]["content"])

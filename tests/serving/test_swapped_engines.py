"""vLLM itself from one bundle to the next: another adapter, another classifier, and back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from test_bundle import write_manifest
from test_generator_adapter import QUESTION, name_of, write_adapter

from serving.adapter import ADAPTER
from serving.bundle import Bundle
from serving.client import EngineClient, engine_client
from serving.engine_key import key_headers
from serving.engines import Engines
from serving.launch import ROLES, Role, vllm_device
from serving.metrics import Metrics
from serving.pool import EnginePool
from tests.training.made_decoders import write_decoder

ROUTE = "/v1/chat/completions"
LONG: dict[str, Any] = {"messages": QUESTION, "max_tokens": 1500, "temperature": 0.0, "stream": True,
                        "ignore_eos": True}  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, random_classifier: Path, frozen_embedder: Path) -> Bundle:
    folder = tmp_path_factory.mktemp("swapped") / "first"
    shutil.copytree(random_classifier, folder / "classifier")
    shutil.copytree(frozen_embedder, folder / "embedder")
    base = write_decoder("llama", folder / "generator", positions=2048)
    write_adapter(base, folder / ADAPTER)
    return write_manifest(folder)


def next_of(bundle: Bundle, name: str) -> Path:
    return Path(shutil.copytree(bundle.folder, bundle.folder.with_name(name)))


@pytest.mark.slow
@pytest.mark.skipif(vllm_device() != "cpu", reason="needs vLLM's CPU build")
def test_vllm_serves_the_next_bundle_from_the_engines_that_run(first: Bundle, workspace: Path) -> None:
    tuned = next_of(first, "tuned")
    shutil.rmtree(tuned / ADAPTER)
    write_adapter(tuned / "generator", tuned / ADAPTER, seed=8)
    second = write_manifest(tuned)
    labelled = next_of(second, "labelled")
    turn_round(labelled / "classifier" / "model.safetensors")
    third = write_manifest(labelled)
    pool = EnginePool("vllm", Metrics(), stop=threading.Event())

    with ExitStack() as one, ExitStack() as two, ExitStack() as three:
        former = one.enter_context(leased(pool, first))
        started, alone = processes(former.engines), former.says()
        long = words(former.client.stream("generator", ROUTE, LONG))
        on_its_way = former.client.stream("generator", ROUTE, LONG)
        begun = [next(on_its_way)]
        present = two.enter_context(leased(pool, second))
        other = present.says()
        assert 1.0 == requests_running(present.engines)
        assert long == words([*begun, *on_its_way])
        assert other != alone
        assert started == processes(present.engines)
        one.close()
        names = {name_of(bundle.folder / ADAPTER) for bundle in (first, second)}
        assert {"generator-base", *names} == served_models(present.engines)
        assert other == present.says()

        texts = ["the rent", "a prize"]
        scores = present.client.classify(texts)
        following = three.enter_context(leased(pool, third))
        assert (scores.argmax(axis=1) != following.client.classify(texts).argmax(axis=1)).any()
        relabelled = processes(following.engines)
        two.close()
        assert not psutil.pid_exists(started["classifier"])
        assert other == following.says()
        with leased(pool, first) as rolled_back:
            three.close()
            again = processes(rolled_back.engines)
            assert alone == rolled_back.says()
            assert np.abs(scores - rolled_back.client.classify(texts)).max() <= 1e-3

    assert 3 == len({started["classifier"], relabelled["classifier"], again["classifier"]})
    for role in ("embedder", "generator"):
        assert started[role] == relabelled[role] == again[role]
    assert not any(map(psutil.pid_exists, again.values()))


class Leased:
    """A bundle's engines, and who asks them."""

    def __init__(self, engines: Engines, client: EngineClient) -> None:
        self.engines, self.client = engines, client

    def says(self) -> str:
        return self.client.chat(QUESTION, max_tokens=12).text


@contextmanager
def leased(pool: EnginePool, bundle: Bundle) -> Iterator[Leased]:
    with pool.lease(bundle) as running, engine_client(running) as client:
        yield Leased(running, client)


def words(events: Iterable[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def turn_round(weights: Path) -> None:
    """Change the sign of a classifier's last layer."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors |= {name: -tensor for name, tensor in tensors.items() if name.startswith("classifier.")}
    save_file(tensors, weights, metadata={"format": "pt"})


def processes(engines: Engines) -> dict[Role, int]:
    """Return the processes that listen where the roles are served."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        for line in process.net_connections("tcp"):
            found[line.laddr.port] = process.pid
    return {role: found[int(engines.urls[role].rpartition(":")[2])] for role in ROLES}


def requests_running(engines: Engines) -> float:
    told = httpx.get(f"{engines.urls['generator']}/metrics", trust_env=False, headers=key_headers()).text
    lines = [line for line in told.splitlines() if line.startswith("vllm:num_requests_running")]
    return sum(float(line.split()[-1]) for line in lines)


def served_models(engines: Engines) -> set[str]:
    url = f"{engines.urls['generator']}/v1/models"
    return {each["id"] for each in httpx.get(url, trust_env=False, headers=key_headers()).json()["data"]}

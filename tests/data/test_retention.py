"""A policy says what goes with age; a hold wins; whoever is erased is in no row."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import governance
from data.erasing import eraser_of, rows_of
from data.intake import TAKEN_IN, take_all
from data.redact import pseudonym
from data.retain import Retained, retain
from data.retention import KeyedHold, Orders, orders_of, read_policy
from data.sources import discover
from data.workspace import UserError

KEY = b"k" * 32
ANNA = "anna@harbour.example"
WORDS = "The copper position must be unwound quietly before the committee meets in May."
MAIL = "From: {}\nTo: bert@harbour.example\n{}Subject: note\n\n{}\n"


def policy(tmp_path: Path, text: str) -> str:
    path = tmp_path / "retention.yaml"
    path.write_text(text)
    return str(path)


def taken_in(tmp_path: Path, *mails: tuple[str, str, str]) -> Path:
    """Take in mails of (sender, date, body)."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for number, (sender, date, body) in enumerate(mails):
        stated = f"Date: {date}\n" if date else ""
        (archive / f"{number}.eml").write_text(MAIL.format(sender, stated, body))
    batches = take_all(discover(archive), KEY)
    taken = tmp_path / "taken"
    taken.mkdir()
    pq.write_table(pa.Table.from_batches(list(batches), TAKEN_IN), taken / "part-0.parquet")
    (taken / ".part-0.parquet.crc").write_bytes(b"what Spark thinks of the old file")
    return taken


def orders(tmp_path: Path, text: str = "") -> Orders:
    return orders_of(policy(tmp_path, text) if text else "", key=KEY)


def outcomes(taken: Path) -> list[tuple[str, str | None]]:
    rows = sorted(rows_of(sorted(taken.glob("*.parquet"))), key=lambda row: row["source"])
    return [(row["source"], row["reason"]) for row in rows if row["outcome"] != "tally"]


def apply(taken: Path, ordered: Orders) -> Retained:
    return retain(taken, eraser_of(ordered, sorted(taken.glob("*.parquet"))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n  - {channel: fax, older_than_days: 3}\n", r"rules\.0\.channel"),
        ("rules:\n  - {older_than_days: -3}\n", r"rules\.0\.older_than_days"),
        ("holds:\n  - {name: everything}\n", "state subjects, channel"),
        (f"holds:\n  - {{name: about anna, subjects: [{'anna'}]}}\n", "name the matter"),
        ("holds: [{name: a, source: x}, {name: a, source: y}]\n", "same name"),
        ("keep: forever\n", "keep"),
        ("rules: [\n", "is no YAML"),
    ],
)
def test_a_mistake_in_the_policy_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as mistake:
        read_policy(policy(tmp_path, text))

    assert "\n" not in str(mistake.value)


def test_old_messages_expire_by_channel_and_undated_ones_never(tmp_path: Path, workspace: Path) -> None:
    taken = taken_in(
        tmp_path,
        (ANNA, "Mon, 01 Jan 2024 10:00:00 +0000", "An old one."),
        (ANNA, "Sun, 01 Dec 2024 10:00:00 +0000", "A new one."),
        (ANNA, "", "One without a date."),
    )
    rules = "as_of: 2025-01-01\nrules:\n  - {channel: email, older_than_days: 365}\n"

    assert Retained(1, 0, {}, 1) == apply(taken, orders(tmp_path, rules))
    assert [("0.eml", "expired"), ("1.eml", None), ("2.eml", None)] == outcomes(taken)
    row = next(row for row in rows_of(taken.glob("*.parquet")) if row["reason"])
    assert ("retain", None, None, None) == (row["stage"], row["text"], row["sender"], row["message_id"])
    assert not (taken / ".part-0.parquet.crc").exists()


def test_other_channels_do_not_expire(tmp_path: Path, workspace: Path) -> None:
    taken = taken_in(tmp_path, (ANNA, "Mon, 01 Jan 2024 10:00:00 +0000", "An old one."))

    assert Retained(0, 0, {}, 0) == apply(
        taken, orders(tmp_path, "as_of: 2025-01-01\nrules: [{channel: chat, older_than_days: 1}]\n")
    )


def test_a_hold_wins_over_age_and_erasure(tmp_path: Path, workspace: Path) -> None:
    taken = taken_in(
        tmp_path,
        (ANNA, "Mon, 01 Jan 2024 10:00:00 +0000", "Held by its sender."),
        ("carl@harbour.example", "Mon, 01 Jan 2024 10:00:00 +0000", "Of somebody else."),
    )
    governance.suppress([pseudonym("EMAIL", ANNA, key=KEY)])
    ordered = orders(
        tmp_path,
        "as_of: 2025-01-01\nrules: [{older_than_days: 1}]\n"
        f"holds: [{{name: matter 7, subjects: [{ANNA}]}}]\n",
    )

    assert Retained(1, 0, {"matter 7": 1}, 0) == apply(taken, ordered)
    assert [("0.eml", None), ("1.eml", "expired")] == outcomes(taken)


def test_holds_are_remembered_without_the_policy_and_released_on_record(
    tmp_path: Path, workspace: Path
) -> None:
    text = f"holds: [{{name: matter 7, subjects: [{ANNA}]}}]\n"
    assert ("matter 7",) == tuple(hold.name for hold in orders(tmp_path, text).holds)

    assert ("matter 7",) == tuple(hold.name for hold in orders(tmp_path).holds)
    assert () == orders(tmp_path, "rules: []\n").holds

    kinds = [(entry.event["kind"], entry.event["hold"]) for entry in governance.verified()]
    assert [("hold added", "matter 7"), ("hold released", "matter 7")] == kinds
    assert ANNA not in "".join(path.read_text() for path in governance.folder().iterdir())


def test_rules_are_remembered_without_the_policy_and_replaced_on_record(
    tmp_path: Path, workspace: Path
) -> None:
    taken = taken_in(tmp_path, (ANNA, "Mon, 01 Jan 2024 10:00:00 +0000", "An old one."))
    orders(tmp_path, "as_of: 2025-01-01\nrules: [{channel: email, older_than_days: 1}]\n")

    assert 1 == apply(taken, orders(tmp_path)).expired
    changed = orders(tmp_path, "rules: [{older_than_days: 900}]\n")
    assert (None, changed.rules) == (changed.as_of, orders(tmp_path).rules)
    assert (900,) == tuple(rule.older_than_days for rule in changed.rules)
    assert orders(tmp_path, "holds: [{name: matter 7, channel: chat}]\n").asks_for_nothing

    stated = [(entry.event["kind"], entry.event.get("rules")) for entry in governance.verified()]
    wanted = [("rules changed", 1), ("rules changed", 1), ("hold added", None), ("rules changed", 0)]
    assert wanted == stated


def test_a_hold_on_dates_covers_what_has_none() -> None:
    hold = KeyedHold("matter 7", since="2024-01-01", until="2024-12-31")
    row = {"channel": "email", "source": "a.eml", "sent_at": None}

    assert hold.covers(row)
    assert hold.covers(row | {"sent_at": datetime(2024, 12, 31, 23, tzinfo=UTC)})
    assert not hold.covers(row | {"sent_at": datetime(2025, 1, 1, tzinfo=UTC)})


def test_a_hold_covers_a_folder_as_it_is_called_on_disk() -> None:
    row = {"channel": "email", "source": "Sales\\x21/a.eml", "sent_at": None}

    assert KeyedHold("matter 8", source="Sales!/").covers(row)
    assert KeyedHold("matter 8", source="Sales\\x21/").covers(row)
    assert not KeyedHold("matter 8", source="Sales/").covers(row)


def test_an_erased_person_leaves_no_name_and_no_quoted_word(tmp_path: Path, workspace: Path) -> None:
    date = "Mon, 01 Jan 2024 10:00:00 +0000"
    taken = taken_in(
        tmp_path,
        (ANNA, date, WORDS),
        ("carl@harbour.example", date, f"See below, from {ANNA}.\n\nOn Monday she wrote:\n> {WORDS}"),
        ("carl@harbour.example", date, "Nothing of the kind is known to me."),
    )
    before = {row["source"]: row for row in rows_of(taken.glob("*.parquet")) if row["outcome"] == "message"}
    mark = pseudonym("EMAIL", ANNA, key=KEY)
    governance.suppress([mark])

    assert Retained(0, 1, {}, 0) == apply(taken, orders(tmp_path))
    after = {row["source"]: row for row in rows_of(taken.glob("*.parquet")) if row["outcome"] == "message"}
    written = repr(after)
    assert mark not in written
    assert "unwound" not in written
    assert "[EMAIL_00000000]" in after["1.eml"]["text"]
    assert len(before["1.eml"]["full_text"]) == len(after["1.eml"]["full_text"])
    assert before["1.eml"]["zones"] == after["1.eml"]["zones"]
    assert before["2.eml"] == after["2.eml"]


def test_what_others_wrote_themselves_is_theirs(tmp_path: Path, workspace: Path) -> None:
    date = "Mon, 01 Jan 2024 10:00:00 +0000"
    taken = taken_in(tmp_path, (ANNA, date, WORDS), ("carl@harbour.example", date, WORDS))
    governance.suppress([pseudonym("EMAIL", ANNA, key=KEY)])

    apply(taken, orders(tmp_path))

    assert [WORDS] == [row["text"] for row in rows_of(taken.glob("*.parquet")) if row["text"]]


def test_columns_of_a_stream_survive_and_are_cleaned(tmp_path: Path, workspace: Path) -> None:
    taken = taken_in(tmp_path, (ANNA, "", WORDS))
    file = next(taken.glob("*.parquet"))
    mark = pseudonym("EMAIL", ANNA, key=KEY)
    table = pq.read_table(file)
    pq.write_table(
        table.append_column("event_offset", pa.array(range(table.num_rows), pa.int64())).append_column(
            "event_key", pa.array([mark] * table.num_rows)
        ),
        file,
    )
    governance.suppress([mark])

    apply(taken, orders(tmp_path))

    row = next(row for row in rows_of([file]) if row["outcome"] == "reject")
    assert (0, "[EMAIL_00000000]") == (row["event_offset"], row["event_key"])


def test_a_damaged_list_of_the_erased_stops_everything(tmp_path: Path, workspace: Path) -> None:
    governance.suppress(["[EMAIL_1f3a9c2b]"])
    governance.suppression_path().write_text("{}")

    with pytest.raises(UserError, match="is damaged"):
        orders(tmp_path)


@pytest.mark.parametrize(
    "left",
    ["", "{}", '{"as_of": null, "rules": [{"older', '{"as_of": null, "rules": [{"older_than_days": -1}]}'],
)
def test_a_damaged_record_of_the_rules_stops_everything(tmp_path: Path, workspace: Path, left: str) -> None:
    orders(tmp_path, "rules: [{older_than_days: 1}]\n")
    governance.rules_path().write_text(left)

    with pytest.raises(UserError, match=r"rules\.json is damaged"):
        orders(tmp_path)


@pytest.mark.parametrize(
    "subject",
    [
        "Anna schmidt",
        "Schmidt Anna",
        "Dr. Anna Schmidt",
        f"{ANNA} (Anna)",
        f"Anna <{ANNA}>",
        f"Anna schmidt <{ANNA}>",
    ],
)
def test_a_person_is_not_everybody_with_the_same_given_name(subject: str) -> None:
    found = governance.pseudonyms_of([subject], key=KEY)

    assert pseudonym("PERSON", "Anna", key=KEY) not in found
    assert ("@" in subject) == (pseudonym("EMAIL", ANNA, key=KEY) in found)


@pytest.mark.parametrize(
    "subject",
    [
        "Anna Schmidt",
        "Schmidt, Anna",
        "Dr. Anna Schmidt",
        f"Anna Schmidt <{ANNA}>",
        f"Anna schmidt <{ANNA}>",
        f'"Schmidt, Anna" <{ANNA}>',
        f"Prof. Dr. Anna Schmidt (Legal) <{ANNA}>",
        f"{ANNA} (Anna Schmidt)",
    ],
)
def test_a_full_name_is_the_person(subject: str) -> None:
    assert pseudonym("PERSON", "Anna Schmidt", key=KEY) in governance.pseudonyms_of([subject], key=KEY)


def test_a_number_is_a_subject_too() -> None:
    number = "+49 40 1234567"

    assert pseudonym("PHONE", number, key=KEY) in governance.pseudonyms_of([number], key=KEY)

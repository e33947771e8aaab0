"""Slack and Teams exports, with what breaks in them."""

import json
import time
from pathlib import Path

import pytest

from data.normalise import normalise
from data.read_chat import read_slack, read_teams
from data.record import Party, Record, Rejected


def slack(*entries: object, context: str = "") -> list[Record | Rejected]:
    return list(
        read_slack(json.dumps(entries).encode(), source="slack/desk/2024-01-02.json", context=context)
    )


def test_names_people_and_threads_of_slack(tmp_path: Path) -> None:
    users = [{"id": "U1", "real_name": "Ada Ray"}, {"id": "U2", "profile": {"real_name": "Bo Lee"}}]
    (tmp_path / "users.json").write_text(json.dumps(users))
    message = {
        "type": "message",
        "user": "U1",
        "text": "ask <@U2> &amp; me",
        "ts": "1700000000.01",
        "thread_ts": "1699.5",
    }

    (entry,) = slack(message, context=str(tmp_path))

    assert isinstance(entry, Record)
    assert Party("Ada Ray") == entry.sender
    assert entry.body == "ask @Bo Lee & me"
    assert entry.key == "desk\n1700000000.01"
    assert entry.parents == ("desk\n1699.5",)
    assert set(entry.names) == {"Ada Ray", "Bo Lee"}


def test_rejects_slack_entries_with_the_reason() -> None:
    entries = slack(
        {"subtype": "channel_join", "text": "<@U1> has joined", "ts": "1"},
        "no object",
        {"user": "U1", "text": " ", "ts": "2"},
        {"user": "U1", "text": "", "ts": "3", "files": [{"name": "plan.pdf"}]},
        {"foo": 1},
    )

    assert [entry.reason if isinstance(entry, Rejected) else "" for entry in entries] == [
        *("system_message", "not_a_message", "empty_message", "", "not_a_message")
    ]
    assert [entry.locator for entry in entries] == [0, 1, 2, 3, 4]


def outcomes(entries: list[Record | Rejected]) -> list[str]:
    return [entry.reason if isinstance(entry, Rejected) else entry.body for entry in entries]


def changed(text: str, ts: str, *, event: str, **more: object) -> dict[str, object]:
    message = {"user": "U1", "text": text, "ts": ts, **more}
    return {"type": "message", "subtype": "message_changed", "ts": event, "message": message}


def test_the_last_wording_of_a_slack_message_counts() -> None:
    entries = slack(
        {"user": "U1", "text": "at noon", "ts": "10.000100"},
        {"user": "U1", "text": "fine", "ts": "11.000100"},
        changed("at two", "10.000100", event="30.000100", thread_ts="9.000100"),
        changed("at one", "10.000100", event="20.000100"),
    )

    assert outcomes(entries) == ["superseded", "fine", "at two", "superseded"]
    assert isinstance(entries[2], Record)
    assert (entries[2].key, entries[2].parents) == ("desk\n10.000100", ("desk\n9.000100",))


def test_a_message_that_the_export_holds_reworded_wins_over_its_earlier_changes() -> None:
    entries = slack(
        {"user": "U1", "text": "at two", "ts": "10.000100", "edited": {"user": "U1", "ts": "30.000000"}},
        changed("at one", "10.000100", event="20.000100", edited={"ts": "20.000000"}),
    )

    assert outcomes(entries) == ["at two", "superseded"]


def test_a_change_whose_message_is_elsewhere_is_that_message() -> None:
    assert outcomes(slack(changed("at two", "10.000100", event="30.000100"))) == ["at two"]


def test_what_was_deleted_from_slack_is_a_reject_like_its_tombstone() -> None:
    entries = slack(
        {"user": "U1", "text": "secret", "ts": "10.000100"},
        {"subtype": "message_deleted", "ts": "12.000100", "deleted_ts": "10.000100"},
        {"subtype": "tombstone", "text": "This message was deleted.", "ts": "13.000100"},
        changed("gone", "14.000100", event="15.000100", subtype="tombstone"),
        {"user": "U1", "text": "stays", "ts": "16.000100"},
    )

    assert outcomes(entries) == [*["deleted_message"] * 4, "stays"]


def test_broken_events_of_slack_are_counted() -> None:
    entries = slack(
        {"subtype": "message_changed", "ts": "1"},
        {"subtype": "message_changed", "ts": "1", "message": {}},
        {"subtype": "message_deleted", "previous_message": []},
    )

    assert outcomes(entries) == ["empty_message", "not_a_message", "deleted_message"]


def test_rejects_a_chat_file_that_is_no_json_once() -> None:
    assert [each.reason for each in read_slack(b"[{]", source="a/b.json") if isinstance(each, Rejected)] == [
        "invalid_json"
    ]


def test_teams_knows_the_people_of_the_whole_export_in_every_message() -> None:
    def said(by: str, text: str) -> dict[str, object]:
        return {"body": {"contentType": "text", "content": text}, "from": {"user": {"displayName": by}}}

    export = {"value": [said("Ada Ray", "Ask Lee."), said("Bo Lee", "Fine.")]}

    records = [each for each in read_teams(json.dumps(export).encode()) if isinstance(each, Record)]

    assert [set(record.names) for record in records] == [{"Ada Ray", "Bo Lee"}] * 2


def test_reads_html_and_replies_of_teams() -> None:
    entry = {
        "id": "2",
        "replyToId": "1",
        "createdDateTime": "2024-03-01T09:00:00Z",
        "from": {"user": {"displayName": "Ada Ray", "id": "u"}},
        "body": {"contentType": "html", "content": "<p>Hi &amp; bye</p>"},
        "channelIdentity": {"channelId": "c"},
        "attachments": [{"name": "a.pdf", "contentType": "application/pdf"}],
    }

    (record,) = read_teams(json.dumps({"value": [entry]}).encode())

    assert isinstance(record, Record)
    assert record.body == "Hi & bye"
    assert (record.key, record.parents) == ("c\n2", ("c\n1",))
    assert record.sent_at is not None
    assert record.attachments[0].name == "a.pdf"


def test_teams_keeps_the_last_version_and_rejects_what_was_deleted() -> None:
    def version(number: str, text: str, **times: str) -> dict[str, object]:
        return {"id": number, "body": {"content": text}, "createdDateTime": "2024-03-01T09:00:00Z", **times}

    export = {
        "value": [
            version("1", "at one"),
            version("1", "at three", lastEditedDateTime="2024-03-01T11:00:00.5Z"),
            version("1", "at two", lastEditedDateTime="2024-03-01T11:00:00Z"),
            version("2", "", deletedDateTime="2024-03-01T12:00:00Z"),
            version("3", "fine"),
        ]
    }

    assert outcomes(list(read_teams(json.dumps(export).encode()))) == [
        *("superseded", "at three", "superseded", "deleted_message", "fine")
    ]


def test_replies_nested_in_a_teams_message_are_messages_of_its_thread() -> None:
    reply = {"id": "2", "body": {"content": "yes"}, "replyToId": None, "replies": [{"id": "3"}]}
    root = {
        "id": "1",
        "channelIdentity": {"channelId": "c"},
        "body": {"content": "who?"},
        "replies": [reply, "x"],
    }

    entries = list(read_teams(json.dumps({"value": [root, {"body": {"content": "next"}}]}).encode()))

    assert outcomes(entries) == ["who?", "yes", "not_a_message", "not_a_message", "next"]
    assert isinstance(entries[1], Record)
    assert (entries[1].key, entries[1].parents) == ("c\n2", ("c\n1",))
    assert [entry.locator for entry in entries] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("unit", ["<@A|", "<#C|", "<!here|", "<tel:", "<tel:1|", "<@", "<@A"])
def test_markup_that_never_closes_is_read_within_a_bound_that_quadratic_time_exceeds(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()

    (entry,) = slack({"user": "U1", "text": text, "ts": "1"})

    assert isinstance(entry, Record)
    assert entry.body == text
    assert time.process_time() - start < 5


def test_a_label_of_slack_may_be_long() -> None:
    (entry,) = slack(
        {"user": "U1", "text": f"<https://x.org/{'y' * 5000}|see> <@U2|Bo &lt;b&gt;>", "ts": "1"}
    )

    assert isinstance(entry, Record)
    assert entry.body == f"see (https://x.org/{'y' * 5000}) @Bo <b>"


def test_an_unknown_sender_in_each_message_does_not_prepare_the_names_of_the_export_again(
    tmp_path: Path,
) -> None:
    users = [{"id": f"U{number}", "real_name": f"Ada R{number:x}ay"} for number in range(20_000)]
    (tmp_path / "users.json").write_text(json.dumps(users))
    said = [
        {"username": f"Zorg N{n}ib", "text": f"Ask Zorg, call 020 7946 0{n:03}", "ts": f"{n}.1"}
        for n in range(300)
    ]
    days = [slack(*said[:150], context=str(tmp_path)), slack(*said[150:], context=str(tmp_path))]
    start = time.process_time()

    texts = [
        normalise(record, source="a", source_sha256="", secret=bytes(32)).text
        for day in days
        for record in day
        if isinstance(record, Record)
    ]

    assert all(text.startswith("Ask [PERSON_") for text in texts)
    assert len(texts) == 300
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "stated",
    ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "999999999999.9", "1e400", "१.5", "-1"],
)
def test_one_odd_time_costs_no_other_message(stated: str) -> None:
    said = {"body": {"contentType": "text", "content": "Hello."}, "id": "1"}
    export = {
        "value": [said | {"createdDateTime": stated}, said | {"createdDateTime": "2024-03-01T09:00:00Z"}]
    }

    teams = list(read_teams(json.dumps(export).encode()))
    both = slack(
        {"user": "U1", "text": "Hello.", "ts": stated}, {"user": "U1", "text": "Hello.", "ts": "1700.1"}
    )

    for first, second in (teams, both):
        assert isinstance(first, Record)
        assert isinstance(second, Record)
        assert second.sent_at


@pytest.mark.parametrize("stated", [True, False, -1, 1 << 62, 1.5, "9", None, [9]])
def test_a_file_whose_size_is_no_whole_number_has_none(stated: object) -> None:
    (entry,) = slack({"user": "U1", "text": "See.", "ts": "1", "files": [{"name": "a.txt", "size": stated}]})

    assert isinstance(entry, Record)
    (file,) = entry.attachments
    assert (type(file.size), file.size) == (int, 0)

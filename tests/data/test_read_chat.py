"""Slack and Teams exports, with what breaks in them."""

import json
from pathlib import Path

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

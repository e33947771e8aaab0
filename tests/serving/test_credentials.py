"""Keys: shown once, kept as hashes, limited, withdrawn at once."""

from __future__ import annotations

import json
import stat
from datetime import date
from pathlib import Path

import pytest

from data.workspace import UserError
from serving.credentials import (
    Keyring,
    add_key,
    ensure_owner_key,
    keys_path,
    read_keys,
    revoke_key,
    rotate_key,
    scope_of,
)
from serving.scope import Scope


def test_a_key_opens_with_its_roles_and_limits(workspace: Path):
    scope = Scope(channels=("email",), custodians=("mail",), since=date(2024, 1, 1))
    _, text = add_key("desk-4", ("analyst",), scope=scope)

    caller = Keyring().caller(text)

    assert caller is not None
    assert (caller.name, caller.roles, caller.scope) == ("desk-4", ("analyst",), scope)


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (Scope(channels=("email", "emial")), "no channel called 'emial'; choose of: email, chat, transcript"),
        (Scope(since=date(2024, 2, 1), until=date(2024, 1, 1)), "2024-02-01 to before 2024-01-01"),
        (Scope(since=date(2024, 2, 1), until=date(2024, 2, 1)), "--until"),
    ],
)
def test_limits_that_no_message_meets_make_no_key(workspace: Path, scope: Scope, words: str):
    with pytest.raises(UserError, match=words):
        add_key("desk-4", ("analyst",), scope=scope)

    assert read_keys() == ()


def test_what_is_kept_opens_nothing(workspace: Path):
    _, text = add_key("desk-4", ("analyst",))

    kept = keys_path().read_text()

    assert text.split("_", 2)[2] not in kept  # a secret may have underscores itself
    assert stat.S_IMODE(keys_path().stat().st_mode) == 0o600
    assert Keyring().caller(json.loads(kept)[0]["sha256"]) is None


@pytest.mark.parametrize("change", ["", "x", " "])
def test_another_text_opens_nothing(workspace: Path, change: str):
    made, text = add_key("desk-4", ("analyst",))
    other = f"mr_{made.id}_{'A' * 43}{change}" if change else f"{text[:-1]}"

    assert Keyring().caller(other) is None


def test_a_running_gateway_refuses_a_withdrawn_key_at_once(workspace: Path):
    made, text = add_key("desk-4", ("analyst",))
    ring = Keyring()
    assert ring.caller(text) is not None

    revoke_key(made.id)

    assert ring.caller(text) is None


def test_an_expired_key_opens_nothing(workspace: Path):
    _, text = add_key("desk-4", ("analyst",), days=-1)

    assert Keyring().caller(text) is None


def test_an_expired_key_is_rotated_for_days_that_are_named(workspace: Path):
    made, _ = add_key("desk-4", ("analyst",), days=-1)

    with pytest.raises(UserError, match="--days"):
        rotate_key(made.id)
    _, text = rotate_key(made.id, days=90)

    assert Keyring().caller(text) is not None


def test_a_rotated_key_keeps_name_roles_and_limits(workspace: Path):
    made, before = add_key("desk-4", ("reviewer",), scope=Scope(languages=("de",)))

    _, now = rotate_key(made.id)

    ring = Keyring()
    assert ring.caller(before) is None
    caller = ring.caller(now)
    assert caller is not None
    assert (caller.name, caller.roles, caller.scope.languages) == ("desk-4", ("reviewer",), ("de",))


def test_the_owners_key_is_made_once_for_its_owner_alone(workspace: Path):
    add_key("desk-4", ("analyst",))
    path = ensure_owner_key()

    assert ensure_owner_key().read_text() == path.read_text()
    assert len(read_keys()) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "roles", "told"), [("a b", ("analyst",), "called"), ("a", ("root",), "role"), ("a", (), "role")]
)
def test_a_mistake_is_told_with_the_way_out(workspace: Path, name: str, roles: tuple[str, ...], told: str):
    with pytest.raises(UserError, match=told):
        add_key(name, roles)


def test_an_unknown_key_cannot_be_withdrawn(workspace: Path):
    with pytest.raises(UserError, match="mailroom key list"):
        revoke_key("0" * 12)


@pytest.mark.parametrize(
    "document", [{"all": True}, {"channels": "email"}, {"channels": [1]}, {"since": "yesterday"}]
)
def test_a_limit_that_is_not_understood_opens_nothing(document: dict[str, object]):
    with pytest.raises(ValueError):  # noqa: PT011 - of the library or ours: what counts is that it fails
        scope_of(document)

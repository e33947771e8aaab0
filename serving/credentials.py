"""API keys: shown once, kept as hashes, with roles, a scope, an end, and a way to withdraw them."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from data.schema import CHANNELS
from data.workspace import UserError, keys, write_atomically
from serving.access import ROLES, Caller, Role, known_roles
from serving.scope import Scope

KEY = re.compile(r"mr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key: enough to know it again, not enough to use it."""

    id: str
    name: str
    roles: tuple[Role, ...]
    scope: Scope
    sha256: str  # of 256 random bits: no salt and no slow hash would add anything
    created: str
    expires: str = ""
    revoked: str = ""

    @property
    def state(self) -> str:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and self.expires <= _now().isoformat() else "valid"

    def caller(self) -> Caller:
        return Caller(self.name, self.roles, self.scope, self.id, self.name)


def keys_path() -> Path:
    """Return where the hashes lie."""
    return keys() / "gateway-keys.json"


def owner_key_path() -> Path:
    """Return where the first key lies, for the owner of this account alone."""
    return keys() / "gateway.key"


def add_key(
    name: str, roles: tuple[str, ...], *, scope: Scope | None = None, days: int = 0
) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret text, which nothing can show again.

    Without a scope it sees the whole archive; it ends after ``days``, or never.

    Raises:
        UserError: no name, a role or a channel that does not exist, or days of which there are none.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):  # it signs labels, and so has a signer's alphabet
        raise UserError(
            f"no key can be called {name!r}; use up to 64 letters, digits, dashes, dots, underscores"
        )
    if unknown := sorted(set(roles) - set(ROLES)):
        raise UserError(f"no role called {unknown[0]!r}; choose of: {', '.join(ROLES)}")
    if not roles:
        raise UserError(f"a key without a role opens nothing; give one: --role {'|'.join(ROLES)}")
    _check(scope or Scope())
    return _add(name, roles, scope or Scope(), days=days)


def _check(scope: Scope) -> None:
    """Refuse limits that no message meets: the key would see nothing, and nobody would know why."""
    if unknown := sorted(set(scope.channels) - set(CHANNELS)):
        raise UserError(f"no channel called {unknown[0]!r}; choose of: {', '.join(CHANNELS)}")
    if scope.since and scope.until and scope.since >= scope.until:
        raise UserError(f"no day lies from {scope.since} to before {scope.until}; give an --until after it")


def _add(
    name: str, roles: tuple[str, ...], scope: Scope, *, days: int, expires: str = ""
) -> tuple[ApiKey, str]:
    number, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    made = ApiKey(
        id=number,
        name=name,
        roles=known_roles(roles),
        scope=scope,
        sha256=_digest(secret),
        created=_now().isoformat(timespec="seconds"),
        expires=(_now() + timedelta(days=days)).isoformat() if days else expires,
    )
    with _changing() as held:
        held.append(made)
    return made, f"mr_{number}_{secret}"


def revoke_key(number: str) -> ApiKey:
    """Withdraw a key: a running gateway refuses it at the next request.

    Raises:
        UserError: there is no such key, or it was withdrawn before.
    """
    with _changing() as held:
        place = next((place for place, key in enumerate(held) if key.id == number), None)
        if place is None or held[place].revoked:
            raise UserError(f"no valid key {number!r}; see: mailroom key list")
        held[place] = replace(held[place], revoked=_now().isoformat(timespec="seconds"))
        return held[place]


def rotate_key(number: str, *, days: int = 0) -> tuple[ApiKey, str]:
    """Withdraw a key and make one with the same name, roles, scope and end, unless ``days`` names another.

    Raises:
        UserError: there is no such key, it was withdrawn before, or it has expired and ``days`` is 0.
    """
    if not days and any(key.id == number and key.state == "expired" for key in read_keys()):
        raise UserError(f"key {number} has expired, and so would the next; say how long it lasts: --days 90")
    old = revoke_key(number)
    made, text = _add(old.name, old.roles, old.scope, days=days, expires=old.expires)
    if old.name == OWNER and owner_key_path().exists():
        _keep_owner_key(text)
    return made, text


def read_keys() -> tuple[ApiKey, ...]:
    """Return all keys, withdrawn ones too.

    Raises:
        UserError: the file is damaged.
    """
    path = keys_path()
    if not path.exists():
        return ()
    try:
        return tuple(_from_json(each) for each in json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError):
        raise UserError(f"the file of keys {path} is damaged; restore it from your backup") from None


def ensure_owner_key() -> Path:
    """Make the owner's key, with every role, unless there ever was one; return the file that holds it."""
    path = owner_key_path()
    if not any(key.name == OWNER and set(key.roles) == set(ROLES) for key in read_keys()):
        _, text = add_key(OWNER, ROLES)
        _keep_owner_key(text)
    return path


def _keep_owner_key(text: str) -> None:
    with write_atomically(owner_key_path()) as unfinished:
        unfinished.touch(mode=0o600)
        unfinished.write_text(text)


class Keyring:
    """The keys as a running gateway holds them: read again whenever the file changes."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] = (-1, -1)
        self._keys: dict[str, ApiKey] = {}

    def caller(self, text: str) -> Caller | None:
        """Return whom a key stands for; None when it is unknown, wrong, expired or withdrawn."""
        match = KEY.fullmatch(text)
        if not match:
            return None
        self._read_again()
        key = self._keys.get(match[1])
        expected = key.sha256 if key else _digest("")  # the same work whether or not the id exists
        is_right = hmac.compare_digest(_digest(match[2]), expected)
        return key.caller() if key and is_right and key.state == "valid" else None

    def _read_again(self) -> None:
        try:
            status = os.stat(keys_path())
        except FileNotFoundError:
            self._keys, self._seen = {}, (-1, -1)
            return
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._keys = {key.id: key for key in read_keys()}
            self._seen = seen


def scope_of(document: dict[str, Any]) -> Scope:
    """Return the scope that JSON or a token's claim describes.

    Raises:
        ValueError: a field that no scope has, or of the wrong type: a limit that is not understood
            must never open more than it says.
    """
    if unknown := sorted(set(document) - set(Scope.__dataclass_fields__)):
        raise ValueError(f"no limit called {unknown[0]!r}")
    return Scope(
        channels=_words(document, "channels"),
        custodians=_words(document, "custodians"),
        labels=_words(document, "labels"),
        languages=_words(document, "languages"),
        since=_day(document, "since"),
        until=_day(document, "until"),
    )


def _words(document: dict[str, Any], name: str) -> tuple[str, ...]:
    values = document.get(name) or []
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} must be a list of words")
    return tuple(values)


def _day(document: dict[str, Any], name: str) -> date | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a day")
    return date.fromisoformat(value) if value else None


def _from_json(document: dict[str, Any]) -> ApiKey:
    fields = document | {"roles": known_roles(document["roles"]), "scope": scope_of(document["scope"])}
    return ApiKey(**fields)


@contextmanager
def _changing() -> Iterator[list[ApiKey]]:
    """Yield the keys and write what becomes of them, one process at a time."""
    keys().mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(keys() / "gateway-keys.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = list(read_keys())
        yield held
        with write_atomically(keys_path()) as unfinished:
            unfinished.touch(mode=0o600)
            unfinished.write_text(json.dumps([asdict(key) for key in held], indent=1, default=str) + "\n")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)

"""JSON Web Tokens of an identity provider: checked against its published keys, nothing taken on trust."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from data.workspace import UserError
from serving.access import Caller, known_roles
from serving.credentials import scope_of

# Only signatures that need the provider's private key: with a shared secret whoever checks could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
REFRESH_S = 300.0
PAUSE_S = 15.0  # at least so long between two fetches, whatever is asked
TRUSTED_S = 86_400.0
LONGEST = 8_192  # characters of a token
LONGEST_SUBJECT = 128


class Issuer(BaseModel):
    """An identity provider: whose tokens count, and which of their claims say what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    audience: str
    jwks: str = Field(default="", description="file or https address of the keys; empty: by discovery")
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    roles_claim: str = "roles"
    scope_claim: str = "mailroom_scope"
    leeway_s: float = Field(default=30, ge=0, le=300)

    @field_validator("algorithms")
    @classmethod
    def _only_public_keys(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if not algorithms or set(algorithms) - set(ALGORITHMS):
            raise ValueError(f"algorithms must be of: {', '.join(ALGORITHMS)}")
        return algorithms


class TokenCheck:
    """Checks tokens of one issuer by its keys, which ``keep_fresh`` fetches again: never a request."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys = fetch_keys(issuer)
        self._fetched = clock()
        self.wanted = threading.Event()  # set by an unknown key: it may be a new one

    def caller(self, token: str) -> Caller | None:
        """Return whom a token stands for, or None: never why, which would help to forge one."""
        try:
            return self._checked(token)
        except Exception:  # whatever a forged token breaks: it opens nothing
            return None

    def refresh(self) -> None:
        """Fetch the keys again; those that the issuer has withdrawn count no more."""
        try:
            self._keys = fetch_keys(self._issuer)
            self._fetched = self._clock()
        except Exception as error:  # whatever an issuer answers: the next fetch tries again
            words = (
                str(error) if isinstance(error, UserError) else f"keys not fetched: {type(error).__name__}"
            )
            print(f"mailroom: {words}", file=sys.stderr, flush=True)

    def _checked(self, token: str) -> Caller | None:
        """Return whom the token stands for; raises where it is not one that counts."""
        if len(token) > LONGEST:
            return None
        head = jwt.get_unverified_header(token)
        algorithm, number = str(head.get("alg")), head.get("kid")
        if algorithm not in self._issuer.algorithms or not isinstance(number, str) or "crit" in head:
            return None
        key = self._key(number)
        # The key says what it is for: an RSA key never checks an EC signature, whatever the token claims.
        if key is None or key.key_type != KEY_TYPES[algorithm[:2]]:
            return None
        stated = key._jwk_data.get("alg")
        if (stated and stated != algorithm) or key._jwk_data.get("use", "sig") != "sig":
            return None
        claims = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            audience=self._issuer.audience,
            issuer=self._issuer.issuer,
            leeway=self._issuer.leeway_s,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return self._caller_of(claims, number)

    def _caller_of(self, claims: dict[str, Any], number: str) -> Caller | None:
        """Return whom verified claims describe."""
        roles = known_roles(claims.get(self._issuer.roles_claim))
        limits, subject = claims.get(self._issuer.scope_claim, {}), str(claims["sub"])
        # An empty limit is not "no limit": a provider that maps no mailbox to [] means none.
        is_limit = isinstance(limits, dict) and all(limits.values())
        if not roles or not is_limit or not 0 < len(subject) <= LONGEST_SUBJECT:
            return None
        place = hashlib.sha256(self._issuer.issuer.encode()).hexdigest()[:8]
        signer = hashlib.sha256(f"{self._issuer.issuer}\0{subject}".encode()).hexdigest()[:16]
        return Caller(subject, roles, scope_of(limits), f"jwt:{place}:{number[:32]}", f"oidc-{signer}")

    def _key(self, number: str) -> jwt.PyJWK | None:
        if self._clock() - self._fetched > TRUSTED_S:
            return None  # keys that could not be confirmed for a day may have been withdrawn
        if number not in self._keys:
            self.wanted.set()
        return self._keys.get(number)


def keep_fresh(check: TokenCheck, stop: threading.Event) -> None:
    """Fetch an issuer's keys every five minutes, and soon after an unknown one signed, until told to stop."""
    while not stop.wait(PAUSE_S):
        until = time.monotonic() + REFRESH_S - PAUSE_S
        while not stop.is_set() and time.monotonic() < until and not check.wanted.wait(1.0):
            pass
        check.wanted.clear()
        if not stop.is_set():
            check.refresh()


def fetch_keys(issuer: Issuer) -> dict[str, jwt.PyJWK]:
    """Return the issuer's public keys by their number.

    Raises:
        UserError: they cannot be read, there are none, or two share a number.
    """
    place = issuer.jwks or _discovered(issuer)
    document = _document(place)
    found: dict[str, jwt.PyJWK] = {}
    stated = document.get("keys")
    for each in stated if isinstance(stated, list) else []:
        if not isinstance(each, dict):
            continue
        number = each.get("kid")
        if each.get("kty") == "oct" or not isinstance(number, str) or not number:
            continue  # a shared secret has no place among public keys
        if number in found:
            raise UserError(f"two keys of {place} are called {number!r}; the issuer has to mend that")
        try:
            found[number] = jwt.PyJWK(each)
        except jwt.PyJWTError:
            continue  # of a kind that this library does not know: its tokens are refused
    if not found:
        raise UserError(f"no usable public key in {place}; check the issuer's jwks")
    return found


def _discovered(issuer: Issuer) -> str:
    stated = _document(f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
    if stated.get("issuer") != issuer.issuer:
        raise UserError(f"the discovery document of {issuer.issuer} names another issuer; check the address")
    return str(stated.get("jwks_uri", ""))


def _document(place: str) -> dict[str, Any]:
    try:
        if "://" not in place:
            return dict(json.loads(Path(place).expanduser().read_text()))
        address = urlsplit(place)
        if address.scheme != "https" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise UserError(f"keys are fetched by https alone, not from {place}")
        reply = httpx.get(place, timeout=10, trust_env=False, follow_redirects=False)
        reply.raise_for_status()
        return dict(reply.json())
    except (OSError, ValueError, TypeError, httpx.HTTPError):
        raise UserError(f"the issuer's keys cannot be read from {place}; check jwks and issuer") from None

"""JSON Web Tokens of an identity provider: checked against its published keys, nothing taken on trust."""

from __future__ import annotations

import json
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
LONGEST = 8_192  # characters of a token


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
    """Checks tokens of one issuer; its keys are fetched at the start and again when an unknown one signs."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys = fetch_keys(issuer)
        self._fetched = clock()

    def caller(self, token: str) -> Caller | None:
        """Return whom a token stands for, or None: never why, which would help to forge one."""
        try:
            return self._checked(token)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return None

    def _checked(self, token: str) -> Caller | None:
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
        roles = known_roles(claims.get(self._issuer.roles_claim))
        if not roles:
            return None
        scope = scope_of(claims.get(self._issuer.scope_claim) or {})
        return Caller(str(claims["sub"])[:64], roles, scope, f"jwt:{number[:32]}")

    def _key(self, number: str) -> jwt.PyJWK | None:
        if number not in self._keys and self._clock() - self._fetched > REFRESH_S:
            self._fetched = self._clock()  # first, so that unknown numbers cannot make us ask again and again
            try:
                self._keys = fetch_keys(self._issuer)
            except UserError:
                return None
        return self._keys.get(number)


def fetch_keys(issuer: Issuer) -> dict[str, jwt.PyJWK]:
    """Return the issuer's public keys by their number.

    Raises:
        UserError: they cannot be read, there are none, or two share a number.
    """
    place = issuer.jwks or _discovered(issuer)
    document = _document(place)
    found: dict[str, jwt.PyJWK] = {}
    for each in document.get("keys", []):
        number = each.get("kid")
        if each.get("kty") == "oct" or not number:
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

"""The attacks that tokens are known for: each is refused, and none says why."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from data.workspace import UserError
from serving.tokens import Issuer, TokenCheck, fetch_keys

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def published(key: Any, number: str, **more: str) -> dict[str, Any]:
    algorithm = (
        jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": number, "use": "sig", **more}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    keys = {
        "keys": [
            published(RSA, "one"),
            published(CURVE, "curve"),
            {"kty": "oct", "kid": "s", "k": "c2VjcmV0"},
        ]
    }
    (tmp_path / "jwks.json").write_text(json.dumps(keys))
    return Issuer(issuer="https://id.example", audience="mailroom", jwks=str(tmp_path / "jwks.json"))


def claims(**changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    usual = {"iss": "https://id.example", "aud": "mailroom", "sub": "u-17", "roles": ["analyst"],
             "iat": now, "exp": now + timedelta(minutes=5)}  # fmt: skip
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(key: Any = RSA, number: str | None = "one", algorithm: str = "RS256", **changed: Any) -> str:
    headers = {"kid": number} if number is not None else {}
    return jwt.encode(claims(**changed), key, algorithm=algorithm, headers=headers)


def with_header(key: Any, **header: Any) -> str:
    return jwt.encode(claims(), key, "RS256", headers={"kid": "one", **header})


def by_hand(head: dict[str, Any], secret: bytes | None) -> str:
    """Return a token that no library would write."""

    def packed(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    body = claims()
    body |= {name: int(body[name].timestamp()) for name in ("iat", "exp")}
    signed = packed(json.dumps(head).encode()) + b"." + packed(json.dumps(body).encode())
    signature = hmac.digest(secret, signed, hashlib.sha256) if secret is not None else b""
    return (signed + b"." + packed(signature)).decode()


def test_a_token_of_the_issuer_opens_with_its_roles_and_limits(issuer: Issuer):
    limits = {"channels": ["email"], "since": "2024-01-01"}

    caller = TokenCheck(issuer).caller(token(mailroom_scope=limits, roles=["analyst", "root"]))

    assert caller is not None
    assert (caller.name, caller.roles, caller.scope.channels) == ("u-17", ("analyst",), ("email",))
    assert caller.scope.since is not None


def test_a_token_on_a_curve_opens_too(issuer: Issuer):
    assert TokenCheck(issuer).caller(token(CURVE, "curve", "ES256")) is not None


LATE = datetime.now(UTC) - timedelta(hours=1)
EARLY = datetime.now(UTC) + timedelta(hours=1)
ATTACKS: dict[str, Callable[[], str]] = {
    "alg none": lambda: by_hand({"alg": "none", "kid": "one"}, None),
    "alg None in capitals": lambda: by_hand({"alg": "nOnE", "kid": "one"}, None),
    "public key as a shared secret": lambda: by_hand({"alg": "HS256", "kid": "one"}, PEM),
    "the published shared secret": lambda: by_hand({"alg": "HS256", "kid": "s"}, b"secret"),
    "no key number": lambda: token(number=None),
    "an unknown key number": lambda: token(number="two"),
    "another's key under our number": lambda: token(OTHER),
    "a number that is a path": lambda: token(number="../../../../dev/null"),
    "a number of another kind of key": lambda: token(CURVE, "one", "ES256"),
    "its own key in the header": lambda: with_header(OTHER, jwk=published(OTHER, "one")),
    "keys at its own address": lambda: with_header(OTHER, jku="https://evil.example"),
    "a certificate of its own": lambda: with_header(OTHER, x5u="https://evil.example"),
    "a critical extension": lambda: with_header(RSA, crit=["x"], x=1),
    "an algorithm that is not allowed": lambda: token(algorithm="RS512"),
    "expired": lambda: token(exp=LATE),
    "without an end": lambda: token(exp=None),
    "not yet valid": lambda: token(nbf=EARLY),
    "another audience": lambda: token(aud="payroll"),
    "without an audience": lambda: token(aud=None),
    "another issuer": lambda: token(iss="https://id.example.evil"),
    "without a subject": lambda: token(sub=None),
    "without a role": lambda: token(roles=None),
    "a role that is none": lambda: token(roles=["root"]),
    "roles as an object": lambda: token(roles={"analyst": True}),
    "a limit that is not known": lambda: token(mailroom_scope={"everything": True}),
    "a limit of nothing": lambda: token(mailroom_scope={"custodians": []}),
    "an empty day as a limit": lambda: token(mailroom_scope={"since": ""}),
    "no limit at all, said": lambda: token(mailroom_scope=[]),
    "a list as a limit": lambda: token(mailroom_scope=["channels"]),
    "a subject that is too long": lambda: token(sub="u" * 200),
    "a limit that is no limit": lambda: token(mailroom_scope="all"),
    "a changed body": lambda: token()[:60] + "A" + token()[61:],
    "a cut signature": lambda: token()[:-8],
    "too long": lambda: token(padding="x" * 9_000),
    "no token": lambda: "a.b.c",
    "not even that": lambda: "\u00ff..",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_opens_nothing(issuer: Issuer, attack: str):
    assert TokenCheck(issuer).caller(ATTACKS[attack]()) is None


def test_new_keys_count_and_withdrawn_ones_do_not(issuer: Issuer):
    now = [0.0]
    check = TokenCheck(issuer, clock=lambda: now[0])
    keys = {"keys": [published(OTHER, "two")]}
    Path(issuer.jwks).write_text(json.dumps(keys))

    assert check.caller(token(OTHER, "two")) is None
    assert check.wanted.is_set()  # whoever keeps the keys fresh is told; the request does not wait
    check.refresh()
    assert check.caller(token(OTHER, "two")) is not None
    assert check.caller(token()) is None  # the withdrawn key counts no more
    now[0] = 90_000.0
    assert check.caller(token(OTHER, "two")) is None  # nobody could confirm it for a day


def test_keys_that_cannot_be_fetched_again_stay_for_a_while(
    issuer: Issuer, capsys: pytest.CaptureFixture[str]
):
    check = TokenCheck(issuer)
    Path(issuer.jwks).unlink()

    check.refresh()

    assert check.caller(token()) is not None
    assert "cannot be read" in capsys.readouterr().err


def test_a_key_for_another_use_checks_nothing(issuer: Issuer):
    Path(issuer.jwks).write_text(json.dumps({"keys": [published(RSA, "one", use="enc")]}))

    assert TokenCheck(issuer).caller(token()) is None


@pytest.mark.parametrize("algorithms", [["none"], ["HS256"], ["RS256", "HS512"], []])
def test_shared_secrets_cannot_be_allowed(algorithms: list[str]):
    with pytest.raises(ValidationError):
        Issuer(issuer="https://id.example", audience="mailroom", algorithms=algorithms)


@pytest.mark.parametrize(
    "document", ['{"keys": []}', "[]", "{", '{"keys": [{"kty": "oct", "kid": "a", "k": "YQ"}]}']
)
def test_an_issuer_without_a_usable_key_is_a_mistake_at_the_start(issuer: Issuer, document: str):
    Path(issuer.jwks).write_text(document)

    with pytest.raises(UserError, match="jwks"):
        TokenCheck(issuer)


def test_two_keys_of_one_number_are_refused(issuer: Issuer):
    Path(issuer.jwks).write_text(json.dumps({"keys": [published(RSA, "one"), published(OTHER, "one")]}))

    with pytest.raises(UserError, match="two keys"):
        fetch_keys(issuer)


def test_a_key_whose_number_is_no_text_is_left_out(issuer: Issuer):
    odd = {**published(OTHER, "two"), "kid": ["two"]}
    Path(issuer.jwks).write_text(json.dumps({"keys": [odd, published(RSA, "one")]}))

    assert ["one"] == list(fetch_keys(issuer))


def test_keys_are_not_fetched_in_the_clear():
    with pytest.raises(UserError, match="https alone"):
        fetch_keys(Issuer(issuer="http://id.example", audience="mailroom", jwks="http://id.example/keys"))

"""What opens a door: API keys, passwords, tokens, private keys, and the addresses of crypto wallets."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator

from data.recognisers.found import Found, Introduction
from data.recognisers.shape import long_words

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE58_VALUE = {sign: value for value, sign in enumerate(ALPHABET)}
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
SHORTEST_WORD = 20
LONG_WORD = re.compile(rf"[!-~]{{{SHORTEST_WORD},}}")
LONG_RUN = re.compile(r"[A-Za-z0-9]{14}")
LEGACY_WALLET = re.compile(r"(?<![A-Za-z0-9])[13][1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])")
SEGWIT_WALLET = re.compile(r"(?<![A-Za-z0-9])(?:bc1[0-9a-z]{11,71}|BC1[0-9A-Z]{11,71})(?![A-Za-z0-9])")
ETHER_WALLET = re.compile(r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]{40}(?![A-Za-z0-9])")
KEY_FORMS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[\w-]{20,64}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|AIza[\w-]{35}|ya29\.[\w-]{20,500}"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{10,250}|whsec_[A-Za-z0-9+/=]{20,100}"
    r"|sk-[A-Za-z0-9_-]{20,250}|hf_[A-Za-z0-9]{20,100}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,500}|dop_v1_[0-9a-f]{64}"
    r"|SG\.[\w-]{16,64}\.[\w-]{16,64}"
    r"|eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}(?:\.[\w-]{0,2000})?"
    r")(?![A-Za-z0-9])"
)
KEY_FORM_STARTS = (
    "AKIA", "ASIA", "AROA", "AIDA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox",
    "AIza", "ya29.", "_live_", "_test_", "whsec_", "sk-", "hf_", "npm_", "pypi-", "dop_v1_", "SG.", "eyJ",
)  # fmt: skip
PRIVATE_KEY_START = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
PRIVATE_KEY_BODY = re.compile(r"(?:[>\s]{1,4}[A-Za-z0-9+/=]{16,200}){0,400}")
LONGEST_KEY = 20_000
PRIVATE_KEY_END = re.compile(r"-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")

LONGEST_SECRET = 4096
LINK = r"(?:\s?[:=]|[\"']\s?:| is| ist| lautet| est)[ \t]*[\"'`]?"
ORDINARY_WORD = re.compile(r"[^\W\d_][^\W\d_A-Z]*|[\W_]+")


def keys_and_wallets(text: str, shape: bytes) -> Iterator[Found]:
    """Yield what only a word of twenty signs or more can be: wallets and keys of a known form."""
    for place in long_words(shape, SHORTEST_WORD):
        for word in LONG_WORD.finditer(text, *place):
            start, end = word.span()
            if LONG_RUN.search(word[0]):
                yield from wallets(text, start, end)
            for mark in KEY_FORM_STARTS:
                if mark in word[0]:
                    for match in KEY_FORMS.finditer(text, start, end):
                        yield Found("SECRET", match.start(), match.end(), match[0])
                    break


def wallets(text: str, start: int, end: int) -> Iterator[Found]:
    """Yield Bitcoin addresses whose checksum is right, and Ethereum addresses by their form."""
    for match in LEGACY_WALLET.finditer(text, start, end):
        if has_base58_checksum(match[0]):
            yield Found("CRYPTO", match.start(), match.end(), match[0])
    for match in SEGWIT_WALLET.finditer(text, start, end):
        if has_bech32_checksum(match[0].lower()):
            yield Found("CRYPTO", match.start(), match.end(), match[0].lower())
    for match in ETHER_WALLET.finditer(text, start, end):
        yield Found("CRYPTO", match.start(), match.end(), match[0].lower())


def has_base58_checksum(address: str) -> bool:
    """Return whether the last four bytes are the double SHA-256 of the 21 before them."""
    number = 0
    for sign in address:
        number = number * 58 + BASE58_VALUE[sign]
    if number.bit_length() > 200:
        return False
    decoded = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(decoded[:21]).digest()).digest()[:4] == decoded[21:]


def has_bech32_checksum(address: str) -> bool:
    """Return whether the BCH code of BIP 173 (bech32) or BIP 350 (bech32m) holds."""
    prefix, values = address[:2], [BECH32.find(sign) for sign in address[3:]]
    if min(values) < 0:
        return False
    checksum = 1
    for value in [*(ord(sign) >> 5 for sign in prefix), 0, *(ord(sign) & 31 for sign in prefix), *values]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum in (1, 0x2BC830A3)


def private_keys(text: str) -> Iterator[Found]:
    """Yield private keys in PEM armour, from the first dash to the last, or to the end of a truncated one."""
    position, finish = 0, PRIVATE_KEY_END.search(text)
    while begin := PRIVATE_KEY_START.search(text, position):
        if finish and finish.start() < begin.end():
            finish = PRIVATE_KEY_END.search(text, begin.end())
        whole = finish if finish and finish.start() - begin.end() <= LONGEST_KEY else None
        position = (whole or PRIVATE_KEY_BODY.match(text, begin.end()) or begin).end()
        yield Found("SECRET", begin.start(), position, text[begin.start() : position])


def is_random(value: str) -> bool:
    """Return whether a word is long, mixes letters with digits, and has three bits of entropy a sign."""
    if len(value) < 12 or not re.search("[0-9]", value) or not re.search("[A-Za-z]", value):
        return False
    counts = Counter(value).values()
    entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
    return entropy >= 3


def _password(written: str) -> str:
    """Return what follows the word password, unless it reads like an ordinary word."""
    value = written.rstrip(".,;:)]}&")
    return "" if len(value) < 4 or ORDINARY_WORD.fullmatch(value) else value


def _token(written: str) -> str:
    value = written.rstrip(".=-")
    return value if is_random(value) else ""


PASSWORD = Introduction(
    "SECRET",
    ("passw", "pwd", "kennwort", "passe", "passphrase", "passcode"),
    re.compile(
        rf"(?:password|passwort|passwd|pwd|kennwort|passe|passphrase|passcode){LINK}([^\s\"'`<>\0]{{4,{LONGEST_SECRET}}})"
    ),
    _password,
)
TOKEN = Introduction(
    "SECRET",
    ("token", "key", "secret", "sig", "bearer"),
    re.compile(rf"(?:token|key|secret|signature|sig|bearer)(?:{LINK}|(?<=bearer) )([\w+/.=~%-]{{8,512}})"),
    _token,
    re.compile(rf"[\w+/.=~%-]{{0,{LONGEST_SECRET}}}"),
)

"""What the fuzzer does to a file: small damage anywhere, and growth by repetition."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

TOKENS = (
    *(b"From a@b Fri Apr 20 19:35:02 2001\n", b"Subject: x\n", b"\n\n", b"\r\n", b"\r", b"--A\n", b"--A--\n"),
    *(b"Content-Type: multipart/mixed; boundary=A\n", b"Content-Type: multipart/digest\n", b'boundary=""'),
    *(b"Content-Type: message/rfc822\n\n", b"Content-Type: message/external-body\n", b"charset=utf-7"),
    *(b"charset=unicode_escape", b"charset=idna", b"charset=utf-16", b"charset=hex", b"charset=\xff"),
    *(b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: x-uuencode\n", b"filename*0*=x''"),
    *(b"name*=utf-16''%ff%fe%00%d8", b"=?utf-8?b?\xff?=", b"=?punycode?q?=ff?=", b"=?x?q?a?= =?y?b?===?="),
    *(b"Date: Fri, 99 Foo 99999 25:61:61 +9999\n", b"Date: Mon, 1 Jan 0001 00:00:00 +2359\n", b"<", b">", b","),
    *(b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x05\x06", b"PAR1"),
    *(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"ustar\0", b"ustar  \0", b"WEBVTT\n\n", b"0:0.0 --> 9:9.9\n"),
    *(b"9999:99:99,999 --> 0:0,0\n", b"[00:01] Ada: x\n", b"<v A>", b"\xef\xbb\xbf", b"\xff\xfe", b"\0"),
    *(b"\0" * 600, b"\xff" * 16, b"\\ud800", b"\\udfff\\ud800", b"\\u0000", b"\xed\xa0\x80", b"NaN", b"1e999"),
    *(b"-Infinity", b"null", b"true", b"[]", b"{}", b'"', b"}", b"]", b"{", b"[", b'"ts":', b'"value": ['),
    *(b'"text":"x"', b'"replies":[{}]', b'"message":{}', b'"edited":{"ts":"NaN"}', b'"size":1e400', b"\\"),
    *(b"mailto:", b"<@U1>", b"<!here|", b"&#x110000;", b"&#9999999999;", b"<!--", b"<script>", b"</", b"<![CDATA["),
    *(b"@", b"://", b"a:b@", b"+49 (0)30 ", b"12 Main Street", b"-----BEGIN RSA PRIVATE KEY-----\n", b"password: "),
    *(b"Hi Ann,\n", b"Regards,\nBo\n", b"> ", b"On 3 May 2021 Bo wrote:\n", b"-- \n", b"[EMAIL_00000000]"),
    *("ß İ ŉ ﬃ".encode(), "\u2028\u202e\u200b\ufeff".encode(), "٣٤٥".encode(), "e\u0301" .encode() * 9, b"'"),
    *("²³¹①".encode(), "𝟘𝟙".encode(), "\U0010ffff".encode(), b"GNU.sparse.major=1\n", b"30 path=../../../x\n"),
)  # fmt: skip
NUMBERS = (
    b"0",
    b"-1",
    b"255",
    b"65536",
    b"2147483648",
    b"4294967295",
    b"9223372036854775808",
    b"1e308",
    b"9" * 25,
)
OPENERS = (
    *(b"[", b"{", b'{"a":', b'[{"replies":', b"(", b"<", b"<div>", b">", b"> ", b"=?", b"\n", b" ", b"a@", b"1.", b"::"),
    *(b"Content-Type: message/rfc822\n\n", b"Content-Type: multipart/mixed; boundary=A\n\n--A\n", b"Re: ", b"x: y\n"),
    *(b"A", b"0", b"-", b"A ", b"1 ", b"Ann ", b"\t\n", b"--A\n", b"\xc3\xbc", b"a.", b"\n>"),
)  # fmt: skip
VALUES = (
    *(b"null", b"true", b"0", b"-1", b"1e308", b"1e400", b"NaN", b"9" * 4301, b"0.1", b'""', b'"x"', b"[]", b"{}"),
    *(b"[[]]", b'[{"a":1}]', b'"\\ud800"', b'"\\u0000"', b'"<p>a"', b'"1709285400.1"', b'"2024-03-01T09:30:00Z"'),
    *(b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"', b'"Infinity"', b'"tombstone"', b'"\\u202e"'),
    *(b'"message_changed"', b'{"ts":"1","text":"x"}', b'{"user":{"displayName":7}}', b"253402300800", b"1.5e18"),
)  # fmt: skip
VALUE = re.compile(rb'"(?:[^"\\\n]|\\.){0,200}"(?!\s*:)|(?<=[:\[,] )-?[0-9.]+')
DIGITS = re.compile(rb"[0-9]+")
FREQUENT_DEPTHS, DEEPEST = (3, 40, 300), 4000
FEW, MANY = 4, 12


def mutated(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a damaged copy: mostly with a few mutations, now and then with many."""
    for _ in range(chance.randint(1, FEW if chance.random() < 0.8 else MANY)):
        content = chance.choice(MUTATIONS)(content, others, chance)
    return content


def grown(content: bytes, chance: random.Random) -> bytes:
    """Return a file with one of its stretches, or of the tokens, repeated to tens of kilobytes."""
    start, end = _stretch(content, chance)
    piece = content[start : min(end, start + chance.choice((1, 2, 5, 12, 30, 100, 400)))]
    piece = chance.choice((piece, chance.choice(TOKENS), chance.choice(OPENERS))) or b"x"
    times = chance.choice((10_000, 40_000, 100_000)) // len(piece)
    return content[:start] + piece * times + content[chance.choice((start, end, len(content))) :]


def _stretch(content: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(content))
    return start, min(len(content), start + int(chance.expovariate(1 / 20)) + 1)


def _flip(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _overwrite(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start, end = _stretch(content, chance)
    return content[:start] + chance.choice(TOKENS)[: end - start] + content[end:]


def _insert(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randint(0, len(content))
    return content[:at] + chance.choice(TOKENS) + content[at:]


def _insert_bytes(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randint(0, len(content))
    return content[:at] + chance.randbytes(chance.randint(1, 4)) + content[at:]


def _delete(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start, end = _stretch(content, chance)
    return content[:start] + content[end:]


def _duplicate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    start, end = _stretch(content, chance)
    at = chance.randint(0, len(content))
    return content[:at] + content[start:end] * chance.choice((1, 2, 9)) + content[at:]


def _splice(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others)
    at, begin = chance.randint(0, len(content)), chance.randint(0, len(other))
    return content[:at] + other[begin:]


def _paste(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others)
    at, (start, end) = chance.randint(0, len(content)), _stretch(other, chance)
    return content[:at] + other[start:end] + content[at:]


def _truncate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    return content[: chance.randint(0, len(content))]


def _renumber(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    found = list(DIGITS.finditer(content))
    if not found:
        return content
    number = chance.choice(found)
    return content[: number.start()] + chance.choice(NUMBERS) + content[number.end() :]


def _revalue(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Replace a JSON value by another one: the file stays JSON."""
    found = list(VALUE.finditer(content))
    if not found:
        return _insert(content, others, chance)
    value = chance.choice(found)
    return content[: value.start()] + chance.choice(VALUES) + content[value.end() :]


def _nest(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    depth = DEEPEST if chance.random() < 0.02 else chance.choice(FREQUENT_DEPTHS)
    at = chance.choice((0, chance.randint(0, len(content))))
    return content[:at] + chance.choice(OPENERS) * depth + content[at:]


MUTATIONS = (
    *(_flip, _flip, _overwrite, _insert, _insert, _insert, _insert_bytes, _delete, _delete, _duplicate),
    *(_splice, _paste, _truncate, _renumber, _nest, _revalue, _revalue, _revalue),
)

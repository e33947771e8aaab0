"""What was left encoded is decoded where it stands, and nothing else changes."""

from __future__ import annotations

import base64
import binascii
import quopri
import random
import time

import pytest

from data.encoded import decode_all
from data.redact import redact

ADDRESS = "anna.schmidt@example.com"


def in_base64(content: str | bytes) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


@pytest.mark.parametrize(
    "text",
    [
        "total =\n    compute(width=40, depth=20, x=3D)",
        "total=\n    compute(width=40, depth=20, x=3D)",
        "use quoted-printable? a=20 and b=41 offset=40",
        "timeout=20\npassword=\nlanguage=DE\ncolor=FFAA00\nsize=40x30.png\nx=3D\n",
        "Title\n=====\n\nM=FCller and caf=E9 say a=3D, b=20\nc=40",
        "https://ex.com/img?w=40x30.png and https://ex.com/img?u=40example.com",
        "a == b\n==\nc =\nd",
        "https://example.com/a/reasonably-long-path/with-many-words/and-a-5f2b7c9d1e3a4b6c8d0e2f4a/end",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b and 64a1b2c3d4e5f60718293a4b",
        "Donaudampfschifffahrtsgesellschaft and internationalisation-of-telecommunications",
        "begin 644 words\nof a song\nend\n",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert text == decode_all(text)
    assert text == redact(text, key=b"").text


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (f"https://ex.com/u/{in_base64(ADDRESS)}", f"https://ex.com/u/{ADDRESS}"),
        (f"https://ex.com/u/{in_base64(ADDRESS)}/edit?x=1", f"https://ex.com/u/{ADDRESS}/edit?x=1"),
        (in_base64(f"{ADDRESS} \U0001f600 ok"), f"{ADDRESS} \U0001f600 ok"),
        (in_base64(b"\xef\xbb\xbf" + ADDRESS.encode()), ADDRESS),
        (in_base64(ADDRESS.encode("utf-16")), ADDRESS),
        (in_base64(ADDRESS.encode("utf-16-be")), ADDRESS),
        (in_base64(f"Grüße von {ADDRESS}".encode("latin-1")), f"Grüße von {ADDRESS}"),
        (in_base64(f"Grüße – „{ADDRESS}“".encode("cp1252")), f"Grüße – „{ADDRESS}“"),
        (in_base64(in_base64(f"to {ADDRESS}")), f"to {ADDRESS}"),
        (in_base64(in_base64(in_base64(f"to {ADDRESS}"))), f"to {ADDRESS}"),
        ("=?utf-8?q?anna.schm?= =?utf-8?q?idt@example.com?= ok", f"{ADDRESS} ok"),
        ("> =?utf-8?q?anna.schm?=\n>  =?utf-8?b?aWR0QGV4YW1wbGUuY29t?=", f"> {ADDRESS}"),
    ],
)
def test_what_is_encoded_is_decoded_in_its_place(stated: str, said: str) -> None:
    assert said == decode_all(stated)


def test_quoted_printable_is_decoded_in_its_paragraph_alone() -> None:
    lines = f"Sehr geehrte Frau Müller, diese Zeile ist länger als 76 Zeichen, schöne Grüße, {ADDRESS}"
    around = "M=FCller, width=40\n\n{}\n\nx=3D, offset=20"

    for codec in ("utf-8", "latin-1"):
        quoted = quopri.encodestring(lines.encode(codec)).decode()
        assert "=\n" in quoted
        assert around.format(lines) == decode_all(around.format(quoted))
        in_reply = "> " + quoted.replace("\n", "\n> ")
        assert around.format(f"> {lines}") == decode_all(around.format(in_reply))


def test_lines_that_break_within_words_where_quoted_printable_breaks_them_are_joined() -> None:
    text = "The emerging markets budget for October is 2500 thousand euros, travel included, width=40."
    quoted = quopri.encodestring(text.encode()).decode()

    assert "incl=\n" in quoted
    assert text == decode_all(quoted)


def test_quoted_printable_of_a_page_is_decoded() -> None:
    page = '<p class="note">Write to us as soon as you can, please, and do so <a href="https://x.example/">here</a></p>'
    quoted = quopri.encodestring(page.encode()).decode()

    assert page == decode_all(quoted)


@pytest.mark.parametrize(
    ("stated", "left"),
    [
        ("to anna.schmidt=40example.com today", "to * today"),
        ("to anna=40mail.example.com.", "to *."),
        ("to anna.schmidt@exam=\nple.com today", "to * today"),
        ("> to anna.schmidt@exam=\n> ple.com today", "> to * today"),
        ("to anna.schmidt=40exam=\nple.com today", "to * today"),
        ("to anna.schmidt=\n@example.com today", "to * today"),
        ("to anna.schmidt@=\nexample.com today", "to * today"),
        (f"{'We will write a letter ' * 3}to anna.schm=\nidt@example.com today", "* today"),
        ("mail.to=\nanna.schmidt@example.com today", "mail.to=\n* today"),
    ],
)
def test_an_address_that_quoted_printable_hides_is_redacted(stated: str, left: str) -> None:
    redacted = redact(stated, key=b"").text

    before, _, after = left.partition("*")
    assert redacted.startswith(before)
    assert redacted.endswith(after)
    assert "[EMAIL_" in redacted
    assert not [piece for piece in ("anna", "schm", "idt", "exam", "ple.com") if piece in redacted]
    assert redacted == redact(redacted, key=b"").text


@pytest.mark.parametrize("zero", ["`", " "])
def test_uuencoded_text_is_decoded_whatever_stands_for_zero(zero: str) -> None:
    text = f"Write to {ADDRESS} soon.\n   Many thanks, and see you @ the fair"
    lines = [
        binascii.b2a_uu(text.encode()[at : at + 45], backtick=True).decode() for at in range(0, len(text), 45)
    ]
    body = "".join([*lines, "`\n"]).replace("`", zero)

    assert f"so\n{text}\nok" == decode_all(f"so\nbegin 644 a.txt\n{body}end\nok")


@pytest.mark.parametrize(
    "unit",
    [
        "?= ", "?=  \n", "=?a?q?b?= ", "=\n", "a=\n", "a@b=\n", "a=40", "a=40b.", "=C3=BC=\n", "=C3=BC",
        "=\n\n", ">\n", "abcd/", "YW5uYS5zY2htaWR0QGV4YW1wbGUuY29t/", "UVVGQkVVRkI", "begin 644 a\nA\n",
        "= ", "a=20\n", "a.b@c=\nd.com ",
    ],
)  # fmt: skip
def test_time_grows_with_the_length_alone(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        redact(decode_all(text), key=b"")
        return time.process_time() - start

    small, large = min(seconds(8_000) for _ in range(3)), min(seconds(64_000) for _ in range(2))

    assert large < 8 * small * 3 + 0.05


def test_random_keys_stay_as_they_are() -> None:
    chance = random.Random(1)
    keys = [
        base64.b64encode(chance.randbytes(chance.choice((15, 16, 24, 32)))).decode() for _ in range(20_000)
    ]

    assert [key for key in keys if decode_all(f"The key is {key} today.") != f"The key is {key} today."] == []

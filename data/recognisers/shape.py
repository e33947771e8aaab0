"""A text by the classes of its signs, one byte for each: a fixed run of classes is found there at once.

Python searches bytes for a few given ones some ten times as fast as a text for a pattern.
"""

from __future__ import annotations

from collections.abc import Iterator

LETTER, DIGIT, SIGN, OTHER = b"a", b"0", b".", b" "
CLASSES = b"".join(
    OTHER
    if not 33 <= code <= 126
    else LETTER
    if chr(code).isalpha()
    else DIGIT
    if chr(code).isdigit()
    else SIGN
    for code in range(256)
)
WORDS = bytes.maketrans(LETTER + DIGIT + SIGN, 3 * LETTER)


def shape_of(text: str) -> bytes:
    """Return the class of every sign: letters and digits of ASCII, its other visible signs, and the rest.

    What is not in Latin-1 counts as a visible sign.
    """
    return text.encode("latin-1", "replace").translate(CLASSES)


def form_places(form: bytes, shape: bytes) -> Iterator[int]:
    """Yield where the run of classes stands, also where two of them overlap."""
    start = shape.find(form)
    while start >= 0:
        yield start
        start = shape.find(form, start + 1)


def long_words(shape: bytes, shortest: int) -> Iterator[tuple[int, int]]:
    """Yield where words of so many visible signs or more begin and end."""
    words = shape.translate(WORDS)
    form = shortest * LETTER
    start = words.find(form)
    while start >= 0:
        end = words.find(OTHER, start)
        end = end if end >= 0 else len(words)
        yield start, end
        start = words.find(form, end)

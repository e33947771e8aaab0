"""Chunks cover the text, fit the encoder and cut nothing that belongs together."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from data.chunks import TOKENS, chunk, token_offsets

SENTENCE = "The auditors of the steel desk wait for figures from [EMAIL_0a1b2c3d] before noon. "


def test_a_short_text_is_one_chunk() -> None:
    (offsets,) = token_offsets([f" {SENTENCE}"])

    assert [(1, len(SENTENCE))] == [(piece.start, piece.end) for piece in chunk(f" {SENTENCE}", offsets)]


def test_a_long_text_is_cut_between_sentences_with_an_overlap() -> None:
    text = SENTENCE * 40
    (offsets,) = token_offsets([text])

    pieces = chunk(text, offsets)

    assert len(pieces) > 3
    assert all(text[piece.start : piece.end].startswith("The auditors") for piece in pieces)
    assert all(after.start < before.end for before, after in pairwise(pieces))


def test_pseudonym_digits_do_not_move_a_cut() -> None:
    one, other = token_offsets([SENTENCE * 40, SENTENCE.replace("0a1b2c3d", "99999999") * 40])

    assert one == other


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([SENTENCE, "word ", "[CARD_0a1b2c3d]", "不", "\n", "x" * 50, "🙂"]), max_size=120
    ).map("".join)
)
def test_chunks_cover_every_token_within_the_limit(text: str) -> None:
    (offsets,) = token_offsets([text])

    pieces = chunk(text, offsets)

    covered = {place for piece in pieces for place in range(piece.start, piece.end)}
    assert all(
        place in covered or text[place].isspace() for start, end in offsets for place in range(start, end)
    )
    assert all(sum(piece.start <= start < piece.end for start, _ in offsets) <= TOKENS for piece in pieces)
    assert all(
        text.count("[", piece.start, piece.end) == text.count("]", piece.start, piece.end) for piece in pieces
    )

"""Copies are found, and what only looks like one is not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from data.dedupe import (
    BANDS,
    COMPARED_PER_BUCKET,
    Copy,
    Link,
    candidate_pairs,
    exact_copies,
    fingerprints,
    jaccard,
    near_copies,
    shingles,
    verify,
)
from data.normalise import Normal
from data.record import Attached

TEXT = (
    "please send the quarterly figures of the steel desk before noon because the auditors wait for them and "
    * 2
)
MESSAGE = Normal(
    *("0", "email", None, "[EMAIL_00000000]", "", (), "", TEXT, TEXT, (), "en", (), "a", 0, "", 0, 0, "", "k")
)


def prints(*texts: str) -> list[tuple[str, str, tuple[int, ...]]]:
    messages = [replace(MESSAGE, message_id=str(number), text=text) for number, text in enumerate(texts)]
    return [(each.content, each.view, each.bands) for each in fingerprints(messages)]


def test_case_and_blanks_do_not_make_another_text() -> None:
    one, other = prints(TEXT, TEXT.upper().replace(" ", "\n "))

    assert one == other


def test_pseudonyms_make_another_text_but_not_another_view() -> None:
    one, other = prints(f"{TEXT} [ACCOUNT_11111111]", f"{TEXT} [ACCOUNT_22222222]")

    assert one[0] != other[0]
    assert one[1:] == other[1:]


def test_short_thanks_of_two_people_are_two_messages() -> None:
    assert len({content for content, _, _ in prints("Thanks!", "Thanks!")}) == 2


def test_near_texts_share_a_band_and_far_ones_do_not() -> None:
    words = [f"word{number}" for number in range(100)]
    near = prints(" ".join(words), " ".join([*words, "extra"]))
    far = prints(" ".join(words), " ".join(reversed(words)))

    assert set(near[0][2]) & set(near[1][2])
    assert not set(far[0][2]) & set(far[1][2])


def test_the_same_words_with_other_attachments_are_no_copies() -> None:
    def attach(*hashes: str) -> Normal:
        return replace(MESSAGE, attachments=tuple(Attached("a.csv", "text/csv", 1, each) for each in hashes))

    bare, one, other, both, swapped = fingerprints(
        [MESSAGE, attach("1"), attach("2"), attach("1", "2"), attach("2", "1")]
    )

    assert len({each.content for each in (bare, one, other, both)}) == 4
    assert len({each.attached for each in (bare, one, other, both)}) == 4
    assert both == swapped


def test_near_texts_with_other_attachments_stay_on_one_side_but_are_kept() -> None:
    row = {"earlier": 0, "later": 1, "earlier_text": TEXT, "later_text": f"{TEXT} soon"}
    batch = pa.RecordBatch.from_pylist(
        [row | {"earlier_attached": "", "later_attached": attached} for attached in ("", "1")]
    )

    same, different = next(verify(iter([batch]))).to_pylist()

    assert same["similarity"] == same["view_similarity"] > 0.8
    assert (different["similarity"], different["view_similarity"]) == (0.0, same["view_similarity"])


def test_jaccard_is_over_runs_of_five_words() -> None:
    words = [f"w{number}" for number in range(24)]

    assert jaccard(shingles(" ".join(words)), shingles(" ".join([*words, "x"]))) == 20 / 21
    assert not shingles("too short to tell")


def test_earliest_of_each_content_is_kept() -> None:
    assert [Copy(2, 0, "exact", 1.0), Copy(3, 1, "exact", 1.0)] == exact_copies([4, 7, 4, 7])


def test_a_copy_of_a_copy_counts_only_when_alike_to_what_was_kept() -> None:
    chain = [Link(0, 1, 0.9, 0.9), Link(1, 2, 0.9, 0.9)]

    assert [Copy(1, 0, "near", 0.9)] == near_copies(chain)
    assert near_copies(reversed(chain)) == near_copies(chain)
    assert [1, 2] == [copy.rank for copy in near_copies([*chain, Link(0, 2, 0.8, 0.8)])]


@given(st.lists(st.lists(st.integers(-2, 2), min_size=BANDS, max_size=BANDS), max_size=30), st.randoms())
def test_candidates_are_what_shares_a_band_with_one_of_the_earliest_of_its_bucket(
    bands: list[list[int]], chance: object
) -> None:
    ranks = sorted(chance.sample(range(100), len(bands)))  # type: ignore[attr-defined]
    expected = set[tuple[int, int]]()
    for band in range(BANDS):
        buckets: dict[int, list[int]] = {}
        for rank, values in zip(ranks, bands, strict=True):
            buckets.setdefault(values[band], []).append(rank)
        for members in buckets.values():
            earliest = members[:COMPARED_PER_BUCKET]
            expected |= {(one, other) for one in earliest for other in members if one < other}

    found = candidate_pairs(np.array(ranks, np.int64), np.array(bands, np.int64).reshape(-1, BANDS))

    assert [tuple(pair) for pair in found.tolist()] == sorted(expected)

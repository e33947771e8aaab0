"""What recognisers skip holds nothing: each shortcut finds what the plain search finds."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from data.recognisers.context import ANY_WORD, WORDS, introducing_words
from data.recognisers.people import PART, _parts_of_many
from data.recognisers.shape import form_places, long_words, shape_of
from data.recognisers.words import (
    CAPITALISED,
    WORD,
    capitalised_words,
    is_whole,
    may_stand,
    places_of,
)

SIGNS = st.text(alphabet="aAéÉßİ0٣ _.,-'\"!~\n\u00a0\u200b😀", max_size=40)
NAMES = ("Ann", "Anna", "ANNA", "anna", "Bo", "O'Brien", "Brien", "O", "Élan", "éa")
WITH_NAMES = st.lists(st.sampled_from(NAMES) | st.sampled_from("' _-.2é") | SIGNS, max_size=12).map("".join)
WITH_CUES = st.lists(
    st.sampled_from(WORDS) | st.sampled_from([word[1:] for word in WORDS]) | st.sampled_from(" :é"),
    max_size=12,
).map("".join)


@given(SIGNS)
def test_a_form_is_found_where_its_pattern_matches(text: str) -> None:
    expected = [match.start() for match in re.finditer("(?=[A-Za-z]{2}[0-9])", text)]

    assert expected == list(form_places(b"aa0", shape_of(text)))


@given(SIGNS)
def test_no_long_word_is_missed(text: str) -> None:
    expected = [match.span() for match in re.finditer("[!-~]{5,}", text)]

    places = long_words(shape_of(text), 5)

    assert expected == [
        match.span() for place in places for match in re.compile("[!-~]{5,}").finditer(text, *place)
    ]


@given(WITH_CUES)
def test_rare_letters_lead_to_every_introducing_word(lower: str) -> None:
    expected = [match.span() for match in ANY_WORD.finditer(lower)]

    assert expected == [match.span() for match in introducing_words(lower)]


@given(WITH_NAMES)
def test_a_name_that_stands_somewhere_is_not_passed_over(text: str) -> None:
    words = capitalised_words(text)
    standing = {match[0] for match in WORD.finditer(text) if is_whole(text, *match.span())}

    assert all(may_stand(name, words) for name in NAMES if name in standing and len(name) > 2)
    assert {word for word in standing if CAPITALISED.fullmatch(word)} <= words


@given(WITH_NAMES, st.sets(st.sampled_from(NAMES)))
def test_many_words_are_placed_like_few(text: str, names: set[str]) -> None:
    known = {name for name in names if name.isalpha()}
    padding = {"x" * count + "q" for count in range(99)}

    assert places_of(text, known) == places_of(text, known | padding)


@given(WITH_NAMES, st.sets(st.sampled_from(NAMES)))
def test_parts_of_many_names_are_those_that_every_word_shows(text: str, names: set[str]) -> None:
    owners = {name: frozenset({name}) for name in names}
    expected = []
    for word in WORD.finditer(text):
        for match in (PART.match(text, word.start()), word):
            if match and match[0] in owners and is_whole(text, *match.span()):
                expected.append((*match.span(), match[0]))
                break

    assert expected == sorted(_parts_of_many(text, [owners]))

"""The page with messages: strangers wrote them, so nothing of theirs is anything but text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_findings import RELEASE
from pages import Elements

from data.shingles import Traces
from evaluation.error_page import OpenedError, render_errors
from evaluation.errors import WorstError
from evaluation.occlusion import Evidence, Fall
from serving.review_errors import LONGEST, cut

ERROR = WorstError(
    "abcdef0123456789", "insider_information", "ordinary", 0.9312, "email", "2026-04", critical=True
)


def opened(text: str, subject: str = "Tuesday", evidence: Evidence | None = None) -> OpenedError:
    return OpenedError(ERROR, subject, text, 0, evidence or Evidence("ordinary", 0.9312, None, ()))


def page_of(*errors: OpenedError, gone: int = 0, reviewer: str = "anna", reason: str = "release") -> str:
    return render_errors(RELEASE, errors, gone=gone, reviewer=reviewer, reason=reason, time="2026-05-01")


@pytest.mark.parametrize(
    "nasty",
    [
        "<script>alert(1)</script>",
        "</div><img src=x onerror=alert(1)>",
        "<style>*{display:none}</style>",
        '" onmouseover="alert(1)',
        "{{ 7 * 7 }}",
    ],
)
def test_what_strangers_wrote_is_text_and_nothing_else(nasty: str) -> None:
    evidence = Evidence(nasty, 0.9, Fall(0, len(nasty), 0.5), (Fall(0, len(nasty), 0.4),))
    error = replace(opened(nasty, nasty, evidence), error=replace(ERROR, channel=nasty, label=nasty))
    plain, attacked = Elements(), Elements()

    plain.feed(page_of(opened("text", "subject", Evidence("x", 0.9, Fall(0, 4, 0.5), (Fall(0, 4, 0.4),)))))
    attacked.feed(page_of(error, reviewer=nasty, reason=nasty))

    assert (plain.names, plain.attributes) == (attacked.names, attacked.attributes)
    assert attacked.open == []
    assert not attacked.names & {"script", "img", "link", "iframe", "form"}


def test_nothing_may_run_or_be_loaded_even_if_escaping_failed() -> None:
    assert "default-src &#39;none&#39;" in page_of() or "default-src 'none'" in page_of()


def test_signs_that_hide_or_turn_text_are_shown_as_such() -> None:
    page = page_of(opened("pay \u202eEUR\u200b now\x07"))

    assert "pay \ufffdEUR\ufffd now\ufffd" in page


def test_marks_sentence_and_words_and_says_by_how_much_the_answer_falls() -> None:
    evidence = Evidence("ordinary", 0.9312, Fall(8, 20, 0.6), (Fall(8, 13, 0.55), Fall(14, 16, 0.1)))

    page = page_of(opened("Lunch at one? Yes.", evidence=evidence))

    assert "<mark>Lunch at one</mark>? Yes." in page
    assert '<mark class="word3" title="0.550 less without it">Lunch</mark> ' in page
    assert "falls from .931 to .331" in page


def test_a_message_without_a_subject_begins_with_its_text_and_a_small_fall_is_called_small() -> None:
    page = page_of(opened("Hello.", "", Evidence("ordinary", 0.9, Fall(1, 7, 0.02), ())))

    assert '<div class="message" dir="auto"><mark>Hello.</mark></div>' in page
    assert "falls only from .900 to .880" in page


def test_an_erasure_would_find_the_words_of_a_marked_message() -> None:
    text = "Please move the whole position before the announcement of the quarter."
    evidence = Evidence("ordinary", 0.9, Fall(8, 8 + len(text), 0.6), (Fall(15, 19, 0.5),))

    assert Traces.of([text]).found_in(page_of(opened(text, evidence=evidence)))


def test_says_what_is_gone_what_was_cut_and_what_is_answered_otherwise() -> None:
    other = Evidence("insider_information", 0.7, None, ())

    page = page_of(replace(opened("masked", evidence=other), left_out=1200), gone=2)

    assert "2 of the listed messages are no longer in the dataset" in page
    assert "1,200 more characters are not shown" in page
    assert "The text as it is now: insider information, .700." in page
    assert "The text as it is now" not in page_of(opened("as it was"))


def test_cuts_what_no_reviewer_reads() -> None:
    assert ("a", "b" * (LONGEST - 1), 2) == cut("a", "b" * (LONGEST + 1))
    assert ("a", "b", 0) == cut("a", "b")

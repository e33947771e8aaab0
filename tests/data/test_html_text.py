"""HTML to text, in linear time."""

import time

import pytest

from data.html_text import html_to_text


def test_shows_what_a_reader_sees() -> None:
    document = (
        "<html><head><title>t</title><style>p{}</style></head><body><p>One &amp; two</p>3 < 4<br>"
        '<script>if (a<b) {}</script><img alt="Logo" src=x><!-- no --><table><td>a</td><td>b</td></table>'
    )

    assert html_to_text(document).split() == ["One", "&", "two", "3", "<", "4", "Logo", "a", "b"]


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<head>", "<a", "<style>", "&", "\n ", "<title>", "<img alt="]
)
def test_hostile_documents_take_linear_time(piece: str) -> None:
    started = time.process_time()
    html_to_text(piece * (400_000 // len(piece)))

    assert time.process_time() - started < 2

"""The readable text of an HTML body, in time linear in its length whatever is in it."""

from __future__ import annotations

import html
import re

_SKIPPED = frozenset({"script", "style", "head", "title", "template", "svg", "object"})
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "br", "center", "dd", "div", "dl", "dt", "fieldset"),
        *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol"),
        *("p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul"),
    }
)
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
_ALT = re.compile(r"""\balt\s{0,3}=\s{0,3}["']([^"'<>]{1,300})["']""", re.IGNORECASE)
LONGEST_TAG = 2000
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\n(?: *\n)+")


def html_to_text(document: str) -> str:
    """Return the text a reader would see: blocks on lines of their own, entities resolved.

    The standard parser needs quadratic time on some malformed input, so this one only ever moves
    forward: to the next ``<``, to its ``>``, past what is not shown.
    """
    lowered = document.lower()
    if len(lowered) != len(document):  # some capitals grow when lowered, and offsets must agree
        lowered = document
    pieces: list[str] = []
    unclosed: set[str] = set()
    position = 0
    while True:
        opened = document.find("<", position)
        if opened < 0:
            pieces.append(document[position:])
            break
        pieces.append(document[position:opened])
        position, piece = _past_tag(document, lowered, opened, unclosed)
        pieces.append(piece)
    text = html.unescape("".join(pieces)).replace("\r", "\n").replace("\N{NO-BREAK SPACE}", " ")
    lines = (line.strip() for line in _BLANKS.sub(" ", text).split("\n"))
    return _LINES.sub("\n\n", "\n".join(lines)).strip()


def _past_tag(document: str, lowered: str, opened: int, unclosed: set[str]) -> tuple[int, str]:
    """Return where reading goes on after what opens here, and what it leaves in the text.

    ``unclosed`` collects the names that have no end tag from here on: nobody looks for it twice.
    """
    if document.startswith("<!--", opened):
        closed = document.find("-->", opened + 4)
        return (closed + 3 if closed >= 0 else len(document)), ""
    if (
        not document.startswith(("/", "!", "?"), opened + 1)
        and not document[opened + 1 : opened + 2].isalpha()
    ):
        return opened + 1, "<"
    closed = document.find(">", opened)
    if closed < 0:
        return len(document), ""
    named = _NAME.match(document, opened + 1)
    name = named[1].lower() if named else ""
    if name in _SKIPPED - unclosed and document[opened + 1] != "/" and document[closed - 1] != "/":
        ended = lowered.find(f"</{name}", closed)
        if ended >= 0:
            return ended, ""
        unclosed.add(name)
    return closed + 1, _left(document, name, opened, closed)


def _left(document: str, name: str, opened: int, closed: int) -> str:
    """Return what stands in the text for a tag: a line break, a space, an image's description."""
    if name == "img":
        shown = _ALT.search(document, closed - min(closed - opened, LONGEST_TAG), closed)
        return f" {shown[1]} " if shown else ""
    if name in ("td", "th"):
        return " "
    return "\n" if name in _BLOCKS else ""

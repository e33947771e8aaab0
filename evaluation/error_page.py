"""The page of the worst errors with their redacted text: for one reviewer, never for MLflow.

Mail is written by strangers: everything is escaped, nothing runs or is loaded, and signs that turn the
direction of a line or cannot be seen are replaced, so that no text shows other than it stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.label_sets import members
from evaluation.errors import WorstError
from evaluation.metrics import ANOTHER
from evaluation.occlusion import Evidence
from evaluation.release import Release
from evaluation.report import environment

TEMPLATE = "error_page.html.j2"
TOLD_APART = 0.001
STRENGTHS = 3
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class OpenedError:
    """One wrong answer with the message; ``subject`` and ``text`` are the redacted ones, cut."""

    error: WorstError
    subject: str
    text: str
    left_out: int  # characters behind the cut
    evidence: Evidence

    @property
    def is_answered_otherwise(self) -> bool:
        """Whether the model does not say today what it said in the evaluation: the text was masked since."""
        if ANOTHER in members(self.error.predicted):
            return False  # its probability is not among those of the evaluation
        moved = abs(self.evidence.probability - self.error.confidence) > TOLD_APART
        return moved or self.evidence.answer != self.error.predicted


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a sentence, and how strongly they are marked: 0 is not at all, 3 the strongest."""

    text: str
    strength: int = 0
    fall: float = 0.0


def render_errors(
    release: Release, opened: Sequence[OpenedError], *, gone: int, reviewer: str, reason: str, time: str
) -> str:
    """Return the page; ``gone`` counts errors whose message the dataset no longer has."""
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            release=release,
            opened=[(each, around_sentence(each), tuple(words_of(each))) for each in opened],
            gone=gone,
            reviewer=reviewer,
            reason=reason,
            time=time,
        )
    )


def visible(text: str) -> str:
    """Return the text with a mark for every sign that cannot be seen; offsets stay."""
    return _UNSEEN.sub("\ufffd", text)


def around_sentence(opened: OpenedError) -> tuple[str, str, str]:
    """Return what stands before the sentence that carries the answer, the sentence, and the rest."""
    whole, sentence = visible(f"{opened.subject}\n{opened.text}"), opened.evidence.sentence
    if sentence is None:
        return whole.lstrip("\n"), "", ""
    return whole[: sentence.start].lstrip("\n"), whole[sentence.start : sentence.end], whole[sentence.end :]


def words_of(opened: OpenedError) -> Iterator[Piece]:
    """Yield that sentence once more, its strongest words marked.

    The message itself is left in one piece: an erasure finds its words in this page by 40 letters in a row.
    """
    whole, sentence = visible(f"{opened.subject}\n{opened.text}"), opened.evidence.sentence
    if sentence is None or not opened.evidence.words:
        return
    strongest = max(word.fall for word in opened.evidence.words)
    place = sentence.start
    for word in opened.evidence.words:
        yield Piece(whole[place : word.start])
        yield Piece(whole[word.start : word.end], max(1, round(STRENGTHS * word.fall / strongest)), word.fall)
        place = word.end
    yield Piece(whole[place : sentence.end])


def page_path(folder: Path, release: Release) -> Path:
    """Return where the page lies when nobody says otherwise."""
    return folder / "reviews" / f"errors-{release.id}.html"

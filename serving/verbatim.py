"""Whether a claim says what a sentence of the archive says: that one's words, in its order, cut with care."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.redact import model_view
from serving.sentences import LONGEST

_CHUNK = re.compile(r"\S+")
REVERSALS = frozenset(
    _CHUNK.findall(
        "? not no never none nobody nothing nowhere neither nor without cannot t nt dont doesnt didnt cant"
        " wont isnt wasnt hardly barely scarcely if unless except only until nicht nichts nie niemals"
        " niemand niemanden niemandem nirgends nirgendwo kein keine keinen keinem keiner keines keinerlei"
        " nein weder ohne kaum wenn sofern falls außer ausser nur bis ne n pas jamais aucun aucune rien"
        " personne ni sans guère si sauf nunca jamás nadie nada ningún ninguno ninguna tampoco sin salvo"
        " sólo solo non né mai nessuno nessuna niente nulla senza tranne soltanto niet niets nooit niemand"
        " geen zonder tenzij"
    )
)
"""What turns a statement around or binds it to a condition: a claim has all of its source's and no more."""

PHRASES = frozenset(
    _CHUNK.findall(
        "of in on at by for from with as about between during after before since within under over von vom"
        " mit für in im am an auf bei aus über unter während seit nach vor de du des dans par pour avec sur"
        " chez depuis del en por para con desde di da nel nella per van voor met"
    )
)
"""What begins a phrase that may be left out whole: "the lease (of the warehouse) ends"."""

JOINTS = frozenset(_CHUNK.findall("and but so und aber sowie et mais y pero e ma en maar - – — −"))
"""What joins clauses: one of them may be left out. Of alternatives none may."""

BOUND = frozenset(
    _CHUNK.findall(
        "a an the is are was were be been being has have had do does did will would shall should can could"
        " may might must to that this who which whose as it he she they we you i his her its their our your"
        " der die das dem den des ein eine einen einem einer ist sind war waren wird werden wurde wurden hat"
        " haben hatte hatten kann können soll sollen muss müssen darf dürfen zu dass le la les un une est"
        " sont était a ont été à au aux qui"
    )
)
"""Words that say how the next one stands: never left out in front of a word that is kept."""

COUNTS = frozenset(
    _CHUNK.findall(
        "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty"
        " seventy eighty ninety hundred thousand million millions billion billions trillion bn mn percent"
        " half double twice eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig hundert"
        " tausend million millionen milliarde milliarden mio mrd prozent halb doppelt deux trois quatre cinq"
        " sept huit neuf dix cent mille milliard milliards pourcent"
    )
)
LONGEST_PHRASE = 12  # words
OPENING, CLOSING = "\"'([{<«»„“‚‘”’*_>", "\"')]}>«»“”‘’.,;:!?…*_؟？"
_PIECE = re.compile(r"\w+|[^\w\s.,;:!…\"'()\[\]{}<>«»„“‚‘”’*_/‐-—-]")
_DASH = re.compile(r"[‐-―−+±-]+")


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    is_apart: bool
    """A comma, a semicolon or a bracket stands before it."""

    @property
    def is_number(self) -> bool:
        return (
            self.text in COUNTS
            or any(sign.isdigit() for sign in self.text)
            or all(unicodedata.category(sign) == "Sc" or sign in "%‰" for sign in self.text)
        )


def stands_on(claim: str, source: str) -> bool:
    """Say whether a claim has its source's words in its order and leaves out nothing that they hang on.

    Numbers are whole, with sign, currency and separators. Left out may be what stands before or behind a
    clause, and within it a phrase that begins with a preposition, not beside a number. Every negation and
    condition of the source is kept. A claim longer than a sentence is read is none.
    """
    said, there = list(_words(claim)), list(_words(source))
    if not said or len(claim) > LONGEST or _reversals(said) != _reversals(there):
        return False
    ends = {
        place for place, word in enumerate(there) if word.text == said[0].text and _may_begin(there, place)
    }  # the places in the source where what was compared so far may end
    for word in said[1:]:
        ends = {
            place
            for place, other in enumerate(there)
            if other.text == word.text
            and any(
                end in ends and _may_go_on(there, end, place)
                for end in range(place - 1 - LONGEST_PHRASE, place)
            )
        }
    return any(_may_end(there, end + 1) for end in ends)


def _reversals(words: Sequence[_Word]) -> list[str]:
    return [word.text for word in words if word.text in REVERSALS]


def _may_begin(words: Sequence[_Word], place: int) -> bool:
    """Say whether a claim may begin with this word of its source: it is the first of a clause."""
    if not place or words[place].is_apart or words[place - 1].text in JOINTS:
        return not _divides_numbers(words, place)
    return False


def _may_end(words: Sequence[_Word], place: int) -> bool:
    """Say whether a claim may leave out all from this word of its source on: a clause or a phrase begins."""
    if place == len(words) or words[place].is_apart or words[place].text in JOINTS | PHRASES:
        return not _divides_numbers(words, place)
    return False


def _may_go_on(words: Sequence[_Word], end: int, place: int) -> bool:
    """Say whether a claim may go on with this word after that one: the next, or the first behind a phrase."""
    if place == end + 1:
        return True
    left_out = words[end + 1 : place]
    return (
        bool(left_out)
        and left_out[0].text in PHRASES
        and left_out[-1].text not in PHRASES | BOUND
        and not any(word.is_apart or word.text in JOINTS for word in words[end + 1 : place + 1])
        and not words[end].is_number
        and not words[place].is_number
    )


def _divides_numbers(words: Sequence[_Word], place: int) -> bool:
    """Say whether a cut before this word takes numbers apart that are said together: "5 to 10 million"."""
    before, behind = words[max(0, place - 2) : place], words[place : place + 2]
    return any(word.is_number for word in before) and any(word.is_number for word in behind)


def _words(text: str) -> Iterator[_Word]:
    """Yield the words of a text as models see them, "the" left out, numbers and signs whole."""
    is_apart = False
    for chunk in _CHUNK.findall(model_view(text).casefold()):
        is_apart = is_apart or chunk[0] in "([{"
        for piece in _pieces(chunk):
            if piece != "the":
                yield _Word("?" if piece in "？؟" else piece, is_apart)
                is_apart = False
        is_apart = is_apart or chunk[-1] in ",;)]}"


def _pieces(chunk: str) -> list[str]:
    """Return the words and signs of what stands between two spaces: what has a digit is one."""
    core = chunk.lstrip(OPENING).rstrip(CLOSING)
    if not any(sign.isdigit() for sign in core):
        return [core] if _DASH.fullmatch(core) else _PIECE.findall(chunk)
    return [core, *("?" for sign in chunk[len(chunk.rstrip(CLOSING)) :] if sign in "?？؟")]

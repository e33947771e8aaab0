"""Personal data out, typed pseudonyms in: before anything is written, logged or learnt."""

from __future__ import annotations

import hmac
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain

from data.disguise import Undisguised, readings
from data.recognisers import recognise
from data.recognisers.found import KINDS, Found, canonical
from data.recognisers.name_lists import given_names
from data.recognisers.people import FEW_PARTS, owners_of
from data.recognisers.words import WORD, capitalised_words

PLACEHOLDER = re.compile(rf"\[({'|'.join(KINDS)})_[0-9a-f]{{8}}\]")
MODEL_WORDS = {
    "EMAIL": "email", "PHONE": "phone", "CARD": "card", "IBAN": "bank", "SSN": "social", "IP": "ip",
    "NATIONAL_ID": "identity", "MAC": "device", "URL": "link", "ACCOUNT": "account", "PASSPORT": "passport",
    "DOB": "birthday", "PERSON": "person", "CRYPTO": "wallet", "SECRET": "password", "ADDRESS": "address",
    "DOMAIN": "domain",
}  # fmt: skip
MASK = "\0"
APART = "\n" + 64 * MASK + "\n"
PASSES = 4
BEGINNING = re.compile(r"[0-9@:](?:(?<!:)|//)")
"""A digit, an at sign or "://", written so that the search skips to one of three signs."""
REACH = 64  # what a replacement may uncover stands on its line, or this near


@dataclass(frozen=True, slots=True)
class Span:
    """Where personal data of one kind stood in the input."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text with placeholders, and what they replaced."""

    text: str
    spans: tuple[Span, ...]


def pseudonym(kind: str, value: str, *, key: bytes) -> str:
    """Return the placeholder of a value: the same for every writing of it under the same key."""
    return _placeholder(kind, canonical(kind, value), key)


def redact(
    text: str, *, key: bytes, names: Collection[str] = (), strangers: Collection[str] = ()
) -> Redaction:
    """Replace every recognised piece of personal data by its placeholder.

    ``names`` are the people known to occur (from headers, an address book); they are found
    case-sensitively, whole and by their parts. ``strangers`` are too, but belong to this text alone:
    what is prepared of the names for searching serves the next text again. Placeholders already
    there stay as they are, and redacting the result again changes nothing: a find may uncover
    another one that it had overlapped, therefore the search repeats until it finds nothing more.
    """
    names, strangers = frozenset(names), frozenset(strangers)  # once: every search asks for them so
    replacements: list[_Replacement] = []
    current, origin = text, Undisguised(text)
    windows = [(0, len(text))]
    for _ in range(PASSES):
        found = _search(current, windows, names, strangers) if windows else []
        if not found:
            break
        replacements += [
            _Replacement(
                item.kind,
                origin.original(item.start),
                origin.original_end(item.end),
                _placeholder(item.kind, item.value, key),
            )
            for item in found
        ]
        replacements.sort(key=lambda replacement: replacement.start)
        current, origin = _render(text, replacements)
        windows = [
            each
            for each in _neighbourhoods(current)
            if may_hold_more(current[slice(*each)], names, strangers)
        ]
    return Redaction(current, tuple(Span(item.kind, item.start, item.end) for item in replacements))


def model_view(text: str) -> str:
    """Return ``text`` as every model sees it, in training and in serving: placeholders become plain words.

    The words are one token each in the vocabularies of BERT and SmolLM2; no model ever sees
    the digits of a pseudonym.
    """
    return PLACEHOLDER.sub(_model_word, text) if "[" in text else text


def shown(text: str, *, longest: int = 80) -> str:
    """Return words of unknown origin as an error may repeat them: personal data by its kind alone."""
    plain = PLACEHOLDER.sub(r"[\1]", redact(text, key=b"").text)
    return plain if len(plain) <= longest else f"{plain[:longest]}…"


@dataclass(frozen=True, slots=True)
class _Replacement:
    kind: str
    start: int
    end: int
    placeholder: str


def _model_word(match: re.Match[str]) -> str:
    before, after = (
        match.string[match.start() - 1 : match.start()],
        match.string[match.end() : match.end() + 1],
    )
    glued_before, glued_after = before.isalnum() or before == "]", after.isalnum()
    return f"{' ' * glued_before}{MODEL_WORDS[match[1]]}{' ' * glued_after}"


@lru_cache(maxsize=20_000)
def _placeholder(kind: str, value: str, key: bytes) -> str:
    digest = hmac.digest(key, f"{kind}{value}".encode("utf-8", "surrogatepass"), "sha256")
    return f"[{kind}_{digest[:4].hex()}]"


def _search(
    text: str, windows: Sequence[tuple[int, int]], names: Collection[str], strangers: Collection[str]
) -> list[Found]:
    """Return what stands in the windows of ``text``, in order and apart, at its places in ``text``."""
    joined = APART.join(text[start:end] for start, end in windows)
    read = [_found_in(plain, names, strangers) for plain in readings(joined)]
    found = read[0] if len(read) == 1 else without_overlaps(joined, chain.from_iterable(read))
    if len(windows) == 1 and not windows[0][0]:
        return found
    lengths = (end - start + len(APART) for start, end in windows)
    begins = [0, *accumulate(lengths)]
    located: list[Found] = []
    for item in found:
        window = bisect_right(begins, item.start) - 1
        shift = windows[window][0] - begins[window]
        located.append(Found(item.kind, item.start + shift, item.end + shift, item.value))
    return located


def _found_in(plain: Undisguised, names: Collection[str], strangers: Collection[str]) -> list[Found]:
    """Return what stands in a text, in order and apart, at its places before it was undisguised."""
    searched = plain.text
    if "[" in searched:
        searched = PLACEHOLDER.sub(lambda match: MASK * len(match[0]), searched)
    found = without_overlaps(searched, recognise(searched, names, strangers))
    if not plain.shifted:
        return found
    return [
        Found(item.kind, plain.original(item.start), plain.original_end(item.end), item.value)
        for item in found
    ]


def _neighbourhoods(text: str) -> list[tuple[int, int]]:
    """Return the lines around the placeholders: only there can a replacement have uncovered something."""
    windows: list[tuple[int, int]] = []
    for match in PLACEHOLDER.finditer(text):
        last = windows[-1][1] if windows else 0
        if match.end() + REACH <= last:
            continue
        start = max(text.rfind("\n", last, max(last, match.start() - REACH)), last)
        end = text.find("\n", match.end() + REACH)
        if windows and start == last:
            start, _ = windows.pop()
        windows.append((start, end if end >= 0 else len(text)))
    return windows


def may_hold_more(window: str, names: Collection[str], strangers: Collection[str] = ()) -> bool:
    """Return whether anything is left beside the placeholders that a recogniser could begin with."""
    left = PLACEHOLDER.sub(MASK, "\n".join(plain.text for plain in readings(window)))
    if BEGINNING.search(left):
        return True
    known = [owners_of(frozenset(each)).keys() for each in (names, strangers) if each]
    if given_names().isdisjoint(capitalised_words(left)) and _stand_in_none(left, known):
        return False
    words = set(WORD.findall(left))
    return not all(each.isdisjoint(words) for each in (given_names(), *known))


def _stand_in_none(text: str, known: Sequence[Collection[str]]) -> bool:
    """Return whether no name stands in the text at all, where they are few enough to say so quickly."""
    return sum(map(len, known)) <= FEW_PARTS and not any(part in text for each in known for part in each)


def without_overlaps(text: str, found: Iterable[Found]) -> list[Found]:
    """Keep the longest of what overlaps, and of the others what it leaves uncovered.

    What was recognised never stays readable: a name that reaches into an address keeps its
    placeholder for the part outside.
    """
    kept: list[Found] = []
    for item in sorted(found, key=lambda item: (item.start, -item.end, KINDS.index(item.kind))):
        last = kept[-1] if kept else None
        if last is None or item.start >= last.end:
            kept.append(item)
        elif item.end <= last.end:
            continue
        elif _may_replace(item, kept):
            kept[-1:] = [*_clipped(text, last, last.start, item.start), item]
        else:
            kept += _clipped(text, item, last.end, item.end)
    return kept


def _may_replace(item: Found, kept: Sequence[Found]) -> bool:
    """Say whether a find is longer than the last one and reaches no farther back: that may be a rest."""
    last = kept[-1]
    is_longer = item.end - item.start > last.end - last.start
    return is_longer and (len(kept) == 1 or item.start >= kept[-2].end)


def _clipped(text: str, found: Found, start: int, end: int) -> list[Found]:
    rest = text[start:end]
    if not any(sign.isalnum() for sign in rest):
        return []
    start += len(rest) - len(rest.lstrip())
    return [Found(found.kind, start, end - (len(rest) - len(rest.rstrip())), found.value)]


def _render(text: str, replacements: Sequence[_Replacement]) -> tuple[str, Undisguised]:
    """Return ``text`` with its placeholders, and the way back from there into ``text``."""
    pieces: list[str] = []
    kept_from, shifts = [0], [0]
    length = cursor = 0
    for item in replacements:
        pieces += [text[cursor : item.start], item.placeholder]
        length += item.start - cursor + len(item.placeholder)
        cursor = item.end
        kept_from.append(length)
        shifts.append(cursor - length)
    pieces.append(text[cursor:])
    rendered = "".join(pieces)
    return rendered, Undisguised(rendered, tuple(kept_from), tuple(shifts))

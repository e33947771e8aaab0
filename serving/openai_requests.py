"""OpenAI's requests, as far as they make sense here: what has no effect is refused, never dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from serving.requests import Text, encodable

TOKENS = 256  # of an answer, where nobody says how many
SCHEMA_CHARACTERS = 20_000
# OpenAI's other fields, and the one thing that each may say: what happens anyway.
NEUTRAL: Mapping[str, Any] = {
    "frequency_penalty": 0,
    "logprobs": False,
    "n": 1,
    "presence_penalty": 0,
    "store": False,
    "top_p": 1,
}
ABOUT_THE_CALLER = frozenset({"safety_identifier", "user"})  # changes no answer; the key says who asks


def _open(example: dict[str, Any] | None = None) -> ConfigDict:
    """Let unknown fields in, for ``refuse_unhonoured`` to say why not; the document knows of none."""
    schema: dict[str, Any] = {"additionalProperties": False} | ({"examples": [example]} if example else {})
    return ConfigDict(extra="allow", json_schema_extra=schema)


def refuse_unhonoured(said: BaseModel) -> None:
    """Refuse a field that would have no effect: a caller who sends one expects it to have one.

    Raises:
        HTTPException: there is such a field.
    """
    for name, value in (said.model_extra or {}).items():
        if value in (None, [], {}) or name in ABOUT_THE_CALLER:
            continue
        if name not in NEUTRAL:
            known = name if name.isidentifier() and len(name) <= 40 else "a field"
            raise HTTPException(400, f"{known} is not honoured here; leave it out")
        if value != NEUTRAL[name]:
            raise HTTPException(400, f"{name} is honoured only as {json.dumps(NEUTRAL[name])}; leave it out")


class EmbeddingsRequest(BaseModel):
    """OpenAI's embeddings request; the vectors have the model's own dimensions."""

    model_config = _open({"model": "embedder", "input": "a text"})

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"

    @model_validator(mode="after")
    def _honoured(self) -> EmbeddingsRequest:
        refuse_unhonoured(self)
        return self


class TextPart(BaseModel):
    """A part of a turn."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: Text


class Turn(BaseModel):
    """One turn of a conversation; a developer speaks as the system."""

    model_config = _open()

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=64)]

    def speaker(self) -> str:
        return "system" if self.role == "developer" else self.role

    def text(self) -> str:
        return (
            self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)
        )


class StreamOptions(BaseModel):
    """What a stream says beside the words."""

    model_config = _open()

    include_usage: bool = False


def _sendable(schema: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no engine could be sent: too much of it, too deep, or no text."""
    try:
        written = encodable(json.dumps(schema, ensure_ascii=False))
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    if len(written) > SCHEMA_CHARACTERS:
        raise ValueError(f"a schema has at most {SCHEMA_CHARACTERS} characters")
    return schema


class NamedSchema(BaseModel):
    """A JSON schema, which the answer follows whether ``strict`` or not."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
    description: Text | None = None
    of: Annotated[dict[str, Any], Field(alias="schema"), AfterValidator(_sendable)]
    strict: bool | None = None


class PlainText(BaseModel):
    """The answer is text."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]


class AnyJson(BaseModel):
    """The answer is a JSON object."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["json_object"]


class JsonBySchema(BaseModel):
    """The answer is JSON that a schema describes."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["json_schema"]
    json_schema: NamedSchema


StopWord = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(encodable)]
ResponseFormat = Annotated[PlainText | AnyJson | JsonBySchema, Field(discriminator="type")]
Count = Annotated[int, Field(ge=1, le=1024)]


class ChatRequest(BaseModel):
    """OpenAI's chat request."""

    model_config = _open({"messages": [{"role": "user", "content": "Say hello."}]})

    messages: list[Turn] = Field(min_length=1, max_length=64)
    model: str = ""
    max_completion_tokens: Count | None = None
    max_tokens: Count | None = Field(default=None, description="its older name; of both, the smaller counts")
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    stop: StopWord | Annotated[list[StopWord], Field(max_length=4)] | None = None
    response_format: ResponseFormat = PlainText(type="text")
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _honoured(self) -> ChatRequest:
        for each in (self, *self.messages, *filter(None, [self.stream_options])):
            refuse_unhonoured(each)
        return self

    @property
    def most_tokens(self) -> int:
        return min(filter(None, (self.max_completion_tokens, self.max_tokens)), default=TOKENS)

    @property
    def asks_for_json(self) -> bool:
        return self.response_format.type != "text"

    def for_the_engine(self) -> dict[str, Any]:
        """Return how the answer is to be written, as an engine takes it."""
        asked: dict[str, Any] = {"max_tokens": self.most_tokens, "temperature": self.temperature}
        if self.seed is not None:
            asked["seed"] = self.seed
        if self.stop:
            asked["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        if isinstance(self.response_format, JsonBySchema):
            schema = self.response_format.json_schema
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": schema.name, "schema": schema.of},
            }
        elif self.asks_for_json:
            asked["response_format"] = {"type": "json_object"}
        return asked

"""The engine for machines without vLLM: its routes, served by transformers from one process.

Run by the engines as ``python -m serving.transformers_engine PORT ROLE=FOLDER ...``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from data.label_sets import PROBLEM_TYPE
from data.model_input import tokens_read
from serving.adapter import adapter_of
from serving.embed import Vectors, load_embedder
from serving.engine_key import KeyCheck
from serving.engine_log import RequestLog
from serving.launch import GENERATOR_TOKENS
from serving.ports import LOOPBACK
from serving.processes import end_with_parent
from serving.reranker import longest_pair
from serving.streams import Events, event, streamed

BATCH = 32
Words = Generator[tuple[str, int], None, None]  # as they come, each with how many tokens there are


class TextsRequest(BaseModel):
    """Texts to classify or to embed."""

    input: str | list[str]
    model: str = ""
    truncate_prompt_tokens: int | None = None

    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class PairsRequest(BaseModel):
    """Texts to score with a question; scores are logits."""

    queries: str
    documents: list[str]
    model: str = ""
    truncate_prompt_tokens: Literal[-1] = -1  # pairs are always cut at the model's length
    use_activation: Literal[False] = False


class ChatMessage(BaseModel):
    """One turn of a conversation."""

    role: str
    content: str


class ResponseFormat(BaseModel):
    """Text: nothing here holds the model to JSON."""

    type: Literal["text"] = "text"


class ChatRequest(BaseModel):
    """A conversation to continue."""

    messages: list[ChatMessage] = Field(min_length=1)
    model: str = ""
    max_tokens: int = Field(default=256, ge=1, le=GENERATOR_TOKENS)
    temperature: float = Field(default=0.0, ge=0.0)
    seed: int | None = None
    stop: list[str] = []
    response_format: ResponseFormat = ResponseFormat()
    stream: bool = False


class TextClassifier:
    """A sequence classifier in float32, one batch at a time."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder).float().eval()
        self._longest = tokens_read(folder)
        self._several = self._model.config.problem_type == PROBLEM_TYPE
        self.labels: tuple[str, ...] = tuple(
            self._model.config.id2label[place] for place in range(self._model.config.num_labels)
        )

    def probabilities(self, texts: list[str], *, batch: int = BATCH) -> Vectors:
        """Return one row of class probabilities per text."""
        import torch

        rows = []
        for start in range(0, len(texts), batch):
            encoded = self._tokenizer(
                texts[start : start + batch],
                truncation=True,
                max_length=self._longest,
                padding=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**encoded).logits
                stated = torch.sigmoid(logits) if self._several else torch.softmax(logits, dim=-1)
                rows.append(stated.numpy())
        return np.concatenate(rows) if rows else np.zeros((0, len(self.labels)), np.float32)


class PairScorer:
    """A cross-encoder in float32: how well each text answers a question, as the logit of its one label."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder).float().eval()
        self._longest = longest_pair(folder)

    def scores(self, question: str, texts: Sequence[str], *, batch: int = BATCH) -> Vectors:
        """Return one score per text, higher for a better one."""
        import torch

        rows = [np.zeros(0, np.float32)]
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            encoded = self._tokenizer(
                [question] * len(part),
                part,
                truncation=True,
                max_length=self._longest,
                padding=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                rows.append(self._model(**encoded).logits[:, 0].numpy())
        return np.concatenate(rows)


class TextGenerator:
    """A chat model in bfloat16, with the adapter that its bundle holds."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        if adapter := adapter_of(folder):
            from peft import PeftModel

            self._model = PeftModel.from_pretrained(self._model, adapter).eval()

    def answer(self, request: ChatRequest) -> tuple[list[int], list[int]]:
        """Return the prompt's and the answer's token ids.

        Raises:
            ValueError: the conversation leaves no room for an answer.
        """
        encoded = self.encoded(request)
        length = int(encoded["input_ids"].shape[1])
        whole = self._generate(request, encoded)
        return whole[:length], whole[length:]

    def encoded(self, request: ChatRequest) -> Any:
        """Return the conversation in tokens.

        Raises:
            ValueError: it leaves no room for an answer.
        """
        turns = [message.model_dump() for message in request.messages]
        encoded = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        length = int(encoded["input_ids"].shape[1])
        if length + request.max_tokens > GENERATOR_TOKENS:
            raise ValueError(
                f"{length} prompt tokens and {request.max_tokens} to come exceed {GENERATOR_TOKENS}"
            )
        return encoded

    def written(self, request: ChatRequest, encoded: Any, one_at_a_time: Lock) -> Words:
        """Yield the answer's words; closing stops it.

        Raises:
            RuntimeError: the model failed.
        """
        from transformers import TextIteratorStreamer

        class Told:
            tokens, stopped, ended = 0, False, False

            def __call__(self, *_: Any, **__: Any) -> bool:
                self.tokens += 1
                return self.stopped

        told = Told()
        words = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)

        def write() -> None:
            try:
                with one_at_a_time:
                    if not told.stopped:
                        self._generate(request, encoded, told, streamer=words)
                told.ended = True
            finally:
                words.end()  # whoever reads is not left waiting, whatever went wrong

        thread = Thread(target=write, name="generate", daemon=True)
        thread.start()
        try:
            for word in words:
                yield word, told.tokens
        finally:
            told.stopped = True
            thread.join()
        if not told.ended:
            raise RuntimeError("the generation failed")
        yield "", told.tokens

    def _generate(
        self, request: ChatRequest, encoded: Any, *ends: Callable[..., bool], **more: Any
    ) -> list[int]:
        import torch

        sampling: dict[str, Any] = {"do_sample": False}
        if request.temperature > 0:
            sampling = {"do_sample": True, "temperature": request.temperature}
        if request.seed is not None:
            torch.manual_seed(request.seed)
        stops = [*ends, self._stops(request, int(encoded["input_ids"].shape[1]))]
        with torch.inference_mode():
            whole = self._model.generate(
                **encoded, max_new_tokens=request.max_tokens, **sampling, stopping_criteria=stops, **more
            )
        return list(whole[0].tolist())

    def _stops(self, request: ChatRequest, prompt: int) -> Callable[..., bool]:
        """Return what ends a generation at a stop: transformers' own criterion fails on some vocabularies."""
        tail = 4 * max(map(len, request.stop), default=0) + 4  # tokens: a character may take four

        def is_written(ids: Any, _scores: Any, **_: Any) -> bool:
            if not request.stop:
                return False
            said = self.tokenizer.decode(ids[0, max(prompt, ids.shape[1] - tail) :], skip_special_tokens=True)
            return any(stop in said for stop in request.stop)

        return is_written


def _chunks(generator: TextGenerator, request: ChatRequest, encoded: Any, one_at_a_time: Lock) -> Events:
    prompt, tokens = int(encoded["input_ids"].shape[1]), 0

    def chunk(words: str, tokens: int, finish_reason: str | None = None) -> str:
        choices = [{"index": 0, "delta": {"content": words}, "finish_reason": finish_reason}]
        usage = _usage(prompt, tokens)
        return event({"object": "chat.completion.chunk", "model": "generator", "choices": choices,
                      "usage": usage})  # fmt: skip

    reason = "stop"
    with closing(generator.written(request, encoded, one_at_a_time)) as written:
        for words, tokens, is_stopped in _up_to(request.stop, written):
            reason = "length" if tokens >= request.max_tokens and not is_stopped else "stop"
            yield chunk(words, tokens)
    yield chunk("", tokens, reason)
    yield "data: [DONE]\n\n"


def _up_to(stops: Sequence[str], written: Words) -> Iterator[tuple[str, int, bool]]:
    """Yield words up to the first of the stops, and whether that was it; what may begin one is held back."""
    longest, held, tokens = max(map(len, stops), default=1) - 1, "", 0
    for words, tokens in written:
        held += words
        if (before := _cut(held, stops)) != held:
            yield before, tokens, True
            return
        ready = max(0, len(held) - longest)
        yield held[:ready], tokens, False
        held = held[ready:]
    yield held, tokens, False


def _cut(text: str, stops: Sequence[str]) -> str:
    """Return what stands before the first of the stops."""
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def _usage(prompt: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def build_app(folders: dict[str, Path]) -> FastAPI:
    """Load the models of the given roles and return the app that serves them."""
    import torch

    torch.set_num_threads(1)
    one_at_a_time = Lock()
    app = FastAPI(title="mailroom transformers engine", docs_url=None, redoc_url=None)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ready"}

    if "classifier" in folders:
        classifier = TextClassifier(folders["classifier"])

        @app.post("/classify")
        def classify(request: TextsRequest) -> dict[str, Any]:
            with one_at_a_time:
                rows = classifier.probabilities(request.texts())
            return {"object": "list", "model": "classifier", "data": [
                {"index": index, "label": classifier.labels[int(row.argmax())], "probs": row.tolist(),
                 "num_classes": len(row)} for index, row in enumerate(rows)
            ]}  # fmt: skip

    if "embedder" in folders:
        embedder = load_embedder(folders["embedder"])

        @app.post("/v1/embeddings")
        def embeddings(request: TextsRequest) -> dict[str, Any]:
            with one_at_a_time:
                rows = embedder.encode(request.texts(), normalize_embeddings=True, show_progress_bar=False)
            return {"object": "list", "model": "embedder", "data": [
                {"object": "embedding", "index": index, "embedding": row.tolist()}
                for index, row in enumerate(rows)
            ]}  # fmt: skip

    if "reranker" in folders:
        scorer = PairScorer(folders["reranker"])

        @app.post("/score")
        def score(request: PairsRequest) -> dict[str, Any]:
            with one_at_a_time:
                scores = scorer.scores(request.queries, request.documents)
            return {"object": "list", "model": "reranker", "data": [
                {"object": "score", "index": index, "score": float(each)} for index, each in enumerate(scores)
            ]}  # fmt: skip

    if "generator" in folders:
        generator = TextGenerator(folders["generator"])

        @app.post("/v1/chat/completions", response_model=None)
        def chat(request: ChatRequest) -> dict[str, Any] | StreamingResponse:
            try:
                if request.stream:
                    return streamed(_chunks(generator, request, generator.encoded(request), one_at_a_time))
                with one_at_a_time:
                    prompt, answer = generator.answer(request)
            except ValueError as error:
                raise HTTPException(400, str(error)) from error
            written = generator.tokenizer.decode(answer, skip_special_tokens=True)
            text = _cut(written, request.stop)
            ended = "length" if len(answer) >= request.max_tokens and text == written else "stop"
            return {
                "object": "chat.completion",
                "model": "generator",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ended}
                ],
                "usage": _usage(len(prompt), len(answer)),
            }

    return app


def main(arguments: list[str]) -> None:
    """Serve the given roles on the given port of loopback until told to stop."""
    import uvicorn

    end_with_parent()
    port, pairs = int(arguments[0]), [argument.split("=", 1) for argument in arguments[1:]]
    app = build_app({role: Path(folder) for role, folder in pairs})
    app.add_middleware(RequestLog)
    app.add_middleware(KeyCheck)  # around it
    uvicorn.run(app, host=LOOPBACK, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1:])

"""What transformers and sentence-transformers do without any server, so many texts at once.

    .venv/bin/python -m tests.benchmarks.in_process classify MODEL TEXTS SECONDS
    .venv/bin/python -m tests.benchmarks.in_process embed MODEL TEXTS SECONDS

Prints one line of JSON, as the clients of `tests.benchmarks.serve` do; a call counts as so many answers.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.serve import Load, percentiles_of, text_of

Call = Callable[[list[str]], object]


def classifier(model: Path) -> Call:
    """Return a call of transformers as its own documentation writes it."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(model).eval()

    def call(texts: list[str]) -> object:
        with torch.inference_mode():
            inputs = tokenizer(texts, truncation=True, max_length=256, padding=True, return_tensors="pt")
            return network(**inputs).logits.softmax(-1).tolist()

    return call


def embedder(model: Path) -> Call:
    """Return a call of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(str(model), device="cpu")
    return lambda texts: network.encode(texts, batch_size=len(texts), normalize_embeddings=True)


def calls(call: Call, texts: int, seconds: float) -> Load:
    """Call with so many new texts again and again, for so long."""
    call([text_of(0)])
    until, number, times = time.monotonic() + seconds, 1, []
    while (started := time.monotonic()) < until:
        call([text_of(number + each) for each in range(texts)])
        times.append(1000 * (time.monotonic() - started))
        number += texts
    return Load(texts * len(times), percentiles_of(times), {"200": len(times)})


def main() -> int:
    kind, model, texts, seconds = sys.argv[1:]
    made = {"classify": classifier, "embed": embedder}[kind](Path(model))
    print(json.dumps(asdict(calls(made, int(texts), float(seconds)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

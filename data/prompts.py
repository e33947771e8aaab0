"""What the generator is asked with: one wording for training, judging and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from data.redact import model_view

PROMPTS = Path(__file__).with_name("prompts.yaml")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the generator is asked with."""

    system: str
    question: str
    refusal: str
    summary: str = ""  # without it, as in bundles from before, summaries are extracted


def read_prompts(path: Path = PROMPTS) -> Prompts:
    """Return the prompts of a file; by default those that the repository ships."""
    return prompts_in(path.read_text(encoding="utf-8"))


def prompts_in(text: str) -> Prompts:
    """Return the prompts that a file's text states."""
    return Prompts(**yaml.safe_load(text))


def conversation(question: str, excerpts: Sequence[str], prompts: Prompts) -> list[dict[str, str]]:
    """Return the turns for the generator: sentences as quoted material, then the question."""
    quoted = "\n".join(f'"{one_line(excerpt)}"' for excerpt in excerpts)
    asked = prompts.question.replace("{question}", one_line(question)).replace("{excerpts}", quoted)
    return [{"role": "system", "content": prompts.system}, {"role": "user", "content": asked}]


def one_line(text: str) -> str:
    """Return a text as a model reads it between quotation marks."""
    return " ".join(model_view(text).split()).replace('"', "'")

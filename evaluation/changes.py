"""What changed since the champion: what both releases were made of, and which answers are other ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluation.metrics import Predictions, TestSet, right

ADAPTER = "generator's adapter"
# what the report calls it → its name among the digests of a release
FACTS = {
    "dataset": "dataset",
    "gate rules": "gate",
    "recipe": "recipe digest",
    "code commit": "commit",
    "package lock": "package lock",
    "classifier weights": "classifier weights",
    "embedder weights": "embedder weights",
    ADAPTER: "generator adapter",
}
BASE_MODELS = {
    "base model of the classifier": "classifier.base_model",
    "base model of the embedder": "embedder.base_model",
}


@dataclass(frozen=True, slots=True)
class DatasetCounts:
    """How many messages a prepared dataset keeps, by split, and how many of them have each label."""

    messages: int
    splits: Mapping[str, int]
    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a release was made of; what was not recorded is absent."""

    digests: Mapping[str, str] = field(default_factory=dict)  # as `FACTS` names them
    recipe: Mapping[str, str] = field(default_factory=dict)  # "classifier.lora.rank" → "16"
    counts: DatasetCounts | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One fact of both releases; None where it was not recorded."""

    name: str
    before: str | None
    after: str | None

    @property
    def is_same(self) -> bool:
        """Whether both are recorded and equal."""
        return self.before is not None and self.before == self.after


@dataclass(frozen=True, slots=True)
class CountChange:
    """One count of both datasets; None where it was not recorded."""

    name: str
    before: int | None
    after: int | None

    @property
    def is_same(self) -> bool:
        """Whether both are recorded and equal."""
        return self.before is not None and self.before == self.after


@dataclass(frozen=True, slots=True)
class Flips:
    """What became of the test messages that both models answered."""

    right_to_wrong: int
    wrong_to_right: int
    wrong_to_otherwise_wrong: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Changes:
    """The challenger against the champion, but for what they are worth."""

    release: str
    classifier_version: str
    embedder_version: str
    facts: tuple[Change, ...]  # the same or not
    recipe: tuple[Change, ...] | None  # the fields that differ; None: not recorded of one of both
    counts: tuple[CountChange, ...]
    flips: Flips


def changes_between(
    before: Origin, after: Origin, flips: Flips, *, release: str, versions: tuple[str, str]
) -> Changes:
    """Put the champion (``before``) and the challenger side by side."""
    same_dataset = before.digests.get("dataset") == after.digests.get("dataset")
    before_counts = after.counts if same_dataset else before.counts
    pairs = {
        **{name: (before.digests.get(key), after.digests.get(key)) for name, key in FACTS.items()},
        **{name: (before.recipe.get(key), after.recipe.get(key)) for name, key in BASE_MODELS.items()},
    }
    return Changes(
        release,
        *versions,
        facts=tuple(Change(name, old or None, new or None) for name, (old, new) in pairs.items()),
        recipe=_recipe_changes(before.recipe, after.recipe),
        counts=_count_changes(before_counts, after.counts),
        flips=flips,
    )


def _recipe_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...] | None:
    if not before or not after:
        return None
    pairs = (Change(name, before.get(name), after.get(name)) for name in sorted({*before, *after}))
    return tuple(pair for pair in pairs if not pair.is_same)


def _count_changes(before: DatasetCounts | None, after: DatasetCounts | None) -> tuple[CountChange, ...]:
    old, new = _as_rows(before), _as_rows(after)
    names = dict.fromkeys([*new, *old])
    return tuple(
        CountChange(name, old.get(name, 0) if before else None, new.get(name, 0) if after else None)
        for name in names
    )


def _as_rows(counts: DatasetCounts | None) -> dict[str, int]:
    if counts is None:
        return {}
    splits = {f"messages in {name}": count for name, count in counts.splits.items()}
    return {"messages": counts.messages, **splits, **{f"label {k}": v for k, v in counts.labels.items()}}


def count_flips(test: TestSet, before: Predictions, after: Predictions) -> Flips:
    """Count how the answers to the same messages moved."""
    was_right, is_right = right(test, before), right(test, after)
    moved = (before.given(test) != after.given(test)).any(axis=1)
    return Flips(
        int((was_right & ~is_right).sum()),
        int((~was_right & is_right).sum()),
        int((~was_right & ~is_right & moved).sum()),
        int((~moved).sum()),
    )

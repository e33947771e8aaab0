"""What no release needs goes when it is asked to, on record; what is needed, evidence or held stays."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_release import Proposed, write_release

from data import governance
from data.dataset import read_manifest
from data.retention import orders_of
from data.workspace import home, secret
from evaluation.chain import check_chain
from evaluation.rollback import roll_back
from pipelines.cli import main
from pipelines.lineage.datasets import dataset_line
from pipelines.lineage.line import Walk
from pipelines.prune import Plan, plan, prune
from serving.digest import file_digest, folder_digest
from serving.index import LITE_FILE
from serving.milvus import milvus_client
from tests.serving.made_dataset import write_dataset

pytestmark = pytest.mark.slow  # MLflow's import and its database

NAMES = ("first", "second", "third")


@pytest.fixture
def live(log_home: Path) -> list[Proposed]:
    """Three releases that went live one after another, each with a dataset of its own; all of them old."""
    made = []
    for count, name in enumerate(NAMES, start=1):
        dataset = write_dataset(home() / "pipeline" / name / "prepare" / "prepared", copies=count)
        release = write_release(home() / name, dataset=read_manifest(dataset).digest)
        trained = home() / "pipeline" / name / "train-classifier" / "classifier"
        trained.mkdir(parents=True)
        weights = file_digest(release.models / "classifier" / "model.safetensors")
        (trained / "training.json").write_text(json.dumps({"weights_digest": weights}))
        release.promote(approved_by="" if name == "first" else "bert")
        release.deploy()
        made.append(release)
    _grow_old()
    return made


def _grow_old(days: int = 40) -> None:
    for path in home().rglob("*"):
        if path.is_file():
            seconds = path.stat().st_mtime - days * 86_400
            os.utime(path, (seconds, seconds))


def planned(*, older_than_days: int = 30, keep: int = 1) -> Plan:
    return plan(older_than_days=older_than_days, keep=keep)


def listed(found: Plan) -> set[tuple[str, str]]:
    return {(each.kind, str(each.path.relative_to(home().resolve()))) for each in found.goes}


def test_what_no_release_needs_goes_and_a_rollback_still_works(live: list[Proposed]) -> None:
    first, second, _ = live
    kept = {path.name: path for path in (home() / "bundles").iterdir()}
    cache = home() / "pipeline" / "cache"
    cache.mkdir()
    for name in NAMES:
        made = home() / "pipeline" / name / "prepare" / "prepared"
        (cache / f"{name}.json").write_text(json.dumps({"kept": 9, "prepared": {"uri": str(made)}}))
    found = planned()

    prune(found, by="officer")

    assert {"dataset", "model", "index", "bundle"} == {kind for kind, _ in listed(found)}
    assert all(not each.path.exists() for each in found.goes)
    assert not (home() / "pipeline" / "first" / "prepare" / "prepared").exists()
    assert {"second.json", "third.json"} == {path.name for path in cache.iterdir()}
    assert len(kept) - 1 == len(list((home() / "bundles").iterdir()))
    assert (first.evaluation / "gate.json").exists(), "what shows why it was decided stays"
    assert () == check_chain().problems
    assert () == planned().goes
    done = roll_back(reviewer="carla", reason="complaints from the desk")
    assert second.written["id"] == done.release.id
    assert done.bundle
    assert () == done.problems


def test_who_pruned_a_dataset_is_on_record(live: list[Proposed]) -> None:
    digest = read_manifest(home() / "pipeline" / "first" / "prepare" / "prepared").digest

    prune(planned(), by="officer")

    (entry,) = [each for each in governance.verified() if each.event["kind"] == "pruned"]
    assert [digest] == entry.event["dataset"]
    assert 1 == len(entry.event["index"])
    assert f"officer pruned it on {entry.time[:10]}" == dataset_line(Walk(), digest).note


@pytest.mark.parametrize(
    ("options", "releases"),
    [({"keep": 0}, {"first", "second"}), ({"keep": 2}, set()), ({"older_than_days": 50}, set())],
)
def test_how_much_stays_can_be_chosen(
    live: list[Proposed], options: dict[str, int], releases: set[str]
) -> None:
    found = listed(planned(**options))

    assert {f"pipeline/{name}/prepare/prepared" for name in releases} == {
        path for kind, path in found if kind == "dataset"
    }
    assert len(releases) == sum(kind == "model" and path.startswith("pipeline") for kind, path in found)


def test_what_waits_for_a_decision_and_the_newest_dataset_stay(live: list[Proposed]) -> None:
    waiting = write_dataset(home() / "pipeline" / "waiting" / "prepared", copies=4)
    write_release(home() / "waiting", dataset=read_manifest(waiting).digest).promote()
    unused = write_dataset(home() / "pipeline" / "unused" / "prepared", copies=5)
    newest = write_dataset(home() / "pipeline" / "newest" / "prepared", copies=6)
    _grow_old()
    os.utime(newest / "manifest.json")
    _grow_old(35)

    gone = {str(home().resolve() / path) for _, path in listed(planned())}

    assert str(unused.resolve()) in gone
    assert gone.isdisjoint({str(waiting.resolve()), str(newest.resolve())})
    assert str((home() / "waiting" / "index").resolve()) not in gone


def test_a_dataset_that_alone_has_what_is_held_stays(live: list[Proposed], tmp_path: Path) -> None:
    policy = tmp_path / "retention.yaml"
    policy.write_text("holds:\n  - {name: matter 7, source: made.mbox}\n")
    orders_of(policy, key=secret("redaction"))
    alone = home() / "pipeline" / "first" / "prepare" / "prepared"
    assert 0 == len(planned().held), "the later datasets have the same messages"

    for file in (alone / "messages").glob("*.parquet"):
        table = pq.read_table(file)
        ids = table.schema.get_field_index("message_id")
        pq.write_table(table.set_column(ids, "message_id", [[f"x{n}" for n in range(len(table))]]), file)
    (held,) = planned().held

    assert alone.resolve() == held.folder.path
    assert {"matter 7": 9} == held.holds
    assert ("dataset", "pipeline/first/prepare/prepared") not in listed(planned())
    assert "9 under matter 7" in str(held)


def test_a_collection_on_a_server_goes_with_the_last_index_that_names_it(live: list[Proposed]) -> None:
    server = str(home() / LITE_FILE)  # a file answers as a server does
    with milvus_client(server) as client:
        for name in ("alone", "shared"):
            client.create_collection(name, dimension=3)
    stated = json.loads((home() / "first" / "index" / "index.json").read_text())
    bundle = next(path for path in (home() / "bundles").iterdir() if planned_to_go(path))
    places = {"one": "alone", f"bundles/{bundle.name}/index": "alone", "two": "shared", "three": "shared"}
    for place, collection in places.items():
        (home() / place).mkdir(exist_ok=True)
        written = json.dumps({**stated, "uri": server, "collection": collection, "rows": len(place)})
        (home() / place / "index.json").write_text(written)
    _grow_old()
    os.utime(home() / "three" / "index.json")

    prune(planned())

    with milvus_client(server) as client:
        assert ["shared"] == client.list_collections()


def planned_to_go(path: Path) -> bool:
    return path.resolve() in {each.path for each in planned().goes}


def test_interrupted_it_begins_anew(live: list[Proposed], monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned()
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.prune.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prune(found)
    assert list((home() / ".pruned").iterdir())

    prune(planned())

    assert not (home() / ".pruned").exists()
    assert () == planned().goes


def interrupted(path: Path, **_: object) -> None:
    if path.exists():
        raise KeyboardInterrupt


def test_a_dataset_is_known_by_what_it_was_called_before_an_erasure(live: list[Proposed]) -> None:
    path = home() / "pipeline" / "first" / "prepare" / "prepared" / "manifest.json"
    before = read_manifest(path.parent)
    path.write_text(replace(before, digest="e" * 64, former_digests=(before.digest,)).to_json())
    os.utime(path, (1, 1))

    prune(planned(keep=0), by="officer")

    assert "officer pruned it" in dataset_line(Walk(), before.digest).note


def test_an_adapter_that_is_being_written_or_needed_is_left_alone(live: list[Proposed]) -> None:
    trained = home() / "pipeline" / "third" / "train-generator" / "generator"
    (trained / "adapter").mkdir(parents=True)
    (trained / "adapter" / "adapter_model.safetensors").write_bytes(b"adapter")
    (trained / "training.json").write_text(json.dumps({"weights_digest": "of the weights alone"}))
    (home() / "adapters" / ".made.part").mkdir(parents=True)
    release = write_release(home() / "speaking", adapter=folder_digest(trained / "adapter"))
    release.promote(approved_by="bert")
    _grow_old()

    assert ("model", "pipeline/third/train-generator/generator") not in listed(planned(keep=0))


def test_the_command_shows_first_and_removes_when_it_is_told_to(
    live: list[Proposed], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [_command(monkeypatch, capsys, *options) for options in ((), ("--yes",), ())]

    assert "to remove them: add --yes" in said[0]
    assert "pipeline/first/prepare/prepared" in said[0]
    assert "pruned" in said[1]
    assert said[2] == "nothing to prune\n"


def _command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    monkeypatch.setattr("sys.argv", ["mailroom", "prune", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out

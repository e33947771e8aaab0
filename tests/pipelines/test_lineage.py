"""From an answer every fact is reached or said to be missing, and what was changed since is marked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_archive import NAME, SECRET_WORDS, SUBJECT
from made_served import DIGEST, LABEL, Served, lines_of, make_served

from data.workspace import UserError, keys
from pipelines import cli
from pipelines.lineage.line import Line, Walk, as_json, is_broken, show
from pipelines.lineage.trace import lineage
from serving.digest import folder_digest

slow = pytest.mark.slow  # MLflow's import and its database


@pytest.fixture(scope="module")
def served(session_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A workspace of its own; MLflow's database is the session's."""
    root = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MAILROOM_HOME", str(root / "home"))
        patched.setenv("MAILROOM_KEYS", str(root / "keys"))
        yield make_served(root)


@pytest.fixture
def changed() -> Iterator[dict[Path, bytes]]:
    """Files by what they held, put back after the test."""
    before: dict[Path, bytes] = {}
    yield before
    for path, content in before.items():
        path.write_bytes(content)


def facts(line: Line) -> dict[str, str]:
    return {each.name: each.value for each in lines_of(line)}


def marks(line: Line) -> dict[str, bool]:
    """Return which lines were checked, by name, and whether all of that name held."""
    found: dict[str, bool] = {}
    for each in lines_of(line):
        if each.holds is not None:
            found[each.name] = each.holds and found.get(each.name, True)
    return found


@slow
def test_an_answer_leads_to_the_decision_the_run_and_the_bytes(served: Served) -> None:
    found = lineage(served.answer, check=True)

    assert not is_broken(found), marks(found)
    told = facts(found)
    assert served.bundle.digest == told["bundle"]
    assert served.release == told["release"]
    assert folder_digest(served.bundle.folder / "reranker") == told["reranker"]
    assert told["decision"].startswith("approved by gate")
    assert "adapter, as signed in the decision" in {each.note for each in lines_of(found)}
    assert served.runs["embedder"] in {each.value for each in lines_of(found)}
    assert DIGEST == told["dataset"]
    assert "smoke" == told["recipe"]
    assert "7" == told["seed"]
    assert served.message_id == told["message"]
    assert "4.eml#0" == told["source"]
    assert LABEL == told["label"]
    assert f"{served.archive / 'labels.csv'}, 5.eml#0" == told["from"]
    checked = {"record", "decision log", "evidence", "index", "weights", "digest", "rows", "chunk", "bytes"}
    assert checked <= marks(found).keys()


@slow
def test_what_is_not_recorded_is_said_in_its_place(served: Served) -> None:
    (notebook, *_) = [each for each in lines_of(lineage("classifier:champion")) if "executed" in each.name]

    assert "" == notebook.value
    assert "not opened by a notebook" in notebook.note
    assert as_json(notebook)["value"] is None


@slow
def test_no_word_of_a_message_is_told_and_no_key_is_needed(served: Served) -> None:
    key = keys() / "redaction.key"
    secret = key.read_bytes()
    key.unlink()

    found = lineage(served.answer, check=True)

    assert not key.exists()
    key.write_bytes(secret)
    assert not is_broken(found)
    told = json.dumps(as_json(found))
    assert not any(words in told for words in (SECRET_WORDS, NAME, SUBJECT, "second screen"))


@slow
@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("archive/4.eml", "SHA-256 of the file"),
        ("archive/labels.csv", "label"),
        ("m-classifier/model.safetensors", "weights"),
        ("home/adapters/made/adapter_model.safetensors", "generator"),
        ("evaluation/gate.json", "evidence"),
        ("home/bundles/made/thresholds.json", "folder"),
        ("home/decisions.jsonl", "decision log"),
        ("home/answers.jsonl", "record"),
    ],
)
def test_whatever_was_changed_since_is_marked(
    served: Served, changed: dict[Path, bytes], what: str, name: str
) -> None:
    path = served.archive.parent / what
    changed[path] = path.read_bytes()
    swapped = {"labels.csv": (LABEL.encode(), b"spam"), "gate.json": (b"promote", b"hold"),
               "decisions.jsonl": (b"bootstrap rule", b"no rule at all"), "4.eml": (b"screen", b"stool"),
               "answers.jsonl": (b"extracted", b"generated")}  # fmt: skip
    old, new = swapped.get(path.name, (changed[path], b'{"temperature": 2}'))
    path.write_bytes(changed[path].replace(old, new))

    assert not marks(lineage(served.answer, check=True))[name]


@slow
def test_rows_that_were_changed_since_the_training_are_marked(
    served: Served, changed: dict[Path, bytes]
) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = served.prepared / "messages" / "part-0.parquet"
    changed[path] = path.read_bytes()
    table = pq.read_table(path)
    splits = pc.replace_substring(table["split"], "train", "test")
    pq.write_table(table.set_column(table.schema.get_field_index("split"), "split", splits), path)

    assert marks(lineage("champion", check=True))["rows"] is False


@slow
def test_a_file_that_is_gone_is_not_checked_and_breaks_nothing(
    served: Served, changed: dict[Path, bytes]
) -> None:
    path = served.archive / "4.eml"
    changed[path] = path.read_bytes()
    path.unlink()

    found = lineage(served.message_id, check=True)

    assert not is_broken(found)
    assert "bytes" not in marks(found)
    assert "not there any more" in next(each.note for each in lines_of(found) if each.name == "archive")


@slow
def test_a_copy_leads_to_the_message_that_stands_for_it(served: Served) -> None:
    (copy,) = [each for each in lines_of(lineage(served.message_id)) if each.name == "copy"]

    found = lineage(copy.value)

    assert "an exact copy of another message" in found.note
    assert served.message_id == found.below[0].value


@slow
@pytest.mark.parametrize("of", ["release", "bundle"])
def test_releases_and_bundles_are_known_by_their_beginnings(served: Served, of: str) -> None:
    whole = served.release if of == "release" else served.bundle.digest

    assert whole == lineage(whole[:8]).value


@slow
@pytest.mark.parametrize(
    "what", ["answer-0000000000000000", "f" * 24, f"{'f' * 24}:0", "classifier:999", "?"]
)
def test_what_nobody_knows_is_a_mistake(served: Served, what: str) -> None:
    with pytest.raises(UserError, match="classifier"):
        lineage(what)


@slow
def test_the_command_ends_with_1_where_something_does_not_hold(
    served: Served,
    changed: dict[Path, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = served.archive / "4.eml"
    changed[path] = path.read_bytes()
    path.write_bytes(changed[path].replace(b"screen", b"stool"))
    monkeypatch.setattr(sys, "argv", ["mailroom", "lineage", served.message_id, "--check"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert 1 == ended.value.code
    assert "✗ bytes" in capsys.readouterr().out


def test_a_line_without_a_value_says_that_it_is_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    tree = Line("run", "r1", below=(Line("lock"), Line("seed", "7", holds=True), Line("x", "y" * 200)))

    show(tree, sys.stdout)

    said = capsys.readouterr().out
    assert "lock not recorded" in said
    assert "✓ seed 7" in said
    assert "y" * 200 in said


def test_nothing_is_computed_again_unless_asked() -> None:
    assert Walk().holds(lambda: 1 / 0 > 0) is None
    assert Walk(check=True).holds(lambda: True) is True

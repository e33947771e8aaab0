"""The sample archive: the same bytes for a seed, the truth true, and hard enough to mean something."""

from __future__ import annotations

import csv
import hashlib
import json
import mailbox
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from data.sample import write_sample
from data.sample_copies import similarity
from data.sample_identities import KINDS
from data.sample_messages import LABELS, shingles
from data.workspace import UserError

Truth = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "archive", messages=1200)


@pytest.fixture(scope="module")
def truth(archive: Path) -> Truth:
    return read_truth(archive)


@pytest.fixture(scope="module")
def contents(archive: Path) -> dict[str, str]:
    return dict(read_contents(archive))


def read_truth(archive: Path) -> Truth:
    sources = json.loads(archive.with_name(f"{archive.name}.truth.json").read_text())["sources"]
    assert isinstance(sources, dict)
    return sources


def fingerprints(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_contents(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield what every source holds, by the standard library alone and not by the readers under test."""
    for locator, stored in enumerate(mailbox.mbox(archive / "mail" / "archive.mbox")):
        yield (
            f"mail/archive.mbox#{locator}",
            mail_text(re.sub(rb"(?m)^>(>*From )", rb"\1", stored.as_bytes())),
        )
    for path in [*archive.glob("maildir/*/*"), *archive.glob("eml/*/*")]:
        yield path.relative_to(archive).as_posix(), mail_text(path.read_bytes())
    for path in archive.glob("slack/*/*.json"):
        for locator, entry in enumerate(json.loads(path.read_text())):
            text = entry.get("text") if isinstance(entry, dict) else None
            yield f"{path.relative_to(archive).as_posix()}#{locator}", unescape(text or "")
    for locator, entry in enumerate(json.loads((archive / "teams" / "export.json").read_text())["value"]):
        yield f"teams/export.json#{locator}", unescape(entry["body"]["content"].replace("</p><p>", " "))
    for path in archive.glob("calls/*.vtt"):
        for locator, passage in enumerate(passages(path.read_text())):
            yield f"calls/{path.name}#{locator}", passage


def mail_text(data: bytes) -> str:
    mail = message_from_bytes(data, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body(("plain", "html"))
    try:
        return unescape(str(body.get_content())) if body else ""
    except (LookupError, ValueError):
        return ""


def passages(transcript: str) -> list[str]:
    cues = re.findall(
        r"(\d\d):(\d\d):(\d\d\.\d+) --> (\d\d):(\d\d):(\d\d\.\d+)\n<v [^>]+>(.*)</v>", transcript
    )
    found: list[list[str]] = []
    last_end = -1000.0
    for cue in cues:
        start, end = (int(cue[at]) * 3600 + int(cue[at + 1]) * 60 + float(cue[at + 2]) for at in (0, 3))
        if start - last_end > 30:
            found.append([])
        found[-1].append(unescape(cue[6]))
        last_end = end
    return [" ".join(passage) for passage in found]


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "one", messages=300)
    write_sample(tmp_path / "two", messages=300)
    write_sample(tmp_path / "three", messages=300, seed=8)

    assert fingerprints(tmp_path / "one") == fingerprints(tmp_path / "two")
    assert read_truth(tmp_path / "one") == read_truth(tmp_path / "two")
    assert fingerprints(tmp_path / "one") != fingerprints(tmp_path / "three")


def test_another_identity_changes_the_personal_data_and_no_length(tmp_path: Path) -> None:
    write_sample(tmp_path / "one", messages=300)
    write_sample(tmp_path / "two", messages=300, identity=99)

    sizes = [{path.relative_to(tmp_path / name): path.stat().st_size for path in (tmp_path / name).rglob("*")
              if path.is_file()} for name in ("one", "two")]  # fmt: skip
    one, two = read_truth(tmp_path / "one"), read_truth(tmp_path / "two")
    assert sizes[0] == sizes[1]
    assert list(one) == list(two)
    for source in one:
        first, second = (sorted(made[source]["pii"], key=lambda item: item["kind"]) for made in (one, two))
        assert [len(item["value"]) for item in first] == [len(item["value"]) for item in second]
    assert one != two


@pytest.mark.parametrize("messages", [200, 450])
def test_a_smaller_sample_has_the_asked_size_and_every_case(tmp_path: Path, messages: int) -> None:
    made = read_truth(write_sample(tmp_path / "archive", messages=messages))

    assert messages == len(made)
    assert {*LABELS, None} == {item["label"] for item in made.values()}
    assert len({item["malformed"] for item in made.values()} - {None}) == 8
    assert {source.split("/")[0] for source in made} == {"mail", "maildir", "eml", "slack", "teams", "calls"}


@pytest.mark.slow
def test_every_source_of_the_truth_holds_its_text(truth: Truth, contents: dict[str, str]) -> None:
    assert {source for source in contents if not truth[source]["malformed"]} == {
        source for source in truth if not truth[source]["malformed"]
    }
    for source, item in truth.items():
        if item["malformed"] is None and not source.startswith("calls/"):
            assert item["text"].split(" ")[0] in words(contents[source]), source
            assert words(contents[source]).count(item["text"][-25:]), source


def test_planted_personal_data_stands_word_for_word_in_its_source(
    truth: Truth, contents: dict[str, str]
) -> None:
    kinds: Counter[str] = Counter()
    for source, item in truth.items():
        for planted in item["pii"]:
            kinds[planted["kind"]] += 1
            assert planted["value"] in words(contents[source]), source

    assert set(KINDS) == set(kinds)
    assert min(kinds.values()) >= 10


def test_what_has_a_checksum_has_a_right_one(truth: Truth) -> None:
    for kind, value in {
        (planted["kind"], planted["value"]) for item in truth.values() for planted in item["pii"]
    }:
        if kind == "CARD":
            digits = [int(digit) for digit in re.sub(r"\D", "", value)]
            odd, even = digits[-1::-2], digits[-2::-2]
            assert (sum(odd) + sum(sum(divmod(2 * digit, 10)) for digit in even)) % 10 == 0
        if kind == "IBAN":
            plain = value.replace(" ", "")
            assert int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1
        if kind == "PHONE":
            assert phonenumbers.is_valid_number(phonenumbers.parse(value))


@pytest.mark.slow
def test_no_text_is_like_another_but_the_planted_copies(truth: Truth) -> None:
    owners: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    alike: set[frozenset[str]] = set()
    sound = {
        source: item for source, item in truth.items() if not item["malformed"] and not item["duplicate_of"]
    }
    for source, item in sound.items():
        mine = shingles(item["text"])
        for other in {owner for shingle in mine for owner in owners[shingle]}:
            if similarity(item["text"], sound[other]["text"]) >= 0.8:
                alike.add(frozenset({source, other}))
        for shingle in mine:
            owners[shingle].add(source)

    planted = {
        frozenset({source, item["near_duplicate_of"]})
        for source, item in sound.items()
        if item["near_duplicate_of"]
    }
    near = {source: item["near_duplicate_of"] or source for source, item in sound.items()}
    assert planted <= alike
    assert all(len({near[source] for source in pair}) == 1 for pair in alike)


def test_an_exact_duplicate_is_the_same_mail_in_another_mailbox(
    truth: Truth, contents: dict[str, str]
) -> None:
    copies = {source: item["duplicate_of"] for source, item in truth.items() if item["duplicate_of"]}

    assert len(copies) == 36
    assert all(contents[source].strip() == contents[original].strip() for source, original in copies.items())
    assert all(truth[source]["label"] == truth[original]["label"] for source, original in copies.items())


def test_lines_that_start_with_from_are_quoted_in_the_mbox(archive: Path) -> None:
    stored = (archive / "mail" / "archive.mbox").read_bytes()

    assert len(re.findall(rb"(?m)^>From ", stored)) > 3
    assert len(re.findall(rb"(?m)^From ", stored)) == len(mailbox.mbox(archive / "mail" / "archive.mbox"))


def test_labels_are_unbalanced_nearly_complete_and_mixed_within_threads(archive: Path, truth: Truth) -> None:
    with open(archive / "labels.csv", newline="") as handle:
        rows = {row["source"]: row["label"] for row in csv.DictReader(handle)}
    shares = {
        label: count / len(truth)
        for label, count in Counter(item["label"] for item in truth.values()).items()
    }
    threads: defaultdict[str, set[str]] = defaultdict(set)
    for item in truth.values():
        if item["thread"] and item["label"] != "spam":
            threads[item["thread"]].add(item["label"])

    assert all(truth[source]["label"] == label for source, label in rows.items())
    assert 0.03 < 1 - len(rows) / len(truth) < 0.08
    assert 0.54 < shares["ordinary"] < 0.61
    assert all(0.05 < share < 0.08 for label, share in shares.items() if label not in {"ordinary", None})
    assert sum(len(labels) > 1 for labels in threads.values()) > 100


def test_questions_are_answered_by_their_sources_and_only_by_them(archive: Path, truth: Truth) -> None:
    asked = [json.loads(line) for line in (archive / "questions.jsonl").read_text().splitlines()]

    assert Counter({True: 30, False: 10}) == Counter(question["answerable"] for question in asked)
    assert len(asked) == len({question["question"] for question in asked})
    for question in asked:
        assert question["answerable"] == bool(question["sources"]) == bool(question["answer"])
        for source in question["sources"]:
            assert truth[source]["label"] == "ordinary"
            assert all(word in truth[source]["text"] for word in question["answer"].split())


def test_languages_have_their_shares(truth: Truth) -> None:
    spoken = Counter(item["language"] for item in truth.values() if not item["malformed"])

    assert 0.75 < spoken["en"] / len(truth) < 0.85
    assert all(0.06 < spoken[language] / len(truth) < 0.14 for language in ("de", "fr"))


def test_passages_stay_below_the_length_that_would_cut_them(truth: Truth, contents: dict[str, str]) -> None:
    assert max(len(text.split()) for source, text in contents.items() if source.startswith("calls/")) < 150


def test_a_folder_that_is_no_sample_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")

    with pytest.raises(UserError, match="choose another folder"):
        write_sample(tmp_path / "mine", messages=300)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_too_small_a_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="200 or more"):
        write_sample(tmp_path / "archive", messages=50)

"""A declared file is what it says, or one line about the first mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from data.declared import read_declared
from data.workspace import UserError


class Door(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 1


def test_keys_that_are_merged_in_may_be_stated_anew(tmp_path: Path) -> None:
    (tmp_path / "doors.yaml").write_text("a: &usual {width: 1}\nb: {<<: *usual, width: 2}\n")

    doors = read_declared(tmp_path / "doors.yaml", dict[str, Door], what="the doors", way_out="mend them")

    assert {"a": Door(width=1), "b": Door(width=2)} == doors


def test_what_merges_may_be_merged_in_turn(tmp_path: Path) -> None:
    (tmp_path / "doors.yaml").write_text(
        "a: &usual {width: 1}\nhall: {b: &b {<<: *usual, width: 2}}\nc: {<<: *b, height: 3}\n"
    )

    doors = read_declared(tmp_path / "doors.yaml", dict[str, Any], what="the doors", way_out="mend them")

    assert ({"width": 2}, {"width": 2, "height": 3}) == (doors["hall"]["b"], doors["c"])


def test_what_follows_from_the_bytes_stands_beside_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "door.yaml").write_text("width: 7\n")

    def beside(content: bytes) -> dict[str, object]:
        return {"width": len(content)}

    door = read_declared(tmp_path / "door.yaml", Door, what="the door", way_out="mend it", beside=beside)

    assert Door(width=9) == door


def test_an_empty_file_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "door.yaml").write_text("# nothing yet\n")

    assert Door() == read_declared(tmp_path / "door.yaml", Door, what="the door", way_out="mend it")
    assert [] == read_declared(tmp_path / "door.yaml", list[Door], what="the doors", way_out="mend them")


MERGING = b"a0: &a0 {width: 1}\n" + b"".join(
    b"a%d: &a%d {<<: [%s]}\n" % (level + 1, level + 1, b", ".join([b"*a%d" % level] * 10))
    for level in range(9)
)  # ten to the ninth keys


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"width: wide-secret", "the door PATH: width: Input should be a valid integer"),
        (b"height: 2", "the door PATH: height: Extra inputs are not permitted"),
        (b"- 1", "the door PATH: the file: Input should be"),
        (b"width: [", "the door PATH is no YAML, line 1"),
        (b"width: \xff\xfe", "the door PATH cannot be read (UnicodeDecodeError)"),
        (b"width: 1\nwidth: 2", "the door PATH has the key 'width' twice, line 2"),
        (b"width: 1\nwidth: wide-secret", "the door PATH has the key 'width' twice, line 2"),
        (b"#" * 1_100_000, "the door PATH is larger than 1,048,576 bytes"),
        (b"anna.lindqvist@harbour.example: 2", "the door PATH: [EMAIL]: Extra inputs"),
        (MERGING, "the door PATH is no YAML, line 6"),
        (b"[" * 5000, "the door PATH cannot be read (RecursionError)"),
        (None, "the door PATH cannot be read (FileNotFoundError)"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_without_its_value(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "door.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UserError) as mistake:
        read_declared(path, Door, what="the door", way_out="mend it")

    message = str(mistake.value).replace(str(path), "PATH")
    assert message.startswith(said)
    assert message.endswith("; mend it")
    assert "\n" not in message
    assert "secret" not in message

"""A declared file is what it says, or one line about the first mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from data.declared import read_declared
from data.workspace import UserError


class Door(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 1


def test_an_empty_file_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "door.yaml").write_text("# nothing yet\n")

    assert Door() == read_declared(tmp_path / "door.yaml", Door, what="the door", way_out="mend it")
    assert [] == read_declared(tmp_path / "door.yaml", list[Door], what="the doors", way_out="mend them")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"width: wide-secret", "the door PATH: width: Input should be a valid integer"),
        (b"height: 2", "the door PATH: height: Extra inputs are not permitted"),
        (b"- 1", "the door PATH: the file: Input should be"),
        (b"width: [", "the door PATH is no YAML, line 1"),
        (b"width: \xff\xfe", "the door PATH cannot be read (UnicodeDecodeError)"),
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

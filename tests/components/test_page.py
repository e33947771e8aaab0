from __future__ import annotations

import re

import pytest
from nbformat import v4

from components.page import render, settle_streams


@pytest.fixture(scope="module")
def page() -> str:
    image = v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    table = v4.new_output("execute_result", data={"text/html": "<table><tr><td>42</td></tr></table>"})
    cells = [v4.new_markdown_cell("# Title $x^2$"), v4.new_code_cell("1", outputs=[image, table])]
    return render(v4.new_notebook(cells=cells), "01_title")


def test_loads_nothing_from_anywhere(page: str) -> None:
    assert re.findall(r"<script|<link|<iframe|@import", page) == []
    assert re.findall(r"(?:src|href)=[\"']?https?:", page) == []
    assert re.findall(r"url\((?![\"']?data:)", page) == []


def test_shows_title_image_and_table(page: str) -> None:
    assert "<title>01_title</title>" in page
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert "<td>42</td>" in page


def test_keeps_of_a_progress_bar_what_a_terminal_would_show() -> None:
    pieces = ["\r 0%", "\r 50%", "\r100%\n", "done\n"]
    outputs = [v4.new_output("stream", name="stderr", text=text) for text in pieces]
    outputs.append(v4.new_output("stream", name="stdout", text="other\n"))
    notebook = v4.new_notebook(cells=[v4.new_code_cell("x", outputs=outputs)])

    settle_streams(notebook)

    assert [output.text for output in notebook.cells[0].outputs] == ["100%\ndone\n", "other\n"]

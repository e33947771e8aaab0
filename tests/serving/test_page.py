"""The page in a real browser: by keyboard, in both schemes, and never taking mail for markup."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from made_gateway import open_guards
from test_bundle import write_bundle

from data.dataset import read_chunks, read_manifest
from serving.archive import open_archive
from serving.client import Completion
from serving.door import Door, Doors
from serving.embed import Vectors
from serving.index import Hit, Index
from serving.ports import free_ports
from serving.routes import build_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: chromium)"),
]


class MadeIndex:
    """Finds the same two chunks of the small dataset whatever is asked; one of them is hostile."""

    def __init__(self, dataset: Path) -> None:
        self.index = Index("", "made", 3, 2, "", "")
        rows = read_chunks(dataset).to_pylist()
        lease = next(row for row in rows if row["subject"] == "Harbour lease")
        facts = {
            name: lease[name] for name in ("chunk_id", "message_id", "thread_id", "start", "end", "channel")
        }
        whole = Hit(**facts, score=1, similarity=0.9, text=lease["text"], subject="Harbour lease", sent_at="")
        self.hits = [whole, Hit("x:0", "x", "x", 0, 9, 0.5, 0.4, HOSTILE, HOSTILE, "", "email")]

    def search(self, questions: Sequence[str], vectors: Vectors, **_: Any) -> list[list[Hit]]:
        return [self.hits for _ in questions]


class CopyingGenerator:
    def chat(self, turns: Any, **_: Any) -> Completion:
        return Completion("The lease of the harbour warehouse ends on 30 June.", "length", 9, 9)


@pytest.fixture
def address(tmp_path: Path, workspace: Path, small_dataset: Path) -> Iterator[str]:
    """A gateway on a port of its own, over made-up engines."""
    door = Door(
        bundle=write_bundle(tmp_path / "bundle"),
        client=CopyingGenerator(),  # type: ignore[arg-type]
        index=MadeIndex(small_dataset),  # type: ignore[arg-type]
        labels=("ordinary", "off_channel"),
        classify=lambda texts: np.array([[0.2, 0.8]] * len(texts), np.float32),
        embed=lambda texts: np.array([[1.0, 0.0, 0.0]] * len(texts), np.float32),
        archive=open_archive(str(small_dataset), read_manifest(small_dataset).digest),
    )
    doors, (port,) = Doors(), free_ports(1)
    doors.open(door, ExitStack())
    with open_guards() as guards:
        server = uvicorn.Server(uvicorn.Config(build_app(doors, guards), port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/"
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """The page in Chromium; whatever the browser complains of fails the test."""
    from playwright.sync_api import sync_playwright

    told: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        opened.set_default_timeout(20_000)
        opened.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: told.append(str(error)))
        opened.goto(address)
        yield opened
        browser.close()
    assert told == []


def enter(page: Any, key: str) -> None:
    page.keyboard.type(key)  # the field has the focus from the start
    page.keyboard.press("Enter")
    page.wait_for_selector("#search:not([hidden])")


def test_an_analyst_searches_and_reads_by_keyboard_alone(page: Any):
    enter(page, "analyst")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("harbour lease")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#messages article")

    assert "Harbour lease" in page.inner_text("#thread-title")
    assert {mark.lower() for mark in page.locator("#messages mark").all_inner_texts()} == {"harbour", "lease"}
    assert page.locator(".verdict-form").count() == 0  # an analyst labels nothing
    page.keyboard.press("Escape")
    assert page.is_visible("#hits")


def test_mail_is_text_and_never_markup(page: Any):
    enter(page, "analyst")
    page.fill("#question", "bold")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")

    assert HOSTILE in page.inner_text("#hits")
    assert page.locator("#hits img, #hits b").count() == 0
    assert page.title() == "Mailroom"


def test_an_answer_opens_its_source_and_a_thread_is_assessed(page: Any):
    enter(page, "reviewer")
    page.click("[data-view=ask]")
    page.fill("#asked", "When does the lease of the warehouse end?")
    page.keyboard.press("Enter")
    page.click(".citation")
    page.wait_for_selector("#messages mark")

    assert page.inner_text("#messages mark").startswith("The lease of the harbour warehouse ends")
    page.click("#assess")
    page.wait_for_selector("#finding article")
    assert "Escalate" in page.inner_text("#finding")


def test_a_wrong_key_is_told_and_opens_nothing(address: str):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#status.bad")

        assert "key is needed" in page.inner_text("#status")
        assert page.is_hidden("#views")
        browser.close()


def test_every_field_has_a_name_and_nothing_is_wider_than_a_phone(page: Any):
    enter(page, "reviewer")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(each => !each.labels?.length"
        " && !each.ariaLabel && !each.textContent.trim() && each.type !== 'checkbox').map(each => each.id)"
    )

    assert unnamed == []
    page.click("summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

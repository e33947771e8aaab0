"""The page as a reader has it: a gateway on a port of its own, opened in Chromium."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import uvicorn
from made_gateway import made_door, open_guards

from serving.door import Door, Doors
from serving.embed import embed_texts, load_embedder
from serving.index import build_index, open_index
from serving.ports import free_ports
from serving.routes import build_app
from serving.tool_matrix import ToolMatrix, read_matrix

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
Scheme = Literal["light", "dark"]


@contextmanager
def served(door: Door, tools: ToolMatrix | None = None) -> Iterator[str]:
    """A gateway on a port of its own."""
    doors, (port,) = Doors(), free_ports(1)
    doors.open(door, ExitStack())
    with open_guards() as guards:
        app = build_app(doors, replace(guards, tools=read_matrix() if tools is None else tools))
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/"
        server.should_exit = True
        thread.join(10)


@contextmanager
def searching_door(folder: Path, dataset: Path, encoder: Path) -> Iterator[Door]:
    """A door that searches for real: vectors of the base encoder in Milvus Lite, made-up engines else."""
    build_index(dataset, encoder, folder / "index")
    model = load_embedder(encoder)

    def embed(texts: Any) -> Any:
        return embed_texts(model, texts)

    with open_index(folder / "index") as index:
        yield replace(made_door(folder / "bundle", dataset), index=index, embed=embed, embed_afresh=embed)


@contextmanager
def opened_page(address: str, *, width: int = 390, scheme: Scheme = "light") -> Iterator[Any]:
    """The page in Chromium; whatever the browser complains of fails the test."""
    from playwright.sync_api import sync_playwright

    told: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        opened = context.new_page()
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

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


def tour(page: Any) -> Iterator[str]:
    """Open one view after another as a reviewer, each with all that it can show, and say its name."""
    yield "sign-in"
    enter(page, "reviewer")
    page.click("summary")
    page.wait_for_selector("#counted:not([hidden])")
    page.select_option("#label", "ordinary")
    page.fill("#question", "harbour lease")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")
    yield "search"
    page.locator(".hit").first.click()
    page.click("#assess")
    page.wait_for_selector("#finding article")
    yield "thread"
    page.click("[data-view=ask]")
    page.fill("#asked", "When does the lease of the warehouse end?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".citation")
    yield "ask"
    page.click("[data-view=reviews]")
    page.wait_for_selector("#releases article")
    page.click("#releases button")
    page.frame_locator("#report").locator("h1").wait_for()
    page.click("text=Read the worst errors")
    page.wait_for_selector("#errors article")
    yield "reviews"


# Text and placeholders with less than 4.5 : 1 against what is painted below them (WCAG 2.2, 1.4.3).
TOO_FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => {
    const [red, green, blue, alpha = 1] = parts(top);
    return [red, green, blue].map((part, place) => alpha * part + (1 - alpha) * below[place]);
  };
  const ground = (node) =>
    node ? over(getComputedStyle(node).backgroundColor, ground(node.parentElement)) : [255, 255, 255];
  const linear = (part) => part <= 10.31 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ratio = (colour, below) => {
    const [low, high] = [light(over(colour, below)), light(below)].sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  const hold = (node, pseudo, words) => {
    const measured = ratio(getComputedStyle(node, pseudo).color, ground(node));
    if (measured < 4.5) found.push(`${words.trim().slice(0, 40)}: ${measured.toFixed(2)}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement: node, data } = texts.currentNode;
    if (data.trim() && node.checkVisibility() && node.tagName !== "OPTION") hold(node, null, data);
  }
  for (const field of document.querySelectorAll("input, select")) {
    if (!field.checkVisibility()) continue;
    hold(field, null, field.id);
    if (field.placeholder) hold(field, "::placeholder", field.placeholder);
  }
  return found;
}"""
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility()
  && (each.getBoundingClientRect().right > innerWidth + 0.5 || each.getBoundingClientRect().left < -0.5)
  && !each.matches(".skip, .unseen")).map((each) => each.id || each.className || each.tagName)
  .concat(document.documentElement.scrollWidth > innerWidth ? ["page"] : [])"""

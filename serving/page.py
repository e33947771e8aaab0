"""The page for analysts and reviewers: a few files of the package, no build step, no outside address."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, HTTPException, Response

FOLDER = Path(__file__).with_name("pages")
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def add_page(app: FastAPI) -> None:
    """Serve the page; it needs no credential, as it shows nothing until its reader has one."""

    @app.get("/", include_in_schema=False)
    def index() -> Response:
        return _file("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    def part(name: str) -> Response:
        return _file(name)


def _file(name: str) -> Response:
    if name not in TYPES:
        raise HTTPException(404, "there is no such page")
    return Response((FOLDER / name).read_bytes(), media_type=TYPES[name])

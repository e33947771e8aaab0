"""The docs lead somewhere, and name whatever a user may say: commands, settings, recipes, reasons."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from data.schema import REASONS
from serving.canary import Canary
from serving.gateway import Settings
from serving.limits import Limits
from serving.placement import Placement
from serving.revealing import Reveals
from serving.tokens import Issuer
from training.recipe import ClassifierRecipe, EmbedderRecipe, GeneratorRecipe, LoraRecipe, Recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def lost(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for path, anchor in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{path}#{anchor}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    assert lost(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n[here](#a-page) [gone](gone.md) [nowhere](#nowhere)\n", encoding="utf-8")

    assert lost(page) == ["gone.md#", "#nowhere"]


@pytest.mark.slow
def test_the_page_of_commands_is_what_they_say_of_themselves(tmp_path: Path):
    typer = Path(sys.executable).with_name("typer")
    said = [str(typer), "pipelines.cli", "utils", "docs", "--name", "mailroom", "--output"]
    subprocess.run([*said, str(tmp_path / "commands.md")], cwd=ROOT, check=True, capture_output=True)

    page = ROOT / "docs" / "commands.md"
    assert (tmp_path / "commands.md").read_text() == page.read_text(), "changed on purpose? make golden"


@pytest.mark.parametrize(
    ("page", "stated"),
    [
        ("gateway.md", (Settings, Limits, Issuer, Placement, Canary, Reveals)),
        ("training.md", (Recipe, ClassifierRecipe, EmbedderRecipe, GeneratorRecipe, LoraRecipe)),
    ],
)
def test_every_key_that_a_file_may_have_is_on_its_page(page: str, stated: tuple[type[BaseModel], ...]):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")

    keys = {key for kind in stated for key in kind.model_fields}
    assert sorted(key for key in keys if not re.search(rf"\b{key}[`:]", text)) == []


def test_every_reason_of_a_reject_is_explained():
    text = (ROOT / "docs" / "data-contract.md").read_text(encoding="utf-8")

    assert [reason for reason, words in REASONS.items() if f"| `{reason}` | {words} |" not in text] == []

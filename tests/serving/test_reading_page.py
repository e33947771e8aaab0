"""The page in a real browser: by keyboard, in both schemes, and never taking mail for markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_dataset import LABELS, write_dataset
from made_decisions import decide
from made_gateway import HOSTILE, MadeIndex, made_door
from made_page import (
    CHROMIUM,
    TOO_FAINT,
    TOO_WIDE,
    Scheme,
    enter,
    opened_page,
    searching_door,
    served,
    tour,
)
from made_review import PENDING, propose_with_report

from data import feedback
from data.dataset import read_messages
from data.schema import TABLES
from serving.door import Door

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: chromium)"),
]


@pytest.fixture
def address(tmp_path: Path, workspace: Path, small_dataset: Path) -> Iterator[str]:
    """A gateway over made-up engines."""
    with served(made_door(tmp_path / "bundle", small_dataset)) as url:
        yield url


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    with opened_page(address) as page:
        yield page


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory, frozen_embedder: Path) -> Iterator[Door]:
    """Ninety messages of two channels, two languages and three labels, found by a real index."""
    folder = tmp_path_factory.mktemp("varied")
    dataset = write_dataset(folder / "data", channels=("email", "chat"), languages=("en", "en", "en", "de"))
    with searching_door(folder, dataset, frozen_embedder) as door:
        yield door


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


def test_limits_of_the_search_are_shown_beside_a_question_and_can_be_cleared(varied: Door, workspace: Path):
    with served(varied) as address, opened_page(address) as page:
        enter(page, "analyst")
        page.click("summary")
        page.check("#channels input[value=chat]")  # what is said of the lease stands in e-mail alone
        page.click("[data-view=ask]")
        assert page.inner_text("#ask .limits span") == "Limited to channel chat"
        page.fill("#asked", "When does the lease of the harbour warehouse end?")
        page.keyboard.press("Enter")
        page.wait_for_selector("#answer article")

        assert "Limited to channel chat" in page.inner_text("#answer")
        assert page.locator(".citation").count() == 0
        page.click("#ask .limits button")
        assert page.is_hidden("#ask .limits")
        page.keyboard.press("Enter")  # the question has the focus again
        page.wait_for_selector(".citation")
        assert "Limited" not in page.inner_text("#answer")


def test_a_facet_counts_what_the_reader_may_see_and_narrows_the_results(varied: Door, workspace: Path):
    with served(varied) as address, opened_page(address) as page:
        enter(page, "analyst")
        page.click("summary")
        page.wait_for_selector("#counted:not([hidden])")
        page.fill("#question", "the note of the file")
        page.keyboard.press("Enter")
        page.wait_for_selector(".hit")

        assert ["email (50)", "chat (40)"] == page.locator("#channels label").all_inner_texts()
        assert ["any", "English (70)", "German (20)"] == page.locator("#language option").all_inner_texts()
        labels = ["any", "insider information (30)", "off channel (30)", "ordinary (30)"]
        assert labels == sorted(page.locator("#label option").all_inner_texts())
        assert {"chat", "email"} == found_channels(page)
        page.select_option("#language", "de")
        page.check("#channels input[value=chat]")
        page.select_option("#label", "off_channel")
        rows = read_messages(varied.archive.folder).to_pylist()  # type: ignore[union-attr]
        limits = {"channel": "chat", "language": "de", "label": "off_channel"}
        page.wait_for_selector(
            f"#channels label:has-text('email ({left_of(rows, limits, channel='email')})')"
        )
        page.wait_for_selector(f"#channels label:has-text('chat ({left_of(rows, limits)})')")
        for name, language in {"English": "en", "German": "de"}.items():
            counted = f"{name} ({left_of(rows, limits, language=language)})"
            assert counted in page.locator("#language option").all_inner_texts()
        for label in LABELS:
            counted = f"{label.replace('_', ' ')} ({left_of(rows, limits, label=label)})"
            assert counted in page.locator("#label option").all_inner_texts(), (
                "what is left out stays, with 0"
            )
        assert ("de", "off_channel") == (page.input_value("#language"), page.input_value("#label"))
        page.press("#question", "Enter")
        page.wait_for_selector("#status:has-text('10 passages')")
        assert {"chat"} == found_channels(page)
        said = "Limited to channel chat · language German · label off channel"
        assert said == page.inner_text("#search .limits span")
        page.click("#search .limits button")
        page.wait_for_selector("#channels label:has-text('email (50)')")


def left_of(rows: list[dict[str, Any]], limits: dict[str, str], **other: str) -> int:
    """Count the messages within the limits, one of them another."""
    return sum(all(row[name] == value for name, value in (limits | other).items()) for row in rows)


def found_channels(page: Any) -> set[str]:
    return {facts.split(" · ")[0] for facts in page.locator(".hit .facts").all_inner_texts()}


def test_who_may_not_count_limits_the_language_in_free_text(door: Door):
    asked: list[str] = []
    with served(door, tools={"search": ("analyst",)}) as address, opened_page(address) as page:
        page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
        enter(page, "analyst")
        with page.expect_response("**/v1/tools"):
            page.click("summary")
        page.fill("#language", "de")

        with page.expect_request("**/v1/search") as request:
            page.fill("#question", "harbour lease")
            page.keyboard.press("Enter")
        assert {"languages": ["de"]} == request.value.post_data_json["filters"]
        assert ["any", "ordinary", "off channel"] == page.locator("#label option").all_inner_texts()
        assert "v1/tools/statistics" not in asked


def test_a_verdict_with_its_reason_is_recorded_by_keyboard_alone(page: Any):
    enter(page, "reviewer")
    page.keyboard.type("harbour lease")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")
    for key in ("Escape", "j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#messages article:focus")
    shown = page.locator(":focus").get_attribute("id").removeprefix("m-")
    page.keyboard.press("Tab")
    page.keyboard.type("off")
    page.keyboard.press("Tab")
    page.keyboard.type("a call was asked for")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('Recorded')")

    (event,) = feedback.read().events
    assert (shown, "off_channel", "a call was asked for") == (
        event.record.message_id, event.record.label, event.record.reason
    )  # fmt: skip
    assert "reviewer" == event.reviewer


def test_a_release_that_waits_opens_its_report(page: Any, tmp_path: Path):
    propose_with_report(tmp_path / "evaluation")  # rejected by the gate: nobody can approve it
    decide("proposed", "ba9876543210", outcome="hold")
    enter(page, "reviewer")
    page.click("[data-view=reviews]")
    page.click("#releases button:visible")

    releases = ["ba9876543210 · pending", f"{PENDING} · pending"]
    assert releases == page.locator("#releases h2").all_inner_texts()
    ways = [each.split(" --")[0] for each in page.locator("#releases code").all_inner_texts()]
    assert ways == [
        "mailroom review approve ba9876543210",
        "mailroom review reject ba9876543210",
        f"mailroom review reject {PENDING}",
    ]
    assert "−0.075 [−0.128, −0.019]" in page.inner_text("#releases")
    report = page.frame_locator("#report")
    assert "FAIL" in report.locator("h1").inner_text()
    assert report.locator("table").count() > 10


def test_the_worst_errors_of_a_release_are_read_beside_its_report(page: Any, tmp_path: Path):
    dataset = write_dataset(tmp_path / "judged", copies=2)
    part = dataset / "messages" / "part-0.parquet"
    rows = pq.read_table(part).to_pylist()
    rows[0] |= {"subject": "<b>Bold</b> \U0001f600", "text": "<img src=x> pays \u202enow. More of it."}
    pq.write_table(pa.Table.from_pylist(rows, TABLES["messages"]), part)
    propose_with_report(tmp_path / "evaluation", dataset)
    enter(page, "reviewer")
    page.click("[data-view=reviews]")
    page.click("text=Read the worst errors")
    page.wait_for_selector("#errors article")

    assert len(rows) == page.locator("#errors article").count()
    first = page.locator("#errors article", has_text="Bold")
    assert (
        "<b>Bold</b> \U0001f600\n<img src=x> pays \ufffdnow. More of it." == first.locator("pre").inner_text()
    )
    assert "<img src=x> pays \ufffdnow." == first.locator("mark").inner_text()
    assert "<img" == first.locator("mark u").inner_text()
    assert "missed critical class · truly off channel, answered ordinary" in first.inner_text()
    page.click("[data-view=reviews]")
    page.wait_for_selector("#errors article", state="detached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_legible_in_both_schemes_and_no_wider_than_its_window(
    address: str, tmp_path: Path, small_dataset: Path, scheme: Scheme
):
    propose_with_report(tmp_path / "evaluation", small_dataset)
    seen = []
    with opened_page(address, scheme=scheme) as page:
        assert page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        for view in tour(page):
            for width in (390, 1400):
                page.set_viewport_size({"width": width, "height": 844})
                assert [] == page.evaluate(TOO_FAINT), (view, width)
                assert [] == page.evaluate(TOO_WIDE), (view, width)
            seen.append(view)

    assert ["sign-in", "search", "thread", "ask", "reviews"] == seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_legible_in_both_schemes_and_fits_its_pane(
    tmp_path: Path, workspace: Path, scheme: Scheme
):
    report = propose_with_report(tmp_path / "evaluation")
    with opened_page(report.as_uri(), width=540, scheme=scheme) as page:
        assert [] == page.evaluate(TOO_FAINT)
        assert [] == page.evaluate(TOO_WIDE)
        drawn = page.locator("svg.plot").evaluate_all("all => all.map(each => each.clientWidth)")

    assert len(drawn) == 3
    assert min(drawn) >= 300  # smaller, and the writing on the axes cannot be read


def test_a_long_thread_is_shown_in_parts(tmp_path: Path, workspace: Path):
    dataset = write_dataset(tmp_path / "long", copies=30)  # 270 messages, of which 230 become one thread
    part = dataset / "messages" / "part-0.parquet"
    rows = pq.read_table(part).to_pylist()
    found = MadeIndex(dataset).hits[0].thread_id
    rows = [row | {"thread_id": found} for row in rows[:230]] + rows[230:]
    pq.write_table(pa.Table.from_pylist(rows, TABLES["messages"]), part)
    with served(made_door(tmp_path / "bundle", dataset)) as address, opened_page(address) as page:
        enter(page, "analyst")
        page.fill("#question", "when does the lease end?")
        page.keyboard.press("Enter")
        page.wait_for_selector(".hit")
        assert {"lease", "end"} == {mark.lower() for mark in page.locator("#hits mark").all_inner_texts()}

        page.locator(".hit").first.click()
        page.wait_for_selector("#older:not([hidden])")
        counts = [page.locator("#messages article").count()]
        for text in ("Show older messages: 130 more", "Show older messages: 30 more"):
            assert page.inner_text("#older") == text
            page.click("#older")
            page.locator("#messages article").nth(counts[-1]).wait_for()
            counts.append(page.locator("#messages article").count())

        assert [100, 200, 230] == counts
        assert page.locator("#older").is_hidden()
        ids = page.locator("#messages article").evaluate_all("all => all.map(each => each.id)")
        assert len(set(ids)) == 230


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


def test_every_field_has_a_name(page: Any):
    enter(page, "reviewer")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(each => !each.labels?.length"
        " && !each.ariaLabel && !each.textContent.trim() && each.type !== 'checkbox').map(each => each.id)"
    )

    assert unnamed == []

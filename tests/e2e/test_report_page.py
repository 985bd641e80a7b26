"""The cost report's page as a reader has it: in a real Chromium, served with the headers that functions answer with."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped] # it has no types
from playwright.sync_api import Browser, Page, ViewportSize

from common.costs.ledger import add
from common.database.engine import create_engine_for
from functions.cost_report.models import Report
from functions.cost_report.page import render
from tests.databases import database_in
from tests.emulators import emulator
from tests.ledgers import entry
from tests.report_pages import (
    DESKTOP,
    PHONE,
    SAMPLES,
    chromium,
    exact_figures,
    figures_of,
    rows,
    served,
    watched,
)
from tests.sample_reports import HOSTILE
from tests.servers import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.servers]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NONE_DRAWN = "data:,"
DRAWN = "() => [...document.querySelectorAll('canvas')].map((one) => one.toDataURL())"
INK = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
WIDER = """() => [...document.querySelectorAll("body *")].filter((one) => !one.closest(".scroll, .plot, .skip"))
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def reports() -> Mapping[str, Report]:
    return {name: make() for name, make in SAMPLES.items()}


@pytest.fixture(scope="module")
def url(reports: Mapping[str, Report]) -> Iterator[str]:
    with served(reports) as at:
        yield at


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_is_quiet_asks_for_nothing_else_and_runs_no_text_of_anybody(
    browser: Browser, url: str, name: str
) -> None:
    with watched(browser) as one:
        page = one.open(f"{url}/{name}")
        assert one.complaints(f"{url}/{name}") == []
        assert page.evaluate("[window.hostile, document.querySelectorAll('img').length]") == [None, 0]
        assert page.locator("canvas").count() == (0 if name in {"empty", "today"} else 2)


@pytest.mark.parametrize("name", ["rich", "hostile"])
def test_an_archived_page_is_the_same_without_headers_and_refuses_other_scripts(
    browser: Browser, reports: Mapping[str, Report], tmp_path: Path, name: str
) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(render(reports[name], nonce=None))
    with watched(browser) as one:
        page = one.open(file.as_uri())
        assert one.complaints(file.as_uri()) == []
        assert page.locator("canvas").count() == 2
        added = (
            "const one = document.createElement('script'); one.text = 'window.hostile = 1'; document.body.append(one)"
        )
        page.evaluate(added)
        assert page.evaluate("[window.hostile, window.violations]") == [None, ["script-src-elem"]]


def test_each_figure_of_the_report_stands_exactly_on_the_page(
    browser: Browser, url: str, reports: Mapping[str, Report]
) -> None:
    report = reports["rich"]
    with watched(browser) as one:
        page = one.open(f"{url}/rich")
        shown = set(exact_figures(page))
        assert figures_of(report) - shown == set()
        derived = shown - figures_of(report)
        assert {one for one in derived if not one.startswith(("57.8", "24.8", "12.2", "4.7", "0.39"))} == {"2.5"}
        days = json.loads(report.model_dump_json())["days"]
        assert [row[:6] for row in rows(page, "days") if row[1]] == [_as_row(day) for day in days]
        groups = [(row[0], row[1]) for row in rows(page, "model-groups")]
        assert groups == [(group.key, f"{group.cost_usd:f}") for group in report.by["model"]]


def _as_row(day: dict[str, Any]) -> list[str]:
    counts = [f"{day[name]:,}" for name in ("calls", "unpriced_calls", "answers")]
    return [day["day"], day["cost_usd"], day["cloud_cost_usd"] or "not known", *counts]


@pytest.mark.parametrize("name", ["rich", "year"])
def test_the_charts_draw_what_the_table_says(
    browser: Browser, url: str, reports: Mapping[str, Report], name: str
) -> None:
    with watched(browser) as one:
        page = one.open(f"{url}/{name}")
        drawn = json.loads(page.locator("#chart-data").text_content() or "")
        assert [[row[0], row[1] or ""] for row in drawn["rows"]] == [row[:2] for row in rows(page, "days")]
        assert all(picture != NONE_DRAWN and len(picture) > 5_000 for picture in page.evaluate(DRAWN))


def test_without_javascript_the_tables_say_all_of_it(browser: Browser, url: str, reports: Mapping[str, Report]) -> None:
    report = reports["rich"]
    with watched(browser, java_script_enabled=False) as one:
        one.page.goto(f"{url}/rich")
        assert one.page.locator("figure:visible").count() == 0
        assert one.page.locator("table:visible").count() == 13
        assert one.page.get_by_text("Savings", exact=True).first.is_visible()
        cost = one.page.locator("#days tbody tr").first.locator("data").first
        assert cost.get_attribute("value") == f"{report.days[0].cost_usd:f}"


@pytest.mark.parametrize(("name", "size"), [("rich", DESKTOP), ("empty", PHONE)])
def test_axe_finds_nothing_grave_in_light_and_dark(browser: Browser, url: str, name: str, size: ViewportSize) -> None:
    with watched(browser, viewport=size) as one:
        page = one.open(f"{url}/{name}")
        page.evaluate(AXE_SCRIPT)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            assert [(entry["id"], [node["html"] for node in entry["nodes"]]) for entry in found] == []


def test_the_keyboard_reaches_all_that_can_be_used(browser: Browser, url: str) -> None:
    with watched(browser, viewport=PHONE) as one:
        page = one.open(f"{url}/rich")
        page.keyboard.press("Tab")
        assert _focused(page) == "Skip to the report"
        assert page.locator(".skip").evaluate("one => one.getBoundingClientRect().top >= 0")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = []
        while (now := _next_stop(page)) is not None:
            reached.append(now)
        wanted = page.evaluate(
            "[...document.querySelectorAll('.plot, .scroll')].filter((one) => one.matches('.plot') ||"
            " one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight)"
            ".map((one) => one.getAttribute('aria-labelledby'))"
        )
        assert reached == wanted
        assert len(wanted) > 8


def test_a_focused_part_shows_it_and_a_wide_table_scrolls_by_key(browser: Browser, url: str) -> None:
    with watched(browser, viewport=PHONE) as one:
        page = one.open(f"{url}/rich")
        region = page.locator(".scroll:has(#model-groups)")
        region.focus()
        page.keyboard.press("ArrowRight")
        wait_for(lambda: region.evaluate("one => one.scrollLeft > 0"), "the table moves")
        assert region.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"


def test_a_chart_is_read_by_arrow_keys(browser: Browser, url: str) -> None:
    with watched(browser) as one:
        page = one.open(f"{url}/rich")
        page.locator("#daily").focus()
        page.keyboard.press("Home")
        assert page.locator("#daily-readout").text_content() == "Sun, Nov 1, 2026: $0.84"
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert page.locator("#daily-readout").text_content() == "Wed, Nov 4, 2026: $0.000123"
        page.keyboard.press("End")
        assert "expected $3.68, from $2.61 to $5.08" in (page.locator("#daily-readout").text_content() or "")
        page.locator("#summed").focus()
        page.keyboard.press("End")
        assert page.locator("#summed-readout").text_content() == (
            "Mon, Nov 30, 2026: expected $90.00; from $86.41 to $94.36 at the end"
        )


@pytest.mark.parametrize("name", SAMPLES)
def test_a_phone_never_scrolls_the_page_sideways(browser: Browser, url: str, name: str) -> None:
    with watched(browser, viewport=PHONE, has_touch=True, is_mobile=True) as one:
        page = one.open(f"{url}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert page.evaluate(WIDER) == []


def test_charts_follow_the_readers_colours_and_the_windows_width(browser: Browser, url: str) -> None:
    with watched(browser, color_scheme="light") as one:
        page = one.open(f"{url}/rich")
        light = page.evaluate(DRAWN)
        page.emulate_media(color_scheme="dark")
        wait_for(lambda: not set(page.evaluate(DRAWN)) & set(light), "the charts are drawn in other colours")
        page.set_viewport_size(PHONE)
        fits = "document.querySelector('canvas').getBoundingClientRect().right <= innerWidth"
        wait_for(lambda: page.evaluate(fits), "the charts become narrower")


def test_printed_it_is_light_and_whole(browser: Browser, url: str, tmp_path: Path) -> None:
    with watched(browser, color_scheme="dark", viewport={"width": 720, "height": 1000}) as one:
        page = one.open(f"{url}/rich")
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = [{INK}, ({DRAWN})()]; }})")
        before = page.evaluate(DRAWN)
        assert page.pdf(format="Letter").startswith(b"%PDF")
        ink, printed = page.evaluate("window.printed")
        assert ink == "#181d23"
        assert all(picture not in before and len(picture) > 5_000 for picture in printed)
        wait_for(lambda: page.evaluate(DRAWN) == before, "the charts are drawn as before")
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        cut = (
            "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollHeight > one.clientHeight + 1).length"
        )
        assert page.evaluate(cut) == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 720
        assert page.locator("nav:visible").count() == 0


def test_nothing_moves_for_those_who_ask_for_that(browser: Browser, url: str) -> None:
    for preference, behaviour in (("no-preference", "smooth"), ("reduce", "auto")):
        with watched(browser, reduced_motion=preference) as one:
            page = one.open(f"{url}/empty")
            assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour


def test_the_emulator_answers_with_the_page_and_its_figures_are_those_of_the_json(
    browser: Browser, tmp_path: Path
) -> None:
    _spend(tmp_path / "data", HOSTILE[0])
    with emulator(tmp_path) as running:
        address = f"{running.url}/api/cost-report?period=last-month&group_by=agent&format="
        report = Report.model_validate_json(httpx.get(f"{address}json", timeout=30).raise_for_status().content)
        assert report.totals.cost_usd == Decimal("2.000123")
        with watched(browser) as one:
            page = one.open(f"{address}html")
            assert one.complaints(f"{address}html") == []
            assert page.evaluate("window.hostile") is None
            assert figures_of(report) - set(exact_figures(page)) == set()
            assert [row[1] for row in rows(page, "days")] == [f"{day.cost_usd:f}" for day in report.days]
            assert [row[:2] for row in rows(page, "agent-groups")] == [["knowledge", "2"], [HOSTILE[0], "0.000123"]]
            page.get_by_role("link", name="step", exact=True).click()
            page.wait_for_url("**group_by=step**")
            assert page.get_by_role("link", name="step", exact=True).get_attribute("aria-current") == "true"


def _spend(data: Path, agent: str) -> None:
    """A ledger that begins last month, with an agent of that name."""
    last_month = datetime.now(UTC).replace(day=1, hour=12) - timedelta(days=3)
    engine = create_engine_for(f"sqlite:///{database_in(data)}")
    with engine.begin() as connection:
        add(connection, [entry(last_month, "2"), entry(last_month - timedelta(days=2), "0.000123", agent=agent)])
    engine.dispose()


def _focused(page: Page) -> str:
    text: str = page.evaluate("document.activeElement.textContent.trim()")
    return text


def _next_stop(page: Page) -> str | None:
    """What one more Tab reaches, by what names it; None at the end of the page."""
    page.keyboard.press("Tab")
    name: str | None = page.evaluate("document.activeElement.getAttribute('aria-labelledby')")
    return name

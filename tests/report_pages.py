"""The cost report's page in a real Chromium: served with the headers it is served with, and watched while it is read.

.venv/bin/python -m tests.report_pages FOLDER   # screenshots and prints of the sample reports, to be looked at
"""

import json
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flask
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from common.security.headers import dress
from functions.cost_report.models import Report
from functions.cost_report.page import render
from tests import sample_reports
from tests.servers import LOOPBACK, installed

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SAMPLES = {
    "rich": sample_reports.rich,
    "empty": sample_reports.empty,
    "today": sample_reports.today,
    "hostile": sample_reports.hostile,
    "year": sample_reports.year,
}
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_TELL_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@dataclass
class Watched:
    """A page in the browser, and what it did that it should not do: errors, warnings, requests beside its own."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, url: str) -> Page:
        """Go to `url` and wait until all of it has been read and drawn."""
        self.page.goto(url)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.page

    def complaints(self, url: str) -> list[str]:
        """Everything that a quiet page at `url` does not do."""
        violations = [f"violates {one}" for one in self.page.evaluate("window.violations")]
        others = [f"asks for {one}" for one in self.requests if one != url]
        return self.messages + violations + others


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium of its own, without a window, that is gone at the end of the block."""
    command = installed("chromium", "google-chrome", package="chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Watched]:  # Any: as Playwright's new_context takes them
    """A fresh page of `browser`; it may ask nobody but this machine."""
    context: BrowserContext = browser.new_context(**({"viewport": DESKTOP} | options))
    context.set_default_timeout(30_000)  # ms, on a machine that does much else beside
    context.add_init_script(_TELL_VIOLATIONS)
    one = Watched(page=context.new_page())
    one.page.on("console", lambda message: one.messages.append(f"{message.type}: {message.text}"))
    one.page.on("pageerror", lambda error: one.messages.append(f"raised: {error}"))
    one.page.on("request", lambda request: one.requests.append(request.url))
    try:
        yield one
    finally:
        context.close()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing: a browser drops connections that it does not need, which is no error."""


@contextmanager
def served(reports: Mapping[str, Report]) -> Iterator[str]:
    """The URL of a server of `reports` by their name, each answer with the headers that functions answer with."""
    app = flask.Flask(__name__)

    @app.get("/<name>")
    def page(name: str) -> flask.Response:
        nonce = secrets.token_urlsafe(16)
        response = flask.Response(render(reports[name], nonce=nonce), mimetype="text/html")
        dress(flask.request, response, nonce=nonce)
        return response

    server = make_server(LOOPBACK, 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def exact_figures(page: Page) -> list[str]:
    """The exact figures on the page, in its order."""
    values: list[str] = page.eval_on_selector_all("data[value]", "all => all.map((one) => one.value)")
    return values


def rows(page: Page, table: str) -> list[list[str]]:
    """The cells of a table's body: the exact figure of those that have one, else their text."""
    cells: list[list[str]] = page.eval_on_selector_all(
        f"#{table} tbody tr",
        "rows => rows.map((row) => [...row.cells].map((cell) => (cell.querySelector('data') ?? {}).value"
        " ?? cell.textContent.trim()))",
    )
    return cells


def figures_of(report: Report) -> set[str]:
    """Every amount and every share of `report`, as its JSON has them."""
    return set(_figures(json.loads(report.model_dump_json(), parse_float=str), ""))


def _figures(value: Any, name: str) -> Iterator[str]:  # Any: JSON
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _figures(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _figures(inner, name)
    elif isinstance(value, str) and ("usd" in name or name.endswith(("_percent", "_days", "_saved"))):
        yield value


def main(folder: Path) -> None:
    """Write pictures of every sample report, on a desk and on a phone, light and dark, and printed."""
    folder.mkdir(parents=True, exist_ok=True)
    reports = {name: make() for name, make in SAMPLES.items()}
    with served(reports) as url, chromium() as browser:
        for name in reports:
            for scheme in ("light", "dark"):
                for size in (DESKTOP, PHONE):
                    with watched(browser, viewport=size, color_scheme=scheme) as one:
                        page = one.open(f"{url}/{name}")
                        page.screenshot(path=folder / f"{name}-{scheme}-{size['width']}.png", full_page=True)
            with watched(browser, color_scheme="dark") as one:
                one.open(f"{url}/{name}").pdf(path=folder / f"{name}.pdf", format="Letter", print_background=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="report-pages-")))

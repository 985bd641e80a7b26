"""The report's page as text: escaped, exact, small, and on its own."""

import base64
import hashlib
import itertools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from common.security.headers import page_policy
from functions.cost_report.models import Report
from functions.cost_report.page import render
from tests import sample_reports

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "functions" / "cost_report"
LIBRARY = FOLDER / "vendor" / "uplot"
NONCE = "c29tZSBub25jZQ"
MOST_BYTES = 275_000  # of the 300,000 that are promised: findings can be wordier than these
VOID = {"meta", "link", "br", "img", "rect", "path"}


class Page(HTMLParser):
    """What stands in a page: its elements with their attributes, the text of its blocks, and its plain text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[tuple[str, dict[str, str | None], str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            tag, attributes = self.elements[-1]
            self.blocks.append((tag, attributes, data))
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(params=["rich", "empty", "today", "hostile", "year"])
def report(request: pytest.FixtureRequest) -> Report:
    made: Report = getattr(sample_reports, request.param)()
    return made


def served(report: Report) -> Page:
    return Page(render(report, nonce=NONCE))


def archived(report: Report) -> Page:
    return Page(render(report, nonce=None))


def test_every_element_is_closed_and_every_id_is_there_once(report: Report) -> None:
    page = served(report)
    assert page.open == []
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [one for one, times in ids.items() if times > 1] == []
    named = {
        attributes.get(name) for _, attributes in page.elements for name in ("aria-labelledby", "aria-describedby")
    }
    assert named - {None} <= set(ids)
    anchors = {(one["href"] or "").removeprefix("#") for one in page.all("a") if (one["href"] or "").startswith("#")}
    assert anchors <= set(ids)


def test_nothing_is_in_the_page_that_its_policy_would_block(report: Report) -> None:
    for page in (served(report), archived(report)):
        for _, attributes in page.elements:
            assert [name for name in attributes if name == "style" or name.startswith("on")] == []
        assert [one for tag in ("img", "iframe", "object", "form", "base") for one in page.all(tag)] == []
        assert page.all("link") == [{"rel": "icon", "href": "data:,"}]
    for _, _, block in served(report).blocks:
        assert re.search(r"\beval\(|\bnew Function\b", block) is None


def test_a_served_page_carries_the_nonce_of_its_policy(report: Report) -> None:
    page = served(report)
    assert f"'nonce-{NONCE}'" in page_policy(NONCE)
    assert {attributes.get("nonce") for attributes in (*page.all("script"), *page.all("style"))} == {NONCE}
    assert [one for one in page.all("meta") if "http-equiv" in one] == []


def test_an_archived_page_states_a_policy_with_the_hashes_of_its_blocks(report: Report) -> None:
    page = archived(report)
    (policy,) = (one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    directives = {name: rest for name, _, rest in (one.partition(" ") for one in policy.split("; "))}
    assert directives["default-src"] == "'none'"
    for tag, attributes, block in page.blocks:
        assert "nonce" not in attributes
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in directives[f"{tag}-src"].split(" ")
    where = [name for name, attributes in page.elements if name == "style" or attributes.get("http-equiv")]
    assert where == ["meta", "style"]


def test_texts_of_somebody_else_are_only_text() -> None:
    plain, page = served(sample_reports.rich()), served(sample_reports.hostile())
    for text in sample_reports.HOSTILE[:-1]:
        assert text in page.text
    for tag in ("script", "style", "img"):
        assert len(page.all(tag)) == len(plain.all(tag))
    assert "49" not in [line.strip() for line in page.text.splitlines()]  # of {{ 7 * 7 }}
    assert all(href.startswith(("#", "?")) for one in page.all("a") if (href := one["href"] or ""))


def test_the_charts_data_cannot_end_its_block() -> None:
    report = sample_reports.hostile()
    (block,) = (data for _, attributes, data in served(report).blocks if attributes.get("id") == "chart-data")
    assert re.search("[<>&\u2028\u2029]", block) is None
    assert [row[:2] for row in json.loads(block)["rows"][:2]] == [["2026-11-01", "0.84012"], ["2026-11-02", "3.60787"]]


def test_a_long_question_is_cut() -> None:
    question = sample_reports.HOSTILE[-1]
    report = sample_reports.rich()
    top = report.top_questions[0].model_copy(update={"question": question})
    page = served(report.model_copy(update={"top_questions": [top]}))
    assert question[:250] in page.text
    assert question[:400] not in page.text


def test_every_figure_stands_exactly_in_the_page() -> None:
    report = sample_reports.rich()
    values = [one["value"] for one in served(report).all("data")]
    amounts = [report.totals.cost_usd, report.totals.lost_usd_at_most, report.roi.cases[0].net_usd]
    amounts += [day.cost_usd for day in report.days] + [group.cost_usd for group in report.by["route"]]
    amounts += [finding.usd_per_month for finding in report.savings.findings]
    assert [amount for amount in amounts if f"{amount:f}" not in values] == []


def test_what_is_not_known_is_said_and_never_zero() -> None:
    report = sample_reports.rich()
    no_answers = {"usd_per_answer": None, "usd_per_1000_answers": None, "cached_share_percent": None}
    totals = report.totals.model_copy(update=no_answers | {"cloud_cost_usd": None})
    case = report.roi.cases[0].model_copy(update={"roi_percent": None, "payback_days": None})
    roi = report.roi.model_copy(update={"cases": [case]})
    text = served(report.model_copy(update={"totals": totals, "roi": roi})).text
    for words in ("no answers", "no input", "no billing export is given", "no costs", "never"):
        assert words in text
    assert "No words: deleted since, or left out of an archive" in text


def test_calls_that_are_in_no_sum_are_said() -> None:
    text = served(sample_reports.rich()).text
    assert "12 unpriced calls" in text
    assert "3 lost calls" in text
    assert "They may have cost $0.0369 at most" in text
    assert "Every call has its price, and none was lost." not in text


def test_an_empty_ledger_gives_a_friendly_page() -> None:
    page = served(sample_reports.empty())
    assert "Nothing was spent in this period" in page.text
    assert "No budget is set" in page.text
    assert "has not been searched for savings yet" in page.text
    assert page.all("script") == []


def test_a_single_day_is_a_table_without_a_chart() -> None:
    page = served(sample_reports.today())
    assert page.all("figure") == []
    assert "2026-11-21" in page.text


def test_the_page_stays_below_its_size_however_long_the_lists() -> None:
    for report in (sample_reports.year(), sample_reports.year(1_096), sample_reports.year_ahead()):
        assert len(render(report, nonce=NONCE)) < MOST_BYTES


def test_what_was_left_out_is_said() -> None:
    text = served(sample_reports.year(1_096)).text
    assert "The 730 days before cost $" in text
    assert "1,985 more together" in text
    assert text.count("more are in the report as JSON") == 4


def test_no_address_beyond_the_page_stands_in_it(report: Report) -> None:
    library = (LIBRARY / "uPlot.iife.min.js").read_text()
    page = render(report, nonce=None).decode().replace(library, "")
    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+|url\(|@import", page) == []
    for _, attributes in served(report).elements:
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "?", "data:,"))


def test_a_served_page_links_to_its_other_forms_and_groups() -> None:
    links = [one["href"] for one in served(sample_reports.rich()).all("a")]
    assert "?period=2026-11&group_by=principal&format=csv&tenant=acme" in links
    assert "?period=2026-11&group_by=model&format=html&tenant=acme" in links
    assert "?period=7d&group_by=principal&format=json" in [
        one["href"] for one in served(sample_reports.empty()).all("a")
    ]
    assert [one["href"] for one in archived(sample_reports.rich()).all("a") if "?" in (one["href"] or "")] == []


def test_tables_have_captions_and_their_headers_a_scope(report: Report) -> None:
    page = served(report)
    assert len(page.all("caption")) == len(page.all("table"))
    assert {one.get("scope") for one in page.all("th")} <= {"row", "col"}
    headings = [name for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert headings[0] == "h1"
    assert all(int(then[1]) - int(one[1]) <= 1 for one, then in itertools.pairwise(headings))


def test_the_notice_names_the_chart_librarys_files_as_they_are() -> None:
    notice = (LIBRARY / "NOTICE").read_text().partition("files in this folder")[2]
    listed = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", notice, re.MULTILINE)}
    assert listed == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in LIBRARY.iterdir() if path.name != "NOTICE"
    }
    assert "</script" not in (LIBRARY / "uPlot.iife.min.js").read_text()


def test_the_library_goes_along_with_its_licence() -> None:
    (library,) = (block for _, _, block in served(sample_reports.rich()).blocks if "var uPlot=" in block)
    assert (LIBRARY / "LICENSE").read_text() in library


def test_the_installed_package_has_the_pages_files() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    assert [path.name for path in _files() if not any(path.match(pattern) for pattern in data)] == []


def _files() -> Iterator[Path]:
    yield from (FOLDER / "templates").iterdir()
    yield from (path for path in LIBRARY.iterdir() if path.name != "NOTICE")

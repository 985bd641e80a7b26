"""The notice of a report: a few lines, and a link that a person can open."""

from datetime import date
from decimal import Decimal

import pytest

from functions.cost_report.costs import LedgerDay
from functions.cost_report.models import Report
from functions.cost_report.notice import notice_of
from tests import sample_reports

BEFORE = LedgerDay(
    day=date(2026, 11, 27), tenant="acme", principal="key:a", agent="knowledge", step="draft", route="POST /api/query",
    lane="default", provider="gemini", model="flash", calls=1, unpriced_calls=0, lost_calls=0, lost_usd=Decimal(0),
    input_tokens=1, cached_input_tokens=0, output_tokens=0, thinking_tokens=0, tool_tokens=0, cost_usd=Decimal(2),
)  # fmt: skip


def link_of(report: Report, place: str) -> str | None:
    files = {"reports/all/2026-11.json": "elsewhere", "reports/all/2026-11.html": place}
    return notice_of(report, [], [], key="2026-11", files=files).link


def test_it_says_what_stands_out() -> None:
    report = sample_reports.rich()
    notice = notice_of(report, [], [BEFORE], key="2026-11 acme", files={"a.html": "/srv/a.html"})
    said = "\n".join(notice.lines)
    assert (notice.key, notice.kind) == ("report:2026-11 acme", "report")
    assert notice.subject.startswith(f"Cost report {report.period.label}, {report.tenant}: ")
    assert "2.00 USD in the period before." in said
    assert "- model flash: 2.00 USD less, 0.00 USD after 2.00 USD" in said
    assert f"Calls whose cost is not known, and in no sum: {report.totals.unpriced_calls:,}." in said
    assert said.count("Unusual: ") == min(3, len(report.anomalies)) > 0
    assert f"Could be saved: {report.savings.findings[0].usd_per_month:,.2f} USD a month." in said
    assert all(one.question not in said for one in report.top_questions if one.question)


def test_the_clouds_bill_stands_in_it_where_it_is_known() -> None:
    report = sample_reports.rich()
    totals = report.totals.model_copy(update={"cloud_cost_usd": Decimal("7.25")})
    notice = notice_of(report.model_copy(update={"totals": totals}), [], [], key="k", files={"a.html": "/a.html"})
    assert "The cloud's bill: 7.25 USD." in notice.lines
    assert "Nothing changed against the period before." in notice.lines


@pytest.mark.parametrize(
    ("place", "link"),
    [
        ("/srv/archive/a.html", "/srv/archive/a.html"),
        ("s3://bucket/a.html", "s3://bucket/a.html"),
        ("gs://bucket/costs/a.html", "https://storage.cloud.google.com/bucket/costs/a.html"),
        ("/" + "x" * 2_048, None),
    ],
)
def test_the_link_is_where_a_person_finds_the_page(place: str, link: str | None) -> None:
    assert link_of(sample_reports.rich(), place) == link

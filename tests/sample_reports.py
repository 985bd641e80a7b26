"""Cost reports to be shown: one with everything in it, an empty one, one of a day, with hostile texts, over a year.

Their sums fit: days, groups of each dimension and models add up to the totals.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from functions.cost_report.models import (
    DIMENSIONS,
    Anomaly,
    Assumption,
    BudgetState,
    Day,
    Dimension,
    Finding,
    Forecast,
    ForecastDay,
    Group,
    Period,
    Report,
    Roi,
    RoiCase,
    Savings,
    Tokens,
    TopQuestion,
    Totals,
)

NOW = datetime(2026, 11, 21, 14, 5, 9, tzinfo=UTC)
HOSTILE = (
    "</script><script>window.hostile = 1</script>",
    '"><img src=x onerror="window.hostile = 1">',
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:window.hostile=1//",
    "<!--<script>window.hostile = 1",
    "\u2028\u2029\u202eright to left\u2066",
    "</style><style>body{display:none}</style>",
    "=HYPERLINK(1)" + "w" * 5_000,
)
KEYS: dict[Dimension, tuple[str, ...]] = {
    "tenant": ("acme",),
    "principal": ("key-officer", "key-compliance", "key-batch"),
    "agent": ("lending", "compliance", "collateral", "people"),
    "step": ("draft", "critique", "embed", "search"),
    "model": ("gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-embedding-001"),
    "route": ("POST /api/query", "POST /api/documents", "loancheck cost savings"),
}


def rich() -> Report:
    """A month that is not over, of one tenant, with something of everything."""
    start = date(2026, 11, 1)
    costs = [_cost_of(start + timedelta(days=number)) for number in range(21)]
    costs[11] *= 3  # a day that falls out
    costs[3] = Decimal("0.00012345")
    days = _days(start, costs, cloud=Decimal("1.10"))
    return _report(
        label="2026-11",
        start=start,
        period_days=30,
        days=days,
        forecast=_forecast(days, until=date(2026, 12, 1)),
        lost=3,
    )


def empty() -> Report:
    """A period in which nothing was asked, on an installation without budgets."""
    return rich().model_copy(
        update={
            "period": _period("7d", date(2026, 11, 15), 7),
            "tenant": None,
            "totals": _totals(Decimal(0), Tokens(), calls=0, answers=0),
            "days": [],
            "groups": [],
            "by": {dimension: [] for dimension in DIMENSIONS},
            "forecast": None,
            "budgets": [],
            "anomalies": [],
            "top_questions": [],
            "savings": Savings(found_at=None, findings=[]),
            "roi": _roi(Decimal(0), None, answered=0),
            "notes": [],
        }
    )


def today() -> Report:
    """A single day that is not over: nothing that could be drawn as a line."""
    day = date(2026, 11, 21)
    days = _days(day, [_cost_of(day)], cloud=Decimal(0))
    return _report(
        label="1d", start=day, period_days=1, days=days, forecast=_forecast(days, until=day + timedelta(1)), lost=0
    )


def hostile() -> Report:
    """`rich`, with texts that want to be more than text wherever a text of somebody else can stand."""
    report = rich()
    questions = [TopQuestion(question=text, asked=2, agent=text, cost_usd=Decimal("0.5")) for text in HOSTILE]
    groups = [group.model_copy(update={"key": HOSTILE[number]}) for number, group in enumerate(report.by["agent"])]
    finding = report.savings.findings[0].model_copy(
        update={"id": HOSTILE[0], "title": HOSTILE[1], "advice": HOSTILE[4], "evidence": {HOSTILE[6]: HOSTILE[5]}}
    )
    anomaly = report.anomalies[0].model_copy(update={"subject": HOSTILE[0], "evidence": HOSTILE[1]})
    budget = report.budgets[0].model_copy(update={"id": HOSTILE[1], "scope": f"tenant {HOSTILE[0]}"})
    assert report.forecast is not None
    return report.model_copy(
        update={
            "tenant": HOSTILE[0],
            "period": report.period.model_copy(update={"label": HOSTILE[1]}),
            "groups": groups,
            "by": dict.fromkeys(DIMENSIONS, groups),
            "top_questions": questions,
            "savings": Savings(found_at=NOW, findings=[finding]),
            "anomalies": [anomaly],
            "budgets": [budget],
            "forecast": report.forecast.model_copy(update={"method": HOSTILE[0], "why": HOSTILE[4]}),
            "notes": list(HOSTILE),
        }
    )


def year(days: int = 366) -> Report:
    """`days` that are over, up to the end of 2024, with lists that are as long as one likes."""
    start = date(2025, 1, 1) - timedelta(days=days)
    listed = _days(start, [_cost_of(start + timedelta(days=number)) * 137 for number in range(days)], cloud=Decimal(33))
    report = _report(label="2024", start=start, period_days=days, days=listed, forecast=None, lost=0)
    long = "How long may we keep an appraisal, and who has to be told when it is late? " * 40
    return report.model_copy(
        update={
            "group_by": "principal",
            "groups": _groups(report.totals.cost_usd, [f"key-{number:05}-of-somebody" for number in range(2_000)]),
            "by": {
                one: _groups(report.totals.cost_usd, [f"{one} {number}" for number in range(500)]) for one in DIMENSIONS
            },
            "budgets": report.budgets * 50,
            "anomalies": report.anomalies * 50,
            "top_questions": [TopQuestion(question=long, asked=9, agent="lending", cost_usd=Decimal("1.23456"))] * 200,
            "savings": Savings(found_at=NOW, findings=report.savings.findings * 50),
        }
    )


def year_ahead() -> Report:
    """As `year`, but a year that has just begun: nearly all of it is still to come, in six places."""
    start = date(2026, 1, 1)
    spent = [_cost_of(start + timedelta(days=number)) * Decimal("137.123457") for number in range(10)]
    days = _days(start, spent, cloud=Decimal("33.12"))
    forecast = _forecast(days, until=date(2027, 1, 1))
    ahead = [
        ForecastDay(
            day=one.day,
            expected_usd=round(one.expected_usd * 137, 6),
            low_usd=round(one.low_usd * 137, 6),
            high_usd=round(one.high_usd * 137, 6),
        )
        for one in forecast.days
    ]
    return year().model_copy(update={"days": days, "forecast": forecast.model_copy(update={"days": ahead})})


def _report(
    *,
    label: str,
    start: date,
    period_days: int,
    days: list[Day],
    forecast: Forecast | None,
    lost: int,
) -> Report:
    cost = sum((day.cost_usd for day in days), Decimal(0))
    by = {dimension: _groups(cost, KEYS[dimension]) for dimension in DIMENSIONS}
    calls = sum(day.calls for day in days)
    totals = _totals(cost, _tokens(cost), calls=calls, answers=sum(day.answers for day in days))
    cloud = sum((day.cloud_cost_usd or Decimal(0) for day in days), Decimal(0))
    return Report(
        generated_at=NOW,
        tenant="acme",
        period=_period(label, start, period_days),
        group_by="principal",
        totals=totals.model_copy(
            update={
                "cloud_cost_usd": cloud,
                "unpriced_calls": sum(day.unpriced_calls for day in days),
                "lost_calls": lost,
                "lost_usd_at_most": Decimal("0.0123") * lost,
            }
        ),
        days=days,
        groups=by["principal"],
        by=by,
        forecast=forecast,
        budgets=_budgets(cost),
        anomalies=_anomalies(days),
        top_questions=_questions(),
        savings=Savings(found_at=NOW - timedelta(hours=6), findings=_findings()),
        roi=_roi(cost, cloud, answered=totals.answered),
        notes=[
            "Calls made before 2026-11-03 have no answer facts: findings about answers begin on that day.",
            "The billing export was last written on 2026-11-20; cloud costs after that are not in yet.",
        ],
    )


def _period(label: str, start: date, days: int) -> Period:
    begins = datetime(start.year, start.month, start.day, tzinfo=UTC)
    end = begins + timedelta(days=days)
    return Period(label=label, start=begins, end=end, days=days, is_over=end <= NOW)


def _cost_of(day: date) -> Decimal:
    """Less on weekends, and a little different each day."""
    return Decimal("3.10457" if day.weekday() < 5 else "0.84012") + Decimal(day.toordinal() * 7 % 13) * Decimal(
        "0.0719"
    )


def _days(start: date, costs: Sequence[Decimal], *, cloud: Decimal) -> list[Day]:
    return [
        Day(
            day=start + timedelta(days=number),
            cost_usd=cost,
            cloud_cost_usd=cloud if number < len(costs) - 1 else None,
            calls=1_000 + 37 * number,
            answers=310 + 11 * number,
            unpriced_calls=4 if number in {6, 7, 8} else 0,
        )
        for number, cost in enumerate(costs)
    ]


def _forecast(days: Sequence[Day], *, until: date) -> Forecast:
    today = days[-1].day
    coming = [today + timedelta(days=number) for number in range((until - today).days)]
    ahead = [
        ForecastDay(
            day=day,
            expected_usd=(expected := _cost_of(day) * (Decimal("0.4") if day == today else 1)),
            low_usd=expected * Decimal("0.71"),
            high_usd=expected * Decimal("1.38"),
        )
        for day in coming
    ]
    spent = sum((day.cost_usd for day in days), Decimal(0))
    expected = sum((day.expected_usd for day in ahead), Decimal(0))
    return Forecast(
        method="exponential smoothing, weekly pattern",
        why="There are 60 days of history, and weekends differ from weekdays.",
        history_days=60,
        total_usd=spent + expected,
        low_usd=spent + expected * Decimal("0.86"),
        high_usd=spent + expected * Decimal("1.17"),
        confidence_percent=80,
        days=ahead,
    )


def _tokens(cost: Decimal) -> Tokens:
    unit = int(cost * 10_000)
    return Tokens(input=210 * unit, cached_input=63 * unit, output=31 * unit, thinking=12 * unit, tool=unit)


def _totals(cost: Decimal, tokens: Tokens, *, calls: int, answers: int) -> Totals:
    return Totals(
        cost_usd=cost,
        cloud_cost_usd=None,
        calls=calls,
        unpriced_calls=0,
        lost_calls=0,
        lost_usd_at_most=Decimal(0),
        answers=answers,
        answered=answers * 9 // 10,
        usd_per_answer=cost / answers if answers else None,
        usd_per_1000_answers=1000 * cost / answers if answers else None,
        cached_share_percent=100 * tokens.cached_input / tokens.input if tokens.input else None,
        tokens=tokens,
    )


def _groups(cost: Decimal, keys: Sequence[str]) -> list[Group]:
    """Each takes 60 % of what those before it left, and the last the rest."""
    groups, left = [], cost
    for number, key in enumerate(keys):
        part = left if number == len(keys) - 1 else (left * Decimal("0.6")).quantize(Decimal("0.000001"))
        left -= part
        share = float(100 * part / cost) if cost else None
        calls = int(part * 300) + 1
        groups.append(
            Group(key=key, cost_usd=part, calls=calls, unpriced_calls=0, share_percent=share, tokens=_tokens(part))
        )
    return groups


def _budgets(cost: Decimal) -> list[BudgetState]:
    month = {"starts_at": datetime(2026, 11, 1, tzinfo=UTC), "resets_at": datetime(2026, 12, 1, tzinfo=UTC)}
    today = {"starts_at": datetime(2026, 11, 21, 5, tzinfo=UTC), "resets_at": datetime(2026, 11, 22, 5, tzinfo=UTC)}
    return [
        BudgetState(
            id="acme-month", scope="tenant acme", period="month", time_zone="UTC", amount_usd=Decimal(75),
            spent_usd=cost, held_usd=Decimal("0.042"), used_percent=float(cost * 100 / 75), state="soft", **month,
        ),
        BudgetState(
            id="batch-day", scope="principal key-batch", period="day", time_zone="America/New_York",
            amount_usd=Decimal("0.5"), spent_usd=Decimal("0.5004"), held_usd=Decimal(0), used_percent=100.08,
            state="hard", **today,
        ),
        BudgetState(
            id="lending-day", scope="agent lending", period="day", time_zone="America/New_York",
            amount_usd=Decimal(20), spent_usd=Decimal("2.31"), held_usd=Decimal("0.000321"), used_percent=11.55,
            state="open", **today,
        ),
    ]  # fmt: skip


def _anomalies(days: Sequence[Day]) -> list[Anomaly]:
    dear = max(days, key=lambda day: day.cost_usd)
    return [
        Anomaly(
            day=dear.day, subject="all", cost_usd=dear.cost_usd, expected_usd=dear.cost_usd / 3,
            driver="tokens per call grew", evidence="9,812 tokens per call, against 3,204 on the 14 days before",
        ),
        Anomaly(
            day=dear.day, subject="principal key-batch", cost_usd=dear.cost_usd * Decimal("0.8"),
            expected_usd=Decimal("0.31"), driver="calls grew", evidence="1,204 calls, against 96",
        ),
    ]  # fmt: skip


def _questions() -> list[TopQuestion]:
    asked = (
        ("How long do we keep an appraisal for <PERSON>'s loan <ACCOUNT>?", 31, "lending", "1.90211"),
        ("What must an adverse action notice say, and within how many days must it be sent?", 24, "compliance", "1.1"),
        (None, 3, "people", "0.72"),
        ("Which loan-to-value limit holds for raw land?", 12, "collateral", "0.000417"),
    )
    return [TopQuestion(question=text, asked=n, agent=agent, cost_usd=Decimal(usd)) for text, n, agent, usd in asked]


def _findings() -> list[Finding]:
    return [
        Finding(
            id="f-7c1e", kind="cheaper-lane", title="The cheap lane passes the same critique for the lending agent",
            advice="Send short lending questions to gemini-3.5-flash-lite. Of 412 answers with a score on both lanes, "
            "399 passed at 0.85.", usd_per_month=Decimal("12.40187"), how_certain="measured",
            evidence={"Answers compared": "412", "Passed on the cheap lane": "96.8%", "Cost now": "$18.22 a month"},
            entries=1_204, entry_ids=list(range(90_017, 90_042)), can_be_replayed=True,
        ),
        Finding(
            id="f-11d0", kind="repeated-questions", title="83 questions were asked again within an hour",
            advice="A cache of an hour would have answered them.", usd_per_month=Decimal("3.0914"),
            how_certain="computed", evidence={"Repeats": "83", "Most repeated": "31 times"},
            entries=166, entry_ids=[90_120, 90_121, 90_340], can_be_replayed=False,
        ),
        Finding(
            id="f-90aa", kind="price-change", title="gemini-3.8-flash becomes dearer on 2026-12-15",
            advice="Compare the next model before that day.", usd_per_month=Decimal("0.0042"),
            how_certain="estimated", evidence={"Assumed": "as many tokens as in the last 30 days"},
            entries=20_114, entry_ids=[1, 2, 3], can_be_replayed=False,
        ),
    ]  # fmt: skip


def _roi(cost: Decimal, cloud: Decimal | None, *, answered: int) -> Roi:
    platform = Decimal(250)
    spent = cost + (cloud or Decimal(0)) + platform
    cases = []
    for case, minutes, hourly in (("low", 1, 35), ("base", 4, 48), ("high", 9, 62)):
        saved = Decimal(answered * minutes)
        benefit = saved / 60 * hourly
        cases.append(
            RoiCase.model_validate(
                {
                    "case": case,
                    "minutes_saved": saved,
                    "benefit_usd": benefit,
                    "cost_usd": spent,
                    "net_usd": benefit - spent,
                    "roi_percent": float(100 * (benefit - spent) / spent),
                    "payback_days": float(30 * spent / benefit) if benefit else None,
                    "in_words": "Each dollar brings more than it costs." if benefit > spent else "It costs more.",
                }
            )
        )
    return Roi(
        answered=answered,
        model_cost_usd=cost,
        cloud_cost_usd=cloud or Decimal(0),
        platform_cost_usd=platform,
        cases=cases,
        assumptions=[
            Assumption(
                name="Minutes saved per answered question", low="1", base="4", high="9", unit="minutes",
                setting="ROI_MINUTES_SAVED", why="A look-up in the handbook takes 5 to 12 minutes.",
            ),
            Assumption(
                name="Hourly cost of who asks", low="35", base="48", high="62", unit="USD an hour",
                setting="ROI_HOURLY_COST_USD", why="Wages of loan officers with a third on top.",
            ),
        ],
    )  # fmt: skip

"""What people read of a threshold that a cloud budget has passed."""

from datetime import UTC
from decimal import Decimal
from urllib.parse import quote

from common.costs.cloud_budgets import BudgetMessage, Crossing
from common.notices.notice import MAX_SUBJECT, Notice

KIND = "cloud-budget"
CENT = Decimal("0.01")


def notice_of(message: BudgetMessage, crossing: Crossing) -> Notice:
    """One for each budget, interval, basis and threshold, whichever message brings it."""
    start = message.interval_start.astimezone(UTC)
    key = f"{KIND}:{message.budget_id}:{start:%Y%m%dT%H%M%SZ}:{crossing.basis}:{crossing.threshold:f}"
    percent = f"{_plain(crossing.threshold * 100)} %"
    is_forecast = crossing.basis == "forecast"
    name = message.display_name
    lines = (
        f"Google Cloud expects budget {name} to reach {percent} by the end of its interval."
        if is_forecast
        else f"Google Cloud's budget {name} is spent to {percent} or more.",
        f"Spent since {start.day} {start:%B %Y, %H:%M} UTC: {_amount(message.cost_amount)} of "
        f"{_amount(message.budget_amount)} {message.currency}{_share(message)}.",
        "Billing data lag by hours: more may be spent by now.",
        f"Budget {message.budget_id}, billing account {message.billing_account_id}.",
    )
    said = "is forecast to reach" if is_forecast else "has reached"
    subject = f" {said} {percent}"
    return Notice(
        kind=KIND,
        key=key,
        subject=f"Cloud budget {name}"[: MAX_SUBJECT - len(subject)] + subject,
        lines=lines,
        link=f"https://console.cloud.google.com/billing/{quote(message.billing_account_id, safe='')}/budgets",
    )


def _share(message: BudgetMessage) -> str:
    """Of a budget of 0 nothing is a share."""
    if message.budget_amount == 0:
        return ""
    return f" ({_plain((message.cost_amount / message.budget_amount * 100).quantize(Decimal('0.1')))} %)"


def _amount(amount: Decimal) -> str:
    """With cents where there are any; some currencies have none."""
    return f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount.quantize(CENT):,f}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"

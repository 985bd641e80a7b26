"""Notifications of a Google billing budget, as Pub/Sub pushes them.

Source: https://cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications#notification_format
"""

import base64
import itertools
import json
from typing import Any

ACCOUNT = "01D4EE-079462-DFD6EC"
BUDGET = "de72f49d-779b-4945-a127-4d6ce8def0bb"
_numbers = itertools.count(10_000_000)


def content(**other: Any) -> dict[str, Any]:  # Any: JSON
    """What a notification says; `other` goes before, and what is None is left out."""
    usual = {
        "budgetDisplayName": "Loans, production",
        "costAmount": 90.51,
        "costIntervalStart": "2026-11-01T07:00:00Z",
        "budgetAmount": 100.00,
        "budgetAmountType": "SPECIFIED_AMOUNT",
        "currencyCode": "USD",
    }
    return {name: value for name, value in {**usual, **other}.items() if value is not None}


def message(said: Any = None, *, budget: str = BUDGET, message_id: str | None = "", **more: Any) -> dict[str, Any]:
    """The message of Pub/Sub that holds `said`: text as it is, bytes and JSON as base64. `message_id` None: without."""
    said = content() if said is None else said
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    identified = {} if message_id is None else {"messageId": message_id or str(next(_numbers))}
    return {
        "data": said if isinstance(said, str) else base64.b64encode(raw).decode(),
        "attributes": {"billingAccountId": ACCOUNT, "budgetId": budget, "schemaVersion": "1.0"},
        "publishTime": "2026-11-23T12:00:00.123Z",
        **identified,
        **more,
    }


def pushed(said: Any = None, **more: Any) -> dict[str, Any]:
    """The body of a push: the documented fields, and those in snake case that come beside them."""
    one = message(said, **more)
    twice = {
        snake: one[camel]
        for camel, snake in (("messageId", "message_id"), ("publishTime", "publish_time"))
        if camel in one
    }
    return {"message": one | twice, "subscription": "projects/lending/subscriptions/budgets"}


def cloud_event(said: Any = None, **more: Any) -> dict[str, Any]:
    """A CloudEvent in structured mode, as Eventarc makes it of a message."""
    return {
        "specversion": "1.0",
        "id": "3103425958877813",
        "source": "//pubsub.googleapis.com/projects/lending/topics/budgets",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "datacontenttype": "application/json",
        "time": "2026-11-23T12:00:00.123Z",
        "data": pushed(said, **more),
    }

"""What a Google billing budget says, read out of its Pub/Sub message.

Source: https://cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications#notification_format
"""

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from common.costs.cloud_budgets import BudgetMessage
from common.notices.notice import one_line
from common.problems import FieldError, InvalidRequest
from common.request_body import broken_rules
from functions.budget_alert.models import PubSubMessage

MAX_DATA_CHARACTERS = 20_000  # of base64; real ones have some 500
MAX_NAME = 128
CLOCKS_DIFFER = timedelta(days=1)
CENTS = Decimal("0.000001")  # what is kept of an amount or a fraction; the rest is the noise of a float

Finite = Annotated[Decimal, Field(strict=True, allow_inf_nan=False, gt=Decimal(-(10**17)), lt=Decimal(10**17))]
Threshold = Annotated[Decimal, Field(strict=True, allow_inf_nan=False, ge=0, le=Decimal(1_000_000))]
Time = Annotated[AwareDatetime, BeforeValidator(lambda given: given if isinstance(given, str) else None)]
Id = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=128)]


Model = TypeVar("Model", bound=BaseModel)


class _Attributes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    billing_account_id: Annotated[Id, StringConstraints(max_length=64)]
    budget_id: Id
    schema_version: Annotated[str, StringConstraints(pattern=r"^1\.[0-9]+$")] = "1.0"


class _Content(BaseModel):
    """Thresholds are absent while none is passed."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    budget_display_name: str = ""
    alert_threshold_exceeded: Threshold | None = None
    forecast_threshold_exceeded: Threshold | None = None
    cost_amount: Finite
    cost_interval_start: Time  # a number is none
    budget_amount: Annotated[Finite, Field(ge=0)]
    currency_code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


def read_message(message: PubSubMessage, now: datetime) -> BudgetMessage:
    """
    Raises:
        InvalidRequest: it is no notification of a budget, and will never be one; the problem names each field by a
            pointer that begins with /message, and nothing of what is in it.
    """
    attributes = _checked("attributes", lambda: _Attributes.model_validate(message.attributes))
    data = _data(message.data)
    content = _checked("data", lambda: _Content.model_validate(data))
    if content.cost_interval_start > now + CLOCKS_DIFFER:
        _refuse("data/costIntervalStart", "Must not lie in the future")
    return BudgetMessage(
        budget_id=attributes.budget_id,
        billing_account_id=attributes.billing_account_id,
        display_name=one_line(content.budget_display_name, MAX_NAME) or attributes.budget_id,
        interval_start=content.cost_interval_start,
        cost_amount=_rounded(content.cost_amount),
        budget_amount=_rounded(content.budget_amount),
        currency=content.currency_code,
        actual_threshold=_fraction(content.alert_threshold_exceeded),
        forecast_threshold=_fraction(content.forecast_threshold_exceeded),
        published_at=message.publish_time,
    )


def _data(text: str) -> Any:  # Any: JSON
    """Numbers as decimals, as they were written."""
    if len(text) > MAX_DATA_CHARACTERS:
        _refuse("data", f"Must have at most {MAX_DATA_CHARACTERS:,} characters")
    try:
        decoded = base64.b64decode(text, validate=True)
        return json.loads(decoded, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
    except (binascii.Error, ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        _refuse("data", "Must be the base64 text of a JSON object")


def _checked(field: str, validate: Callable[[], Model]) -> Model:
    try:
        return validate()
    except ValidationError as error:
        found = broken_rules(error)
        errors = [FieldError(pointer=f"/message/{field}{one.pointer}", detail=one.detail) for one in found.errors]
        raise InvalidRequest(found.detail, errors=errors) from None


def _refuse(field: str, detail: str) -> NoReturn:
    raise InvalidRequest(
        "Each entry of `errors` names a field and the reason.",
        errors=[FieldError(pointer=f"/message/{field}", detail=detail)],
    )


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENTS)


def _fraction(threshold: Decimal | None) -> Decimal | None:
    return None if threshold is None else threshold.quantize(CENTS).normalize()

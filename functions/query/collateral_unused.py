"""Which figures of a message no formed ratio takes in, so that an answer can say so."""

import re
from collections.abc import Collection

from functions.query.amounts_text import percent_text, short, usd
from functions.query.collateral_case import Case
from functions.query.collateral_steps import FALLS_PERCENT
from functions.query.entities import Amount, Percentage
from functions.query.lending_terms import Role
from functions.query.quantities import YEARS

_ADDED_UP = frozenset({Role.VALUE, Role.SENIOR_LIEN, Role.JUNIOR_LIEN, Role.DEBT})  # of the others the last one counts
_WORTH = frozenset({Role.VALUE, Role.APPRAISED_VALUE, Role.PURCHASE_PRICE})
_ON_VALUE = frozenset({"LTV", "CLTV", "HCLTV", "coverage", "bound"})
_TAKEN_BY: dict[Role, frozenset[str]] = {
    **dict.fromkeys(_WORTH, _ON_VALUE),
    Role.LOAN: _ON_VALUE | {"debt yield"},
    Role.DOWN_PAYMENT: _ON_VALUE,
    Role.SENIOR_LIEN: _ON_VALUE,
    Role.JUNIOR_LIEN: frozenset({"CLTV", "HCLTV"}),
    Role.LINE_DRAWN: frozenset({"CLTV", "HCLTV"}),
    Role.LINE_UNDRAWN: frozenset({"CLTV", "HCLTV"}),
    Role.LINE_LIMIT: frozenset({"CLTV", "HCLTV"}),
    Role.DEBT: frozenset({"DTI"}),
    Role.INCOME: frozenset({"DTI"}),
    Role.OPERATING_INCOME: frozenset({"DSCR", "debt yield"}),
    Role.DEBT_SERVICE: frozenset({"DSCR"}),
    Role.HAIRCUT: frozenset({"coverage"}),
    Role.ADVANCE_RATE: frozenset({"coverage"}),
    Role.LIMIT: frozenset({"bound"}),
}
_FALL = re.compile(r"\b(?:drop|fall|fell|declin|decreas|lower|shr[iu]nk|los)[a-z]{0,5}\b[^.;,]{0,25}$", re.IGNORECASE)
_FEWEST_BARE = 100  # below it a plain number is a count, of rooms or of borrowers


def unused_figures(case: Case, formed: Collection[str], message: str) -> tuple[str, ...]:
    """The figures of the newest `message` that count nowhere, as written in an answer, in the order of the message.

    `formed` are the names of the ratios of the answer, and "bound" where it works out what meets a limit.
    """
    amounts = [(one.start, usd(one.usd)) for one in case.entities.amounts if not _counts(one, case, formed)]
    shares = [
        (one.start, percent_text(one.percent))
        for one in case.entities.percentages
        if not (_holds(one, case, formed) or _is_shown_fall(one, message, one.start - case.message_start))
    ]
    plain = [
        (one.start, short(one.value))
        for one in case.entities.plain_numbers
        if one.value >= _FEWEST_BARE and one.value not in YEARS
    ]
    found = sorted((start, text) for start, text in (*amounts, *shares, *plain) if start >= case.message_start)
    return tuple(text for _, text in found)


def _is_shown_fall(share: Percentage, message: str, at: int) -> bool:
    """A fall in value that every answer works out: "if the value drops by 20 %"."""
    return share.percent in FALLS_PERCENT and _FALL.search(message[max(0, at - 40) : max(0, at)]) is not None


def _counts(amount: Amount, case: Case, formed: Collection[str]) -> bool:
    role = amount.role
    if role is None or not _is_taken(role, case, formed):
        return False
    if role is Role.VALUE:
        return not case.entities.amounts_of(Role.APPRAISED_VALUE) or "coverage" in formed
    if role is Role.DOWN_PAYMENT and case.entities.amounts_of(Role.LOAN):
        return False
    return role in _ADDED_UP or amount is case.entities.amounts_of(role)[-1]


def _is_taken(role: Role, case: Case, formed: Collection[str]) -> bool:
    if role is Role.DEBT and not case.debts and case.debt_service is not None:
        role = Role.DEBT_SERVICE  # payments beside an operating income
    return not _TAKEN_BY[role].isdisjoint(formed)


def _holds(share: Percentage, case: Case, formed: Collection[str]) -> bool:
    """A percentage without a role is an advance rate where a haircut of 100 less it was read from it."""
    if share.role is None:
        rates = [one.pledge.haircut_percent for one in case.pledged if one.has_haircut]
        return "coverage" in formed and 100 - share.percent in rates
    if share.role is Role.DOWN_PAYMENT and case.entities.amounts_of(Role.LOAN, Role.DOWN_PAYMENT):
        return False
    named = case.entities.percentages_of(share.role)
    is_last = share.role in (Role.HAIRCUT, Role.ADVANCE_RATE) or share is named[-1]
    return is_last and not _TAKEN_BY[share.role].isdisjoint(formed)

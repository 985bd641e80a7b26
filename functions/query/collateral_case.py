"""The case that a conversation describes: its figures by role, taken from this message and the turns before it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from functions.query.agent import Ask
from functions.query.amounts_text import usd
from functions.query.entities import Amount, Entities, Percentage, extract_entities
from functions.query.lending import Pledge
from functions.query.lending_terms import Collateral, Role
from functions.query.supervisory_limits import CATEGORIES, HAIRCUTS, Category

_VALUES = (Role.VALUE, Role.APPRAISED_VALUE, Role.PURCHASE_PRICE)
_TOGETHER = (_VALUES, (Role.LINE_LIMIT, Role.LINE_DRAWN, Role.LINE_UNDRAWN), (Role.HAIRCUT, Role.ADVANCE_RATE))
_OTHER_SIDES = {
    Role.OPERATING_INCOME: Role.DEBT_SERVICE,
    Role.DEBT_SERVICE: Role.OPERATING_INCOME,
    Role.INCOME: Role.DEBT,
    Role.DEBT: Role.INCOME,
}
_LOAN_OVER_VALUE = re.compile(
    r"\s{0,3}(?:/|on|over|against|to|vs\.?|divided by)\s{0,3}(?:an?|the)?\s{0,3}", re.IGNORECASE
)
_NEW_CASE = re.compile(
    r"\b(?:new|another|different|next|other) (?:deal|case|client|customer|borrower|applicant|application|scenario)\b|"
    r"\bstart(?:ing)? (?:over|again|afresh)\b",
    re.IGNORECASE,
)
_ASKED = {
    "LTV": r"\bltv\b|\bloan[ -]to[ -]value\b",
    "CLTV": r"\bh?cltv\b|\bcombined loan\b",
    "DTI": r"\bdti\b|\bdebt[ -]to[ -]income\b",
    "DSCR": r"\bdscr\b|\bdebt[ -]service[ -]coverage\b|\bcover(?:s|ed)? (?:the |its |their )?debt service\b",
    "debt yield": r"\bdebt yield\b",
    "coverage": r"(?<!service )(?<!service-)\bcoverage\b|\bcollateral cover\b|\bhaircuts?\b|\badvance rates?\b",
}
_ASKED_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _ASKED.items()}
_MOST_LOAN = re.compile(
    r"\bhow (?:much|large|big|high)\b.{0,40}\b(?:borrow|lend|loan|mortgage|finance)|"
    r"\b(?:max(?:imum)?|largest|biggest|highest)\b.{0,20}\b(?:loan|mortgage)\b|\bhow much (?:could|can|may)\b",
    re.IGNORECASE,
)
_LEAST_VALUE = re.compile(
    r"\bhow much\b.{0,20}\b(?:collateral|value|land|property)\b|\b(?:minimum|smallest|least)\b.{0,20}\bvalue\b|"
    r"\b(?:worth|value|collateral)\b.{0,30}\b(?:need|required|necessary)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledged:
    """A piece of collateral as the conversation describes it. `standard_haircut`: taken from the supervisors' table."""

    pledge: Pledge
    kind: Collateral | None
    has_haircut: bool
    standard_haircut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """An amount that recurs, in US dollars; `period_months` None: the message does not say."""

    usd: Decimal
    period_months: int | None

    def monthly(self, otherwise: int) -> Decimal:
        """US dollars a month; `otherwise` is the period where none is named."""
        return self.usd / (self.period_months or otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All amounts in US dollars; None and empty: not named.

    `derived` are the steps by which loan or value follow from what is named; `unnamed` are amounts whose role the
    words do not tell. `entities` is what all of it comes from; what the newest message names begins at
    `message_start` there.
    """

    loan: Decimal | None
    value: Decimal | None
    senior_liens: tuple[Decimal, ...]
    junior_liens: tuple[Decimal, ...]
    line_drawn: Decimal | None
    line_limit: Decimal | None
    debts: tuple[Periodic, ...]
    income: Periodic | None
    operating_income: Periodic | None
    debt_service: Periodic | None
    pledged: tuple[Pledged, ...]
    own_limit_percent: Decimal | None
    category: Category | None
    kinds: tuple[Collateral, ...]
    asked: frozenset[str]
    asks_largest_loan: bool
    asks_least_value: bool
    derived: tuple[str, ...]
    unnamed: tuple[Decimal, ...]
    entities: Entities
    message_start: int

    @property
    def is_real_estate(self) -> bool:
        """Nothing but real estate is named, or nothing at all."""
        return all(kind in CATEGORIES for kind in self.kinds)


def case_of(ask: Ask) -> Case:
    """The case of `ask`: what its message names, and what the collateral agent's earlier turns named before."""
    entities, message = ask.entities, ask.message
    if not (_is_complete(entities) or _begins_anew(message)):
        entities, message = _merged([*_earlier(ask), (ask.message, entities)])
    return _case(_with_unnamed(entities, message), ask.message, len(message) - len(ask.message))


def _begins_anew(message: str) -> bool:
    return _NEW_CASE.search(message) is not None


def _is_complete(entities: Entities) -> bool:
    """A case of its own, to which earlier turns add nothing."""
    has = {amount.role for amount in entities.amounts}
    return (
        (Role.LOAN in has and not has.isdisjoint(_VALUES))
        or {Role.DEBT, Role.INCOME} <= has
        or {Role.OPERATING_INCOME, Role.DEBT_SERVICE} <= has
    )


def _earlier(ask: Ask) -> list[tuple[str, Entities]]:
    """This agent's turns, oldest first, from the last one that was complete by itself."""
    found: list[tuple[str, Entities]] = []
    for turn in reversed(ask.history):
        if turn.agent == "collateral":
            entities = extract_entities(turn.message)
            found.insert(0, (turn.message, entities))
            if _is_complete(entities) or _begins_anew(turn.message):
                break
    return found


def _merged(turns: Sequence[tuple[str, Entities]]) -> tuple[Entities, str]:
    """One set of entities for several messages, joined by line breaks: a later word replaces an earlier one."""
    amounts: tuple[Amount, ...] = ()
    percentages: tuple[Percentage, ...] = ()
    collateral: tuple[Collateral, ...] = ()
    offset = 0
    for message, entities in turns:
        named = [*(one.role for one in entities.amounts), *(one.role for one in entities.percentages)]
        replaced = _groups(role for role in named if role is not None)
        amounts = tuple(one for one in amounts if one.role not in replaced)
        percentages = tuple(one for one in percentages if one.role not in replaced)
        if entities.collateral:
            collateral = entities.collateral
            amounts = tuple(replace(one, collateral=None) for one in amounts)
        amounts += tuple(replace(one, start=one.start + offset, end=one.end + offset) for one in entities.amounts)
        percentages += tuple(
            replace(one, start=one.start + offset, end=one.end + offset) for one in entities.percentages
        )
        offset += len(message) + 1
    shift = offset - len(turns[-1][0]) - 1
    plain = tuple(replace(one, start=one.start + shift, end=one.end + shift) for one in turns[-1][1].plain_numbers)
    merged = Entities(amounts=amounts, percentages=percentages, collateral=collateral, plain_numbers=plain)
    return merged, "\n".join(message for message, _ in turns)


def _groups(roles: Iterable[Role]) -> frozenset[Role]:
    """`roles`, and those that stand for the same thing in other words."""
    named = frozenset(roles)
    return named.union(*(group for group in _TOGETHER if not named.isdisjoint(group)))


def _with_unnamed(entities: Entities, message: str) -> Entities:
    """Gives amounts without a role the one that is missing: "350k / 400k", or the answer to what was asked back."""
    unnamed = [amount for amount in entities.amounts if amount.role is None]
    has = {amount.role for amount in entities.amounts}
    lacks_loan, lacks_value = Role.LOAN not in has, has.isdisjoint(_VALUES)
    named: dict[int, Role] = {}
    if len(unnamed) == 1 and lacks_loan and lacks_value and (other := _other_side(has)) is not None:
        named[unnamed[0].start] = other
    elif len(unnamed) == 1 and lacks_loan != lacks_value:
        named[unnamed[0].start] = Role.LOAN if lacks_loan else Role.VALUE
    elif len(unnamed) == 2 and lacks_loan and lacks_value:
        first, second = unnamed
        # the order tells which is which only where the words between them say so
        if _LOAN_OVER_VALUE.fullmatch(message[first.end : second.start]):
            named = {first.start: Role.LOAN, second.start: Role.VALUE}
    return replace(
        entities,
        amounts=tuple(replace(one, role=named[one.start]) if one.start in named else one for one in entities.amounts),
    )


def _other_side(has: set[Role | None]) -> Role | None:
    """What an income lacks for its ratio, or payments; None where neither or both are there."""
    for role, other in _OTHER_SIDES.items():
        if role in has and has.isdisjoint({other, Role.DEBT} - {role}):
            return other
    return None


def _case(entities: Entities, message: str, message_start: int) -> Case:
    derived: list[str] = []
    value = _value(entities, derived)
    loan, senior, junior = _loans(entities, derived)
    drawn, limit = _line(entities)
    debts, service = _payments(entities)
    kinds = entities.collateral
    categories = {CATEGORIES[kind] for kind in kinds if kind in CATEGORIES}
    limits = entities.percentages_of(Role.LIMIT)
    return Case(
        loan=loan,
        value=value,
        senior_liens=senior,
        junior_liens=junior,
        line_drawn=drawn,
        line_limit=limit,
        debts=debts,
        income=_periodic(entities, Role.INCOME),
        operating_income=_periodic(entities, Role.OPERATING_INCOME),
        debt_service=service,
        pledged=_pledged(entities, value),
        own_limit_percent=limits[-1].percent if limits else None,
        category=categories.pop() if len(categories) == 1 else None,
        kinds=kinds,
        asked=frozenset(name for name, pattern in _ASKED_PATTERNS.items() if pattern.search(message)),
        asks_largest_loan=_MOST_LOAN.search(message) is not None,
        asks_least_value=_LEAST_VALUE.search(message) is not None,
        derived=tuple(derived),
        unnamed=tuple(one.usd for one in entities.amounts if one.role is None),
        entities=entities,
        message_start=message_start,
    )


def _value(entities: Entities, derived: list[str]) -> Decimal | None:
    """The value to lend on: the sum of what is pledged, or the lower of price and appraisal. Ranges: the lower end."""
    derived += [
        f"Value: the lower end of {usd(one.usd)} to {usd(one.upper_usd)}"
        for one in entities.amounts_of(*_VALUES)
        if one.upper_usd is not None
    ]
    prices = [amount.usd for amount in entities.amounts_of(Role.PURCHASE_PRICE)][-1:]
    appraised = [amount.usd for amount in entities.amounts_of(Role.APPRAISED_VALUE)][-1:]
    worth = [amount.usd for amount in entities.amounts_of(Role.VALUE)]
    if len(worth) > 1 and not appraised:
        derived.append(f"Value = {' + '.join(usd(one) for one in worth)} = {usd(sum(worth, Decimal(0)))}")
    estimates = appraised or ([sum(worth, Decimal(0))] if worth else [])
    if prices and estimates:
        lower = min(prices[0], estimates[0])
        derived.append(f"Value = the lower of price {usd(prices[0])} and appraisal {usd(estimates[0])} = {usd(lower)}")
    return min([*prices, *estimates], default=None)


def _loans(entities: Entities, derived: list[str]) -> tuple[Decimal | None, tuple[Decimal, ...], tuple[Decimal, ...]]:
    """The loan in question, the liens before it and the liens behind it. Ranges: the upper end."""
    loans, senior, junior = (
        tuple(one.usd if one.upper_usd is None else one.upper_usd for one in entities.amounts_of(role))
        for role in (Role.LOAN, Role.SENIOR_LIEN, Role.JUNIOR_LIEN)
    )
    if loans:
        derived += [
            f"Loan: the upper end of {usd(one.usd)} to {usd(one.upper_usd)}"
            for one in entities.amounts_of(Role.LOAN)[-1:]
            if one.upper_usd is not None
        ]
        return loans[-1], senior, junior
    bought = _price_less_down_payment(entities)
    if bought is not None:
        price, down = bought
        derived.append(f"Loan = price {usd(price)} - down payment {usd(down)} = {usd(price - down)}")
        return price - down, senior, junior
    if senior:  # "first mortgage 300k": then that is the loan in question
        return senior[0], senior[1:], junior
    return None, (), junior


def _price_less_down_payment(entities: Entities) -> tuple[Decimal, Decimal] | None:
    """Price and down payment, where both are named."""
    prices = entities.amounts_of(Role.PURCHASE_PRICE) or entities.amounts_of(Role.VALUE)
    paid = entities.amounts_of(Role.DOWN_PAYMENT)
    shares = entities.percentages_of(Role.DOWN_PAYMENT)
    if not prices or not (paid or shares):
        return None
    return prices[-1].usd, paid[-1].usd if paid else prices[-1].usd * shares[-1].percent / 100


def _line(entities: Entities) -> tuple[Decimal | None, Decimal | None]:
    """Drawn part and full limit of a credit line on the property, as far as they are named or follow."""
    limit, drawn, undrawn = (
        next((one.usd for one in reversed(entities.amounts_of(role))), None)
        for role in (Role.LINE_LIMIT, Role.LINE_DRAWN, Role.LINE_UNDRAWN)
    )
    if undrawn is not None and limit is None:
        return drawn or Decimal(0), (drawn or Decimal(0)) + undrawn
    if undrawn is not None and limit is not None and drawn is None:
        return limit - undrawn, limit
    return drawn, limit


def _payments(entities: Entities) -> tuple[tuple[Periodic, ...], Periodic | None]:
    """Debt payments, and debt service; payments beside an operating income are its debt service."""
    debts = tuple(Periodic(usd=one.usd, period_months=one.period_months) for one in entities.amounts_of(Role.DEBT))
    service = _periodic(entities, Role.DEBT_SERVICE)
    earns = bool(entities.amounts_of(Role.OPERATING_INCOME))
    if service is None and earns and len(debts) == 1 and not entities.amounts_of(Role.INCOME):
        return (), debts[0]
    return debts, service


def _periodic(entities: Entities, role: Role) -> Periodic | None:
    found = entities.amounts_of(role)
    return Periodic(usd=found[-1].usd, period_months=found[-1].period_months) if found else None


def _pledged(entities: Entities, value: Decimal | None) -> tuple[Pledged, ...]:
    """The pieces of collateral with haircuts and prior liens: one for the whole value unless several are named."""
    amounts = entities.amounts_of(Role.VALUE)
    if value is None or len(amounts) < 2:
        amounts = entities.amounts_of(*_VALUES)[-1:]
    only_kind = entities.collateral[0] if len(entities.collateral) == 1 else None
    liens = _liens_by_piece(entities, amounts)
    pieces = []
    for position, amount in enumerate(amounts):
        kind = amount.collateral or only_kind
        named = _haircut_of(position, amounts, entities)
        standard = HAIRCUTS.get(kind) if kind is not None and named is None else None
        pieces.append(
            Pledged(
                pledge=Pledge(
                    value_usd=value if len(amounts) == 1 and value is not None else amount.usd,
                    haircut_percent=named if named is not None else standard.percent if standard else Decimal(0),
                    prior_liens_usd=liens[position],
                ),
                kind=kind,
                has_haircut=named is not None or standard is not None,
                standard_haircut=standard is not None,
            )
        )
    return tuple(pieces)


def _haircut_of(position: int, amounts: Sequence[Amount], entities: Entities) -> Decimal | None:
    """The haircut named after this value and before the next one; one that stands alone holds for all.

    A percentage right behind a value, as in "receivables of 300k at 80%", is the rate at which it counts.
    """
    found = [(one.start, one.percent) for one in entities.percentages_of(Role.HAIRCUT)]
    found += [
        (one.start, 100 - one.percent)
        for one in entities.percentages
        if one.role is Role.ADVANCE_RATE
        or (one.role is None and any(0 <= one.start - amount.end <= len(" at ") for amount in amounts))
    ]
    found.sort()
    if len(found) == 1:
        return found[0][1]
    until = amounts[position + 1].start if position + 1 < len(amounts) else None
    after = [percent for at, percent in found if at > amounts[position].start and (until is None or at < until)]
    return after[0] if after else None


def _liens_by_piece(entities: Entities, amounts: Sequence[Amount]) -> list[Decimal]:
    """Prior liens on each piece: on the one whose kind is named with the lien, else on the first.

    Without another loan the first senior lien is the loan in question, so it comes before nothing.
    """
    liens = list(entities.amounts_of(Role.SENIOR_LIEN))
    if not entities.amounts_of(Role.LOAN) and _price_less_down_payment(entities) is None:
        liens = liens[1:]
    totals = [Decimal(0)] * len(amounts)
    for lien in liens if amounts else ():
        same = [at for at, amount in enumerate(amounts) if lien.collateral and amount.collateral == lien.collateral]
        totals[same[0] if same else 0] += lien.usd
    return totals

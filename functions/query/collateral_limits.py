"""How a case stands to the limits: the supervisors' for its kind of real estate, and one that the message names."""

from dataclasses import dataclass
from decimal import Decimal

from functions.query.amounts_text import percent_text
from functions.query.collateral_case import Case
from functions.query.collateral_steps import Measured, supervised_ltv, what_if
from functions.query.supervisory_limits import GUIDELINES, OWNER_OCCUPIED_MARK, Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`short` is a sentence for the lead; `statement` is what the guidelines say, for a citation to follow.

    `comparison` says how the case stands to it, `lines` are for the shown calculation, and `what_if` says which loan
    and which value meet the limit.
    """

    short: str = ""
    statement: str = ""
    comparison: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    what_if: tuple[str, ...] = ()


def standing(case: Case) -> Standing:
    """See `Standing`; empty where neither a loan-to-value ratio nor a question about a limit calls for one.

    Raises:
        InvalidFigures: a figure is zero or less where that makes no sense.
    """
    measured = supervised_ltv(case)
    if measured is None and not _asks_only_for_a_bound(case):
        return Standing()
    own = _own_limit(case, measured)
    if case.category is None:
        comparison = (*own.comparison, _NO_CATEGORY) if case.is_real_estate else own.comparison
        return Standing(short=own.short, comparison=comparison, lines=own.lines, what_if=own.what_if)
    official = _owner_occupied(case, measured) if case.category.limit_percent is None else _limited(case, measured)
    return Standing(
        short=official.short,
        statement=official.statement,
        comparison=(*official.comparison, *own.comparison),
        lines=(*official.lines, *own.lines),
        what_if=own.what_if or official.what_if,
    )


_NO_CATEGORY = (
    "The message names no single kind of property, so no supervisory limit is compared: name it, such as raw land, "
    "land development, construction, improved property or an owner-occupied home."
)
_POSSIBLE = "Such a loan is possible where other credit factors support it; the bank then records and reports it."


def _asks_only_for_a_bound(case: Case) -> bool:
    """As in "how much can I borrow on land worth 400k?"."""
    return case.is_real_estate and (
        (case.asks_largest_loan and case.value is not None and case.loan is None)
        or (case.asks_least_value and case.loan is not None and case.value is None)
    )


def _limited(case: Case, measured: Measured | None) -> Standing:
    category, limit = _known(case.category)
    text = percent_text(limit)
    comparison: tuple[str, ...] = ()
    short = ""
    if measured is not None:
        relation = _relation(measured.percent, limit)
        short = f"{measured.worked.name} is {relation} the supervisory limit of {text} for {category.name}."
        comparison = (f"{measured.worked.result}, {relation} the supervisory limit.",)
        if measured.percent > limit:
            comparison += (_POSSIBLE,)
    return Standing(
        short=short,
        statement=f"The supervisory limit for {category.name} is {text}, by the {GUIDELINES}.",
        comparison=comparison,
        lines=(f"Supervisory limit for {category.name}: {text} ({GUIDELINES})", *_steps(case, measured)),
        what_if=what_if(case, limit),
    )


def _known(category: Category | None) -> tuple[Category, Decimal]:
    assert category is not None
    assert category.limit_percent is not None
    return category, category.limit_percent


def _owner_occupied(case: Case, measured: Measured | None) -> Standing:
    """No limit, but a mark that is reached at exactly 90 %."""
    mark = percent_text(OWNER_OCCUPIED_MARK)
    comparison: list[str] = []
    short = ""
    if measured is not None:
        relation = "at or above" if measured.percent >= OWNER_OCCUPIED_MARK else "below"
        short = (
            f"{measured.worked.name} is {relation} the {mark} mark for owner-occupied homes, for which no "
            "supervisory limit is set."
        )
        comparison.append(f"{measured.worked.result}, {relation} that mark.")
        if measured.combined_percent >= OWNER_OCCUPIED_MARK > measured.percent:
            combined = percent_text(measured.combined_percent)
            comparison.append(f"With every lien counted it is {combined}, at or above it.")
    comparison.append("If the home is let, it counts as improved property instead.")
    statement = (
        f"For owner-occupied 1-4 family homes and home equity no supervisory limit is set; from {mark} at origination "
        f"mortgage insurance or readily marketable collateral should be required, by the {GUIDELINES}."
    )
    return Standing(
        short=short,
        statement=statement,
        comparison=tuple(comparison),
        lines=(
            f"Owner-occupied 1-4 family homes and home equity: no supervisory limit, a mark at {mark} ({GUIDELINES})",
            *_steps(case, measured),
        ),
        what_if=what_if(case, OWNER_OCCUPIED_MARK),
    )


def _own_limit(case: Case, measured: Measured | None) -> Standing:
    """A limit that the message names, as one of the lender's own policy."""
    limit = case.own_limit_percent
    if limit is None:
        return Standing()
    text = percent_text(limit)
    if measured is None:
        return Standing(lines=(f"Limit named in the message: {text}",), what_if=what_if(case, limit))
    relation = _relation(measured.percent, limit)
    return Standing(
        short=f"{measured.worked.name} is {relation} the {text} that you name.",
        comparison=(f"{measured.worked.result}, {relation} the {text} that you name.",),
        lines=(f"Limit named in the message: {text}", *_steps(case, measured)),
        what_if=what_if(case, limit),
    )


def _relation(percent: Decimal, limit: Decimal) -> str:
    return "above" if percent > limit else "below" if percent < limit else "exactly at"


def _steps(case: Case, measured: Measured | None) -> tuple[str, ...]:
    """The steps of the measured ratio, where liens make it another than the plain one."""
    return measured.worked.steps if measured is not None and case.senior_liens else ()

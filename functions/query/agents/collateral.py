"""Works out LTV, CLTV, DTI, DSCR and coverage from the figures in a message, and says how they stand to the limits.

It explains and hands over to a person; it never approves or declines.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from functions.query.agent import AgentCard, Ask, Citation, Degradation, Reply, Status
from functions.query.amounts_text import percent_text, usd
from functions.query.collateral_case import Case, case_of
from functions.query.collateral_limits import Standing, standing
from functions.query.collateral_steps import Worked, sensitivity, shows_coverage, worked_ratios
from functions.query.collateral_unused import unused_figures
from functions.query.lending import InvalidFigures
from functions.query.quotation import Sought, quotation
from functions.query.supervisory_limits import CAPITAL_RULE, HAIRCUTS
from functions.query.unclear_numbers import currencies, unclear_numbers

_HAND_OVER = (
    "This explains the figures and decides nothing: whether the loan is made is for a person with lending authority, "
    "who also weighs what these ratios leave out."
)
_PLEASE_CHECK = "Please check the amounts and send them again."
_SURE, _READ_INTO, _INCOMPLETE = 1.0, 0.85, 0.6  # words plain; read into; with figures that count nowhere
_SCORE_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Remarks:
    """Figures of the message that count nowhere, and the currency of its amounts where it is not the US dollar."""

    unused: tuple[str, ...]
    foreign: tuple[str, ...]


def run(ask: Ask) -> Generator[Status | Reply, None, None]:
    yield Status(step="calculating")
    doubts = tuple(_doubts(ask.message))
    if doubts:
        yield Reply(answer=" ".join(doubts), answered=False, confidence=0.0)
        return
    try:
        case = case_of(ask)
        ratios, limits = worked_ratios(case), standing(case)
    except InvalidFigures as error:
        yield Reply(answer=f"{error.title}. {_PLEASE_CHECK}", answered=False, confidence=0.0)
        return
    if not ratios and not limits.what_if:
        yield Reply(answer=_ask_back(case), answered=False, confidence=0.0)
        return
    yield Status(step="searching")
    found = [quotation(ask.tools, sought) for sought in _sought(case, limits)]
    citations = tuple(
        replace(one.citation, score=round(one.citation.score, _SCORE_DIGITS))
        for one in found
        if one.citation is not None
    )
    degraded = tuple(dict.fromkeys(reason for one in found for reason in one.degraded))
    foreign = tuple(code for code in currencies(ask.message) if code != "USD")
    formed = {*(ratio.name for ratio in ratios), *(["bound"] if limits.what_if else [])}
    remarks = Remarks(unused=unused_figures(case, formed, ask.message), foreign=foreign)
    yield _reply(case, ratios, limits, citations, degraded, remarks)


def _doubts(message: str) -> Iterator[str]:
    """Questions about numbers that may mean more than one amount, and about amounts in several currencies."""
    for one in unclear_numbers(message):
        yield f"“{one.text}” {one.why}. Which amount is it? Please send your figures again with it."
    named = currencies(message)
    if len(named) > 1:
        yield f"The amounts are in {_joined(named)}. I convert none: please send them in one currency."


def _sought(case: Case, limits: Standing) -> Iterator[Sought]:
    """The statements of others that the answer rests on: the limit, and haircuts from the supervisors' table."""
    if limits.statement and case.category is not None:
        yield Sought(
            question=f"What is the supervisory loan-to-value limit for {case.category.name}?",
            topic="ltv",
            is_borne_by=case.category.is_borne_by,
        )
    for piece in case.pledged:
        if piece.standard_haircut and piece.kind is not None and shows_coverage(case):
            yield Sought(
                question=f"What is the standard supervisory haircut for {piece.kind}?",
                topic="haircuts",
                is_borne_by=HAIRCUTS[piece.kind].is_borne_by,
            )


def _reply(
    case: Case,
    ratios: Sequence[Worked],
    limits: Standing,
    citations: tuple[Citation, ...],
    degraded: tuple[Degradation, ...],
    remarks: Remarks,
) -> Reply:
    steps = (*case.derived, *(step for ratio in ratios for step in ratio.steps))
    extra = tuple(line for line in limits.lines if line not in steps)
    falls = sensitivity(case)
    table = _haircut_table(case) if shows_coverage(case) else ""
    statements = [one for one in (limits.statement, table) if one]
    paragraphs = [
        _lead(ratios, limits, "" if remarks.foreign else "$"),
        " ".join(_remarks(remarks)),
        _list("Steps:", steps),
        " ".join([*_marked(statements, case, citations), *limits.comparison]),
        _list("Largest loan and least value:", limits.what_if),
        _list("If the value falls:", falls),
        " ".join(_also_needed(case, ratios)),
        _HAND_OVER,
    ]
    return Reply(
        answer="\n\n".join(paragraph for paragraph in paragraphs if paragraph),
        answered=True,
        confidence=_INCOMPLETE if remarks.unused else _READ_INTO if case.derived or remarks.foreign else _SURE,
        citations=citations,
        calculation=(*steps, *extra, *((table,) if table else ()), *limits.what_if, *falls, *_not_used(remarks)),
        degraded=degraded,
    )


def _remarks(remarks: Remarks) -> Iterator[str]:
    if remarks.unused:
        which = "it stands" if len(remarks.unused) == 1 else "they stand"
        yield f"I did not use {_joined(remarks.unused)}: tell me what {which} for if it belongs into the result."
    if remarks.foreign:
        yield f"The amounts are taken as they stand, in {_joined(remarks.foreign)}; nothing is converted."


def _not_used(remarks: Remarks) -> Iterator[str]:
    if remarks.unused:
        yield f"Not used: {_joined(remarks.unused)}"


def _lead(ratios: Sequence[Worked], limits: Standing, sign: str) -> str:
    """The result in a sentence or two."""
    if not ratios:
        name, *_, figure = limits.what_if[0].split(" = ")
        return f"{name}: {sign}{figure}."
    results = ", ".join(ratio.result for ratio in ratios)
    return f"{results[0].upper()}{results[1:]}. {limits.short}".rstrip()


def _list(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)]) if lines else ""


def _marked(statements: Sequence[str], case: Case, citations: Sequence[Citation]) -> Iterator[str]:
    """The statements, each with the numbers of the citations that bear it."""
    for statement in statements:
        bears = case.category.is_borne_by if case.category and statement != _haircut_table(case) else _bears_a_haircut
        marks = "".join(f"[{number}]" for number, one in enumerate(citations, start=1) if bears(one.quote))
        yield f"{statement[:-1]} {marks}." if marks else statement


def _bears_a_haircut(sentence: str) -> bool:
    return any(haircut.is_borne_by(sentence) for haircut in HAIRCUTS.values())


def _haircut_table(case: Case) -> str:
    """Says where haircuts come from that the message does not name."""
    standard = [piece for piece in case.pledged if piece.standard_haircut]
    if not standard:
        return ""
    named = ", ".join(f"{piece.kind} {percent_text(piece.pledge.haircut_percent)}" for piece in standard)
    return f"Where no haircut is named, it is taken from the {CAPITAL_RULE}: {named}."


def _ask_back(case: Case) -> str:
    """What is understood, and what is missing for the ratio that is asked for."""
    known = [f"{name} {usd(amount)}" for name, amount in _understood(case)]
    have = f"I have {_joined(known)}. " if known else ""
    if case.unnamed:
        have += f"What does {_joined([usd(amount) for amount in case.unnamed])} stand for? "
    missing = _missing(case)
    return f"{have}To work this out I need {_joined(missing)}. What {'is it' if len(missing) == 1 else 'are they'}?"


def _understood(case: Case) -> Iterator[tuple[str, Decimal]]:
    if case.loan is not None:
        yield "a loan of", case.loan
    if case.value is not None:
        yield "a value of", case.value
    if case.income is not None:
        yield "a gross income of", case.income.usd
    if case.operating_income is not None:
        yield "a net operating income of", case.operating_income.usd
    if case.debt_service is not None:
        yield "a debt service of", case.debt_service.usd


_INCOME_RATIOS = frozenset({"DTI", "DSCR", "debt yield"})
_KIND = "the kind of property, such as raw land, improved property or an owner-occupied home"


def _missing(case: Case) -> list[str]:
    """What the asked-for ratios lack; without a named ratio, what the figures at hand point to."""
    if case.asks_largest_loan and case.category is None:
        return [*_without(case.value, "the value of the collateral"), _KIND]
    needed: list[str] = []
    if _wants(case, {"DTI"}, case.debts or case.income):
        needed += _without(case.debts or None, "the monthly debt payments")
        needed += _without(case.income, "the gross monthly income")
    if _wants(case, {"DSCR", "debt yield"}, case.operating_income or case.debt_service):
        needed += _without(case.operating_income, "the net operating income")
    if _wants(case, {"DSCR"}, case.operating_income or case.debt_service):
        needed += _without(case.debt_service, "the debt service")
    on_value = bool(case.asked & {"LTV", "CLTV", "coverage"}) or not (needed or case.asked & _INCOME_RATIOS)
    if on_value or "debt yield" in case.asked:
        needed += _without(case.loan, "the loan amount")
    if on_value:
        needed += _without(case.value, "the value of the collateral")
    return list(dict.fromkeys(needed)) or [_KIND]


def _wants(case: Case, ratios: set[str], figures: object) -> bool:
    """Whether one of `ratios` is asked for, or, where none is, whether there are figures for it."""
    return bool(case.asked & ratios) or (not case.asked and bool(figures))


def _without(known: object | None, name: str) -> list[str]:
    return [] if known is not None else [name]


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _also_needed(case: Case, ratios: Sequence[Worked]) -> Iterator[str]:
    """Names what is missing for a ratio that was asked for beside the ones that could be formed."""
    formed = {ratio.name for ratio in ratios}
    for name in sorted(case.asked - formed - {"CLTV"}):
        lacking = _missing(_only(case, name))
        if ratios:
            yield f"For the {name} I also need {_joined(lacking)}."


def _only(case: Case, ratio: str) -> Case:
    return replace(case, asked=frozenset({ratio}), asks_largest_loan=False)


AGENT = AgentCard(
    name="collateral",
    description="Works out LTV, CLTV, DTI, DSCR and collateral coverage from your figures, against the limits.",
    examples=(
        "House worth 400k, loan 350k",
        "What is the LTV of a 350,000 loan on a house worth 400,000?",
        "The property is valued at $500,000 and the loan is $380,000, what is the loan-to-value?",
        "House worth 400k, loan 350k, second lien 20k",
        "Borrowing 350 against a 400k house",
        "Calculate the LTV for a 1.2 million loan on an office building worth 1.5 million",
        "Calculate CLTV: first mortgage 250k, second mortgage 40k, value 380k",
        "What is my combined loan-to-value with a HELOC of 50k?",
        "Raw land worth $200,000, we want to lend $140,000",
        "Loan of 260k on raw land appraised at 400k, is that above the limit?",
        "Purchase price 500,000, appraised at 480,000, 20% down",
        "I buy a home for 450k and put 60k down",
        "How much can I borrow on raw land worth 300k?",
        "How much can I lend against a building worth 2 million?",
        "What is the largest loan for a property valued at 750,000?",
        "How much more collateral do we need for a 600k loan?",
        "How much smaller must the loan be to meet the limit?",
        "Monthly debt 2,100, gross monthly income 6,000",
        "What is my DTI with 2,500 in monthly payments and an income of 7,000?",
        "Calculate the debt-to-income ratio for debts of 1,900 and income of 5,200 a month",
        "She earns 84,000 a year and pays 2,300 a month on her debts",
        "NOI 120k, debt service 95k",
        "Work out the DSCR: net operating income 240,000, annual debt service 190,000",
        "Does an NOI of 150k cover debt service of 130k?",
        "What is the debt yield for NOI 90k on a 1 million loan?",
        "Coverage of a 500k loan by equipment worth 800k with a 50% haircut",
        "Receivables of 300k at 80% advance rate and inventory of 200k at 50%, loan 250k",
        "Is a 100k loan covered by shares worth 150k?",
        "Collateral coverage with a prior lien of 75k on machinery worth 400k, loan 200k",
        "We hold a deposit of 50k and gold worth 20k against a loan of 60k",
        "Existing first mortgage of 100k, new loan of 80k, value 300k",
        "Undrawn HELOC line of 40k, first mortgage 200k, home worth 350k: HCLTV?",
        "Construction of a multifamily building, cost 3 million, loan 2.5 million",
        "Land development loan of 900k, value 1.1 million",
        "What if the loan is 300k?",
        "What if the house is only worth 380k?",
        "And with a second lien of 30k?",
        "What happens to the LTV if the value drops by 20%?",
        "Stress the value: loan 700k, property 1 million",
        "Compute the ratios for my loan",
        "Can you calculate an LTV for me?",
        "Work out the loan-to-value from these figures",
        "Check this deal: 400k loan, warehouse worth 520k",
        "Our policy limit is 75%, loan 300k, value 390k",
        "The client owes 150k on a house worth 260k and wants another 60k",
        "350k / 400k",
    ),
    scope="query:ask",
    run=run,
)

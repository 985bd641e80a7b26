import re
from dataclasses import replace

import pytest

from functions.query.agent import Retrieved
from functions.query.agents.collateral import AGENT
from functions.query.figures import figures, is_supported
from tests.unit.functions.query import utterances
from tests.unit.functions.query.agents.collateral_desk import Desk, asked, sample_documents


def test_it_understands_a_terse_description() -> None:
    reply = asked("house worth 400k, loan 350k, second lien 20k")
    assert reply.answered
    assert reply.answer.startswith("LTV is 87.5 %, CLTV is 92.5 %.")
    assert reply.calculation[:2] == (
        "LTV = 350,000 / 400,000 = 87.5 %, in whole percent rounded up: 88 %",
        "CLTV = (350,000 + 20,000) / 400,000 = 92.5 %",
    )


def test_an_owner_occupied_home_has_no_limit_but_a_mark() -> None:
    reply = asked("house worth 400k, loan 350k, second lien 20k")
    assert "no supervisory limit is set" in reply.answer
    assert "LTV is 87.5 %, below that mark." in reply.answer
    assert "With every lien counted it is 92.5 %, at or above it." in reply.answer
    assert "mortgage insurance or readily marketable collateral" in reply.citations[0].quote


def test_the_mark_is_reached_at_exactly_90_percent() -> None:
    assert "LTV is 90 %, at or above that mark." in asked("house worth 400k, loan 360k").answer


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("raw land", 65),
        ("land development", 75),
        ("multifamily construction", 80),
        ("1-4 family construction", 85),
        ("an office building", 85),
    ],
)
def test_each_kind_of_property_meets_its_own_limit_quoted_from_the_documents(kind: str, limit: int) -> None:
    reply = asked(f"{kind} worth 1,000,000, loan 900,000")
    assert f"above the supervisory limit of {limit} %" in reply.answer
    assert f"Largest loan at {limit} % = 1,000,000 x {limit} % = {limit * 10_000:,}" in reply.calculation
    (citation,) = reply.citations
    assert f"{limit}%" in citation.quote
    assert f"[{1}]" in reply.answer
    assert citation.quote in sample_documents()[citation.document_id][1]


def test_the_what_if_says_how_much_smaller_a_loan_or_how_much_more_collateral() -> None:
    reply = asked("raw land worth 400k, loan 350k")
    assert "Smaller loan: 350,000 - 260,000 = 90,000 less" in reply.calculation
    assert "Value needed at 65 % = 350,000 / 65 % = 538,461.54" in reply.calculation
    assert "More collateral: 538,461.54 - 400,000 = 138,461.54 more" in reply.calculation


def test_below_the_limit_it_shows_the_room() -> None:
    reply = asked("raw land worth 400k, loan 200k")
    assert "below the supervisory limit of 65 %" in reply.answer
    assert "Room for a larger loan: 260,000 - 200,000 = 60,000" in reply.calculation


def test_at_the_limit_is_neither_above_nor_below() -> None:
    assert "exactly at the supervisory limit of 65 %" in asked("raw land worth 400k, loan 260k").answer


def test_sensitivity_shows_falls_of_10_20_and_30_percent() -> None:
    reply = asked("raw land worth 400k, loan 200k")
    assert reply.calculation[-3:] == (
        "Value -10 %: LTV = 200,000 / 360,000 ≈ 55.56 %",
        "Value -20 %: LTV = 200,000 / 320,000 = 62.5 %",
        "Value -30 %: LTV = 200,000 / 280,000 ≈ 71.43 %",
    )


def test_senior_liens_count_towards_the_limit() -> None:
    reply = asked("raw land worth 400k, loan 200k, existing first mortgage of 80k")
    assert "LTV with senior liens is 70 %, above the supervisory limit." in reply.answer
    assert "Largest loan at 65 % = 400,000 x 65 % - 80,000 = 180,000" in reply.calculation


def test_a_first_mortgage_alone_is_the_loan() -> None:
    reply = asked("Calculate CLTV: first mortgage 250k, second mortgage 40k, value 380k")
    assert "LTV = 250,000 / 380,000 ≈ 65.79 %, in whole percent rounded up: 66 %" in reply.calculation
    assert "CLTV = (250,000 + 40,000) / 380,000 ≈ 76.32 %" in reply.calculation


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("undrawn HELOC line of 40k", ["HCLTV = (200,000 + 40,000) / 400,000 = 60 %"]),
        (
            "HELOC limit 100k with 35k drawn",
            ["CLTV = (200,000 + 35,000) / 400,000 = 58.75 %", "HCLTV = (200,000 + 100,000) / 400,000 = 75 %"],
        ),
        (
            "HELOC limit 100k with 60k undrawn",
            ["CLTV = (200,000 + 40,000) / 400,000 = 60 %", "HCLTV = (200,000 + 100,000) / 400,000 = 75 %"],
        ),
    ],
)
def test_a_credit_line_counts_as_drawn_in_cltv_and_in_full_in_hcltv(line: str, steps: list[str]) -> None:
    reply = asked(f"first mortgage 200k, home worth 400k, {line}")
    assert [step for step in reply.calculation if "CLTV" in step] == steps


def test_a_purchase_takes_the_lower_of_price_and_appraisal_and_the_price_less_the_down_payment() -> None:
    reply = asked("Purchase price 500,000, appraised at 480,000, 20% down")
    assert reply.calculation[:3] == (
        "Value = the lower of price 500,000 and appraisal 480,000 = 480,000",
        "Loan = price 500,000 - down payment 100,000 = 400,000",
        "LTV = 400,000 / 480,000 ≈ 83.33 %, in whole percent rounded up: 84 %",
    )
    assert reply.confidence < 1


def test_of_ranges_it_takes_the_careful_end() -> None:
    reply = asked("300-350k loan on an office building worth between 500k and 520k")
    assert "LTV = 350,000 / 500,000 = 70 %" in reply.calculation
    assert reply.confidence < 1


def test_debt_to_income_takes_a_yearly_income_to_the_month() -> None:
    reply = asked("She earns 84,000 a year and pays 2,300 a month on her debts")
    assert reply.calculation == (
        "Gross monthly income = 84,000 / 12 = 7,000",
        "DTI = 2,300 / 7,000 ≈ 32.86 %",
    )


def test_several_payments_are_added() -> None:
    reply = asked("gross income 8k, car payment 450, mortgage payment 2,000")
    assert reply.calculation == ("DTI = (450 + 2,000) / 8,000 ≈ 30.63 %",)


def test_debt_service_coverage_and_debt_yield() -> None:
    reply = asked("NOI 120k, debt service 95k, loan 1m")
    assert reply.calculation[:2] == (
        "DSCR = 120,000 / 95,000 ≈ 1.26 (figures of a year)",
        "Debt yield = 120,000 / 1,000,000 = 12 %",
    )


def test_monthly_debt_service_is_taken_to_the_year() -> None:
    reply = asked("annual NOI 120k, monthly debt service 8k")
    assert "DSCR = 120,000 / 96,000 = 1.25 (figures of a year)" in reply.calculation


def test_payments_beside_an_operating_income_are_its_debt_service() -> None:
    assert asked("NOI 120k and payments of 100k").calculation[0].startswith("DSCR = 120,000 / 100,000 = 1.2")


def test_coverage_takes_haircuts_and_prior_liens_piece_by_piece() -> None:
    reply = asked(
        "loan 500k secured by equipment worth 400k with a 50% haircut and receivables of 300k with a 20% haircut; "
        "prior lien of 50k on the equipment"
    )
    assert "Equipment: 400,000 x (1 - 50 %) - 50,000 = 150,000" in reply.calculation
    assert "Accounts receivable: 300,000 x (1 - 20 %) = 240,000" in reply.calculation
    assert "Coverage = (150,000 + 240,000) / 500,000 = 0.78" in reply.calculation
    assert "Not covered = 500,000 - 390,000 = 110,000" in reply.calculation
    assert any(step.startswith("Value -10 %: coverage =") for step in reply.calculation)


def test_prior_liens_that_exceed_a_piece_leave_nothing_of_it() -> None:
    reply = asked("coverage of a 100k loan by equipment worth 50k, prior lien of 80k")
    assert "Equipment: 50,000 x (1 - 0 %) - 80,000 = 0 (the prior liens exceed it) (no haircut named)" in reply.answer


def test_an_advance_rate_is_the_rest_of_a_haircut() -> None:
    reply = asked("AR 500k at 85% and inventory 400k at 50% against a 600k line")
    assert "Coverage = (425,000 + 200,000) / 600,000 ≈ 1.04" in reply.calculation


def test_a_haircut_that_is_not_named_comes_from_the_supervisors_table_and_is_quoted() -> None:
    reply = asked("We hold a deposit of 50k and gold worth 20k against a loan of 60k")
    assert "Gold: 20,000 x (1 - 15 %) = 17,000 (standard supervisory haircut)" in reply.calculation
    assert [("0%" in one.quote, "15%" in one.quote) for one in reply.citations] == [(True, False), (False, True)]
    assert "[1][2]" in reply.answer


def test_a_limit_of_ones_own_policy_is_compared_beside_the_supervisors() -> None:
    reply = asked("Our policy limit is 75%, loan 300k, office building worth 390k")
    assert "above the 75 % that you name." in reply.answer
    assert "below the supervisory limit" in reply.answer
    assert "Largest loan at 75 % = 390,000 x 75 % = 292,500" in reply.calculation


def test_the_largest_loan_is_worked_out_without_a_loan() -> None:
    reply = asked("How much can I borrow on raw land worth 300k?")
    assert reply.answer.startswith("Largest loan at 65 %: $195,000.")
    assert reply.answered


def test_the_least_value_is_worked_out_without_a_value() -> None:
    reply = asked("How much collateral do I need for a 650k loan on raw land?")
    assert reply.answer.startswith("Value needed at 65 %: $1,000,000.")


def test_the_largest_loan_on_an_owner_occupied_home_is_bounded_by_the_mark() -> None:
    assert asked("How much can I borrow on my house worth 300k?").answer.startswith("Largest loan at 90 %: $270,000.")


def test_two_amounts_without_a_word_about_either_are_not_guessed() -> None:
    reply = asked("350k and 400k, what is the LTV?")
    assert not reply.answered
    assert "What does 350,000 and 400,000 stand for?" in reply.answer


def test_a_named_limit_bounds_a_loan_on_a_property_of_unknown_kind() -> None:
    reply = asked("How much can I borrow on a property worth 400k at 80% LTV?")
    assert "Largest loan at 80 % = 400,000 x 80 % = 320,000" in reply.calculation


def test_without_a_kind_of_property_no_limit_is_compared() -> None:
    reply = asked("350k / 400k")
    assert reply.answered
    assert reply.citations == ()
    assert "no supervisory limit is compared" in reply.answer


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        ("what's the LTV of my loan of 350k?", ["the value of the collateral"]),
        ("my house is worth 400k", ["the loan amount"]),
        ("calculate an LTV", ["the loan amount", "the value of the collateral"]),
        ("hello", ["the loan amount", "the value of the collateral"]),
        ("DTI with debts of 2000", ["the gross monthly income"]),
        ("monthly income 5k", ["the monthly debt payments"]),
        ("What is my DSCR?", ["the net operating income", "the debt service"]),
        ("debt service 90k", ["the net operating income"]),
        ("debt yield of NOI 90k", ["the loan amount"]),
        ("how much can I borrow on a property worth 400k", ["the kind of property"]),
        ("What is the maximum loan?", ["the value of the collateral", "the kind of property"]),
    ],
)
def test_it_asks_back_for_what_is_missing_and_for_nothing_else(message: str, missing: list[str]) -> None:
    reply = asked(message)
    assert not reply.answered
    assert reply.citations == ()
    every = {
        "the loan amount", "the value of the collateral", "the gross monthly income", "the monthly debt payments",
        "the net operating income", "the debt service", "the kind of property",
    }  # fmt: skip
    wanted = reply.answer.split("I need ")[1]
    assert {name for name in every if name in wanted} == set(missing)


def test_an_amount_that_says_nothing_is_asked_about() -> None:
    reply = asked("Is $500,000 & 80% enough; or not?")
    assert not reply.answered
    assert "What does 500,000 stand for?" in reply.answer


def test_beside_what_it_can_work_out_it_names_what_else_was_asked_for() -> None:
    reply = asked("office building worth 3 million, loan 2.4 million, and what is the DSCR?")
    assert reply.answered
    assert "For the DSCR I also need the net operating income and the debt service." in reply.answer


@pytest.mark.parametrize(
    "message", ["house worth $0, loan 350k", "debts 2,000 and income of $0", "NOI 5k, debt service $0"]
)
def test_a_figure_that_forms_no_ratio_is_named_and_not_answered(message: str) -> None:
    reply = asked(message)
    assert not reply.answered
    assert "above zero" in reply.answer


def test_absurdly_large_amounts_are_worked_out_like_any_other() -> None:
    reply = asked("loan of 999,999,999,999,999,999 billion, house worth $1, second lien 999999999999999 billion")
    assert reply.answered
    assert reply.answer.startswith("LTV is 99999999999999999900000000000 %")


def test_a_haircut_beyond_the_value_is_named_and_not_answered() -> None:
    reply = asked("coverage of a 50k loan by shares worth 100k with a haircut of 120%")
    assert not reply.answered
    assert "haircut no larger than the value" in reply.answer


def test_an_answer_to_what_was_asked_back_completes_the_case() -> None:
    assert "LTV = 350,000 / 400,000" in asked("what's the LTV of my loan of 350k?", "400k").answer
    assert "LTV = 350,000 / 400,000" in asked("my house is worth 400k", "350k").answer


def test_a_follow_up_changes_only_what_it_names() -> None:
    desk = Desk()
    desk.ask("house worth 400k, loan 350k, second lien 20k")
    land = desk.ask("and for raw land?")
    assert "LTV is 87.5 %, above the supervisory limit." in land.answer
    smaller = desk.ask("what if the loan is 200k?")
    assert "CLTV = (200,000 + 20,000) / 400,000 = 55 %" in smaller.calculation
    assert "supervisory limit of 65 % for raw land" in smaller.answer
    cheaper = desk.ask("and if it is appraised at 320k?")
    assert "LTV = 200,000 / 320,000 = 62.5 %, in whole percent rounded up: 63 %" in cheaper.calculation


def test_a_complete_case_takes_nothing_from_the_one_before() -> None:
    reply = asked("house worth 400k, loan 350k, second lien 20k", "raw land worth 100k, loan 50k")
    assert "LTV is 50 %." in reply.answer
    assert "CLTV" not in reply.answer


def test_turns_of_other_agents_lend_no_figures() -> None:
    desk = Desk()
    desk.heard("Is an $80,000 loan exempt from the appraisal rule?", "knowledge")
    assert not desk.ask("my house is worth 400k").answered


def test_without_a_document_it_names_the_guidelines_and_cites_nothing() -> None:
    desk = Desk(documents={})
    reply = desk.ask("raw land worth 400k, loan 350k")
    assert reply.answered
    assert reply.citations == ()
    assert "Interagency Guidelines for Real Estate Lending Policies" in reply.answer
    assert "[1]" not in reply.answer


def test_a_document_without_a_topic_is_found_too() -> None:
    text = "Limits.\n\nFor raw land the supervisory limit is 65 percent of value."
    desk = Desk(documents={"own": ("", text)})
    assert desk.ask("raw land worth 400k, loan 350k").citations[0].quote == (
        "For raw land the supervisory limit is 65 percent of value."
    )
    assert [where for _, where in desk.shelf.asked] == [{"topic": "ltv"}, None]


def test_a_sentence_with_another_figure_is_not_quoted() -> None:
    desk = Desk(documents={"old": ("ltv", "Raw land: the limit of our own policy is 60%.")})
    assert desk.ask("raw land worth 400k, loan 350k").citations == ()


def test_a_search_that_is_degraded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(documents={})
    plain = desk.shelf.retrieve
    monkeypatch.setattr(
        desk.shelf,
        "retrieve",
        lambda question, where=None: replace(plain(question, where=where), degraded=("retrieval",)),
    )
    assert desk.ask("raw land worth 400k, loan 350k").degraded == ("retrieval",)


def test_it_never_approves_declines_or_forbids() -> None:
    for message in utterances.COLLATERAL:
        answer = asked(message).answer.lower()
        assert not re.search(r"\b(?:approved?|declined?|denied|reject(?:ed)?|not allowed|forbidden|eligible)\b", answer)


def test_every_answer_hands_over_to_a_person() -> None:
    for message in ("raw land worth 400k, loan 350k", "NOI 120k, debt service 95k"):
        assert "for a person with lending authority" in asked(message).answer


@pytest.mark.parametrize("message", [*AGENT.examples, *utterances.COLLATERAL])
def test_every_figure_of_an_answer_stands_in_a_quote_or_in_the_calculation(message: str) -> None:
    reply = asked(message)
    shown = [*reply.calculation, *(citation.quote for citation in reply.citations)]
    sources = figures("\n".join(shown if reply.answered else [*shown, message]))
    plain = re.sub(r"\[\d+\]", "", reply.answer)
    assert [figure for figure in figures(plain, bare_words=False) if not is_supported(figure, sources)] == []


def test_most_ways_to_ask_are_understood() -> None:
    needs_history = {
        "what would the loan have to be to stay at the limit?", "how much extra collateral would bring 900k down to "
        "the limit", "what if it appraises at 350k instead", "suppose the loan were 420k",
        "and what about a loan of 250k?",
    }  # fmt: skip
    alone = [message for message in utterances.COLLATERAL if message not in needs_history]
    answered = [message for message in alone if asked(message).answered]
    assert len(answered) >= 0.95 * len(alone), sorted(set(alone) - set(answered))


def test_quotes_stand_verbatim_in_their_document() -> None:
    documents = sample_documents()
    for message in AGENT.examples:
        for citation in asked(message).citations:
            assert citation.quote in documents[citation.document_id][1]


@pytest.mark.parametrize(
    ("message", "unused"),
    [
        ("house worth 400k, loan 350k, 30k of something", "30,000"),
        ("house worth 400k, loan 350k at 7% over 30 years", "7 %"),
        ("house worth 400k, loan 350k, income 5,000", "5,000"),
        ("house worth 400k, loan 350k, credit score 680", "680"),
        ("house appraised at 400k, worth 390k, loan 350k", "390,000"),
        ("house worth 400k, loan 350k, 40k down", "40,000"),
        ("house worth 400k, loan 350k, 10% down", "10 %"),
        ("income 5,000, income 6,000, debts 1,500", "5,000"),
    ],
)
def test_a_figure_that_counts_nowhere_is_named_and_lowers_the_confidence(message: str, unused: str) -> None:
    reply = asked(message)
    assert reply.answered
    assert f"I did not use {unused}:" in reply.answer
    assert f"Not used: {unused}" in reply.calculation
    assert reply.confidence < 0.85


@pytest.mark.parametrize(
    "message",
    [
        "house worth 400k, loan 350k, second lien 20k",
        "first mortgage 200k, home worth 400k, HELOC limit 100k with 60k undrawn",
        "Purchase price 500,000, appraised at 480,000, 20% down",
        "AR 500k at 85% and inventory 400k at 50% against a 600k line",
        "NOI 120k and payments of 100k",
        "Our policy limit is 75%, loan 300k, office building worth 390k",
        "raw land worth 400k, loan 200k, what if the value drops by 20%?",
        "She earns 84,000 a year and pays 2,300 a month on her debts",
    ],
)
def test_where_every_figure_counts_nothing_is_remarked(message: str) -> None:
    assert "did not use" not in asked(message).answer


@pytest.mark.parametrize(
    ("message", "doubt"),
    [
        ("house 4OOk loan 350k", "“4OOk” has letters among its digits"),
        ("house 400k loan 35ok", "“35ok” has letters among its digits"),
        ("house -400k loan 350k", "“-400k” is an amount below zero"),
        ("house 400k, loan -$20k", "“-$20k” is an amount below zero"),
        ("house worth 400.000, loan 350k", "“400.000” may have a decimal point or a thousands separator"),
        ("house 400k, loan 350k, second lien 20,00", "“20,00” has commas where no thousands end"),
        ("house 400k, loan 350q", "“350q” has letters behind it that I do not know"),
        ("house €400k, loan $350k", "The amounts are in EUR and USD."),
    ],
)
def test_a_number_that_cannot_be_read_for_certain_is_asked_about(message: str, doubt: str) -> None:
    reply = asked(message)
    assert not reply.answered
    assert doubt in reply.answer
    assert reply.calculation == ()


def test_amounts_in_another_currency_are_taken_as_they_stand() -> None:
    reply = asked("raw land worth EUR 400k, how much can I borrow?")
    assert reply.answer.startswith("Largest loan at 65 %: 260,000.")
    assert "in EUR; nothing is converted" in reply.answer
    assert reply.confidence < 1


def test_a_loan_of_zero_is_refused() -> None:
    reply = asked("house 400k, loan 0")
    assert not reply.answered
    assert "above zero" in reply.answer


def test_every_lien_of_a_run_of_words_and_amounts_is_counted() -> None:
    reply = asked("house 400k loan 350k second lien 20k third lien 15k")
    assert reply.answer.startswith("LTV is 87.5 %, CLTV is 96.25 %.")


def test_the_limit_of_a_home_equity_line_is_no_limit_on_the_ratio() -> None:
    message = "LTV for loan of $350k; property value $400k; second mortgage of $30k; HELOC undrawn 40k limit 50k"
    assert asked(message).answer.startswith("LTV is 87.5 %, CLTV is 97.5 %, HCLTV is 107.5 %.")


@pytest.mark.parametrize("between", ["; ", ", "])
def test_payments_in_a_list_are_added(between: str) -> None:
    reply = asked(f"monthly debts 500, 300 and 200{between}income 4000 a month")
    assert reply.calculation == ("DTI = (500 + 300 + 200) / 4,000 = 25 %",)


def test_a_ratio_that_rounds_to_its_limit_is_shown_with_the_decimals_that_part_them() -> None:
    reply = asked("raw land worth 100k, loan 65001")
    assert reply.answer.startswith("LTV is 65.001 %. LTV is above the supervisory limit of 65 %")
    assert asked("raw land worth 300m, loan 195,001").answer.startswith("LTV is 0.07 %.")
    assert "LTV is 65.0000003 %" in asked("raw land worth 300m, loan 195,000,001").answer


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("NOI 120k", "95k", "DSCR = 120,000 / 95,000"),
        ("debt service 95k", "120k", "DSCR = 120,000 / 95,000"),
        ("monthly income 6,000", "2,100", "DTI = 2,100 / 6,000"),
    ],
)
def test_a_lone_amount_completes_the_ratio_that_was_begun(first: str, second: str, ratio: str) -> None:
    assert asked(first, second).calculation[0].startswith(ratio)


def test_a_new_deal_takes_nothing_from_the_one_before() -> None:
    reply = asked("house worth 400k, loan 350k, second lien 20k", "new deal: loan 100k")
    assert not reply.answered
    assert asked("house worth 400k, loan 350k", "new deal: loan 100k", "raw land worth 200k").answer.startswith(
        "LTV is 50 %."
    )


def test_citations_carry_scores_of_four_digits() -> None:
    desk = Desk()
    plain = desk.shelf.retrieve
    score = 0.123456789

    def retrieve(question: str, where: dict[str, str] | None = None) -> Retrieved:
        found = plain(question, where=where)
        return replace(found, passages=tuple(replace(one, score=score) for one in found.passages))

    desk.shelf.retrieve = retrieve  # type: ignore[method-assign]  # a shelf that scores otherwise
    assert [one.score for one in desk.ask("raw land worth 400k, loan 350k").citations] == [0.1235]

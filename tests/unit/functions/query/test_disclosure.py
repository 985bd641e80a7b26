import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.query.disclosure import (
    RUN_WORDS,
    decides,
    foreign_links,
    harmless_source,
    inactive,
    repeats_instructions,
)
from functions.query.instructions import DRAFT, ours

SOURCES = (
    "See https://www.fdic.gov/rules/34.html, ecfr.gov and mail desk@lender.example. "
    "Code QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk."
)


@pytest.mark.parametrize(
    "text",
    [
        "No address at all: U.S.C., e.g. 12 CFR 34.5(a), p.m., section 9.ii and $500,000/65 %.",
        "See https://www.fdic.gov/rules/34.html.",
        "See (HTTPS://WWW.FDIC.GOV/rules/34.html), or ecfr.gov; or fdic.gov.",
        "See http://fdic.gov/ first.",
        "Mail desk@lender.example!",
        "Code QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk stands there.",
    ],
)
def test_an_address_of_the_sources_may_be_given(text: str) -> None:
    assert foreign_links(text, SOURCES) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example",
        "![x](https://evil.example/p.png?d=QUJD)",
        "[f]: //evil.example/c",
        "www.evil.example",
        "evil.example/x",
        "x.evil.example",
        "https://www.fdic.gov/rules/34.html?d=Jane",
        "https://www.fdic.gov/other",
        "https://jane@fdic.gov",
        "https://jane.fdic.gov",
        "https://fdic.gov:8443",
        "ｈｔｔｐｓ：／／ｅｖｉｌ.example",
        "evil。example",
        "https://ev\u200bil.example",
        "b\u00fccher.example",
        "xn--bcher-kva.xn--p1ai",
        "http://169.254.169.254/latest",
        "169.254.169.254",
        "collector@evil.example",
        "collector@fdic.gov",
        "mailto:collector",
        "javascript:alert(1)",
        "data:text/html;base64,AAAA",
        "V2hhdCBpcyB0aGUgbG9hbi10by12YWx1ZSBsaW1pdA",
    ],
)
def test_any_other_address_is_foreign_and_so_is_what_looks_encoded(text: str) -> None:
    assert foreign_links(f"Look at {text} now.", SOURCES) != []


def test_eight_words_of_an_instruction_are_a_repetition_and_seven_are_not() -> None:
    words = DRAFT.split()
    assert repeats_instructions(" ".join(words[3 : 3 + RUN_WORDS]).upper())
    assert not repeats_instructions(" ".join(words[3 : 2 + RUN_WORDS]))


@pytest.mark.parametrize("text", ours())
def test_every_instruction_is_known_also_with_signs_between_its_words(text: str) -> None:
    assert repeats_instructions(text)
    assert repeats_instructions("_".join(text.split()))
    assert repeats_instructions("*\u200b ".join(text.split()))


@pytest.mark.parametrize(
    "sentence",
    [
        "Your loan application is approved [1].",
        "This request has been declined.",
        "The mortgage is now fully approved!",
        "Your credit was denied.",
        "You are pre-approved.",
        "We hereby approve the loan.",
        "I recommend to decline it.",
        "Decision: **APPROVED**",
        "Recommendation - approve",
        "Approved.",
        "Please approve this application.",
    ],
)
def test_a_decision_on_an_application_is_seen(sentence: str) -> None:
    assert decides(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "When the application is declined, a notice is sent within 30 days [1].",
        "The loan is approved only by two officers.",
        "A loan may be approved above the limit.",
        "Each exception is approved by the committee.",
        "Appraisers approved by the lender value the property.",
        "The application was declined on 5 May 2024, says the file.",
        "The appraisal is reviewed.",
    ],
)
def test_a_rule_or_a_report_about_decisions_is_none(sentence: str) -> None:
    assert not decides(sentence)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The limit is 65 % [1][2].\n\n- LTV < 80 & DTI > 43", "The limit is 65 % [1][2].\n\n- LTV < 80 & DTI > 43"),
        ("![x](https://a.example/p)", "![x] (https://a.example/p)"),
        ("[1](see there)", "[1] (see there)"),
        ("As in [1]: the limit.\n[f]: //a.example", "As in [1]: the limit.\n[f] : //a.example"),
        ("<img src=x> <https://a.example> </p> <!-- -->", "‹img src=x> ‹https://a.example> ‹/p> ‹!-- -->"),
        ("a\u200b\U000e0041b", "ab"),
    ],
)
def test_an_answer_is_made_plain_text(text: str, plain: str) -> None:
    assert inactive(text) == plain


@pytest.mark.parametrize("source", [None, "12 CFR 34", "https://a.example/p", "memo: land", "database export"])
def test_a_source_stays_as_it_is(source: str | None) -> None:
    assert harmless_source(source) is source


@pytest.mark.parametrize("source", ["javascript:alert(1)", " Data:text/html,x", "java\u200bscript:x", "file:///etc"])
def test_a_source_that_does_something_is_none(source: str) -> None:
    assert harmless_source(source) is None


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "/", "[", "<", "1.", "your loan ", "your a ", "we ", "a ", "="])
def test_the_checks_take_linear_time(piece: str) -> None:
    text = (piece * 50_000)[:50_000] + " x"
    started = time.perf_counter()
    foreign_links(text, text)
    decides(text)
    repeats_instructions(text)
    inactive(text)
    assert time.perf_counter() - started < 2


@given(st.text(max_size=200))
def test_an_address_of_the_text_itself_is_never_foreign(text: str) -> None:
    assert foreign_links(text, text) == []

"""Dates of birth and numbers of papers that say who somebody is, where a label says what they are.

Without one they look like every other date and number of a loan, and those stay. Passports, driver's licences and other
papers of identity have numbers of many forms; an employer's and a taxpayer's (EIN, TIN, ITIN) have one each.
"""

import re
from collections.abc import Iterator

from common.recognizers.patterns import pattern

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR_BEHIND = r"(?:,?[ \-]{1,2}\d{4})?"
_DATE = (
    r"(?:\d{4}[\-/.]\d{1,2}[\-/.]\d{1,2}|\d{1,2}[ ]?[\-/.][ ]?\d{1,2}[ ]?[\-/.][ ]?(?:\d{4}|\d\d)|"
    rf"(?:19|20)\d{{6}}|\d{{4}}(?:19|20)\d\d|{_MONTH}[ \-]{{0,2}}{_DAY}{_YEAR_BEHIND}|"
    rf"{_DAY}[ \-]{{1,2}}(?:of[ ])?{_MONTH}{_YEAR_BEHIND})(?!\d|[/\-.]\d)"
)
# Where a word begins, also within a key as programs write it: "borrowerDob", "borrower_dob".
_BEGINS = r"(?:(?<![^\W\d_])|(?<=[a-z])(?-i:(?=[A-Z])))"
_ENDS = r"(?![^\W\d_])"
# What stands between a label and its value, quotes, table lines and tags included.
_IS = r"(?:(?:[ ]is|[ ]was|['\u2019]s)(?![^\W\d_]))?"
_SIGN = (
    r"[\"'*)]{0,3}(?:[ ]?\([^()\n]{1,24}\))?[\"'*]{0,2}[ \t]{0,3}(?:[:=|#>\-\u2013][ \t*|#]{0,4})?\n?[ \t]{0,2}"
    r"[\"'*]{0,3}"
)

_BIRTH = pattern(
    rf"{_BEGINS}(?:dob|d\.[ ]?o\.[ ]?b\.?|date[ _\-]?of[ _\-]?birth|birth[ _\-]?da(?:te|y)|born){_ENDS}{_IS}{_SIGN}"
    rf"(?:on[ ])?(?:the[ ])?(?P<value>{_DATE})",
    re.IGNORECASE,
)
_FURTHER_DATE = pattern(rf"(?:,?[ ](?:and|&)|[,;/]|[ ]/)[ ]{{1,2}}(?P<value>{_DATE})", re.IGNORECASE)
_MAY_HOLD_BIRTH = ("dob", "o.b", "o. b", "birth", "born")

_NUMBER_WORD = r"(?:[ _\-]{0,2}(?:card|book))?(?:[ _\-]{0,2}(?:id|number|num|nos?|nr|#)\.?){0,2}(?<![ _\-])"
_PAPER = pattern(
    rf"{_BEGINS}(?:passport|driv(?:er|ing)(?:['\u2019]?s|s['\u2019])?[ _\-]?(?:licen[sc]e|lic\.?|permit|id)|"
    r"d\.?l\.?(?=[ ]?(?:no|num|#|:))|(?:state|government|photo|military|national|tribal|voter)[ _\-]?"
    r"(?:issued[ _\-])?id(?:entification|entity)?|green[ _\-]card|permanent[ _\-]resident[ _\-]card|"
    rf"alien(?:[ _\-]registration)?){_NUMBER_WORD}{_ENDS}{_IS}{_SIGN}"
    r"(?P<value>(?:[A-Z][ \-]|[A-Z]{1,11})?\d[A-Z0-9]{0,15}(?:[ \-][A-Z]?\d[A-Z0-9]{1,8}){0,5}(?:-\d)?)"
    r"(?!\w|[/.,]\d)",
    re.IGNORECASE,
)
_TAXPAYER = pattern(
    rf"{_BEGINS}(?:f?ein|i?tin|tax[ _\-]?(?:payer)?(?:['\u2019]?s)?[ _\-]?id(?:entification)?|"
    rf"employer(?:['\u2019]?s)?[ _\-]?id(?:entification)?){_NUMBER_WORD}{_ENDS}{_IS}"
    rf"(?:[ ]\((?:ein|tin|itin)\))?{_IS}{_SIGN}(?P<value>\d\d[ \-]?\d{{7}}|\d{{3}}[ \-]?\d\d[ \-]?\d{{4}})"
    r"(?!\w|[.,/\-]\d)",
    re.IGNORECASE,
)
# Numbers are rarer than labels, and a digit is quickly found, so these are looked for first.
_LIKE_A_NUMBER = pattern(r"\d(?:[A-Z0-9]{4}|[ \-]?\d\d[ \-]?\d\d)")
_BEFORE, _BEHIND = 128, 80  # characters: no label with its sign is longer, and no number


def birth_dates(text: str) -> Iterator[tuple[int, int]]:
    """Where dates of birth stand in `text`, after words that say so: half-open offsets, left to right."""
    lowered = text.lower()
    if not any(word in lowered for word in _MAY_HOLD_BIRTH):
        return
    for labelled in _BIRTH.finditer(text):
        found: re.Match[str] | None = labelled
        while found is not None:
            yield found.span("value")
            found = _FURTHER_DATE.match(text, found.end())


def id_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers of passports, licences, other papers and taxpayers stand in `text`, after words that say so.

    Half-open offsets, in no order; two may overlap.
    """
    position = 0
    for near in _LIKE_A_NUMBER.finditer(text):
        start, end = max(position, near.start() - _BEFORE), near.end() + _BEHIND
        for labelled in (_PAPER, _TAXPAYER):
            for found in labelled.finditer(text, start, end):
                value = found["value"]
                if found.start("value") <= near.start() and (labelled is _TAXPAYER or _is_number(value)):
                    yield found.span("value")
                    position = found.end()
        position = max(position, near.end())  # no label begins within a number


def _is_number(value: str) -> bool:
    """Whether it is more than a year or a count: "passport 2024". Some states mix letters in, "WDL0AB1C23D4"."""
    digits = sum(map(str.isdigit, value))
    return digits >= 5 or (digits >= 3 and len(value) >= 9 and value.isalnum() and value.isupper())

"""Postal addresses of the United States: a number and a street, or a box, with unit, town, state and ZIP behind it."""

import re
from collections.abc import Iterator

from common.recognizers.patterns import pattern

_STATES = (
    r"(?:A[LKZR]|C[AOT]|D[EC]|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[TA]|"
    r"W[AVIY]|PR|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|"
    r"Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|"
    r"Missouri|Montana|Nebraska|Nevada|New (?:Hampshire|Jersey|Mexico|York)|(?:North|South) (?:Carolina|Dakota)|Ohio|"
    r"Oklahoma|Oregon|Pennsylvania|Rhode Island|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|"
    r"Wisconsin|Wyoming)"
)
_TYPES = (
    r"(?:Street|St|Avenue|Ave|Boulevard|Blvd|Road|Rd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|Terrace|Ter|Trail|"
    r"Trl|Parkway|Pkwy|Highway|Hwy|Square|Sq|Plaza|Plz|Loop|Alley|Crescent|Cove|Turnpike|Expressway|Way)"
)
_DIRECTION = r"(?:[NSEW]|N[EW]|S[EW]|North|South|East|West|Northeast|Northwest|Southeast|Southwest)\.?"
_CAPITAL = r"[A-Z][A-Za-z'\u2019\-]{0,24}"
_NUMBER = r"(?<![\w.,$\u20ac\u00a3%/\-])\d{1,6}(?:-\d{1,4})?[A-Za-z]?(?![\w,.%]\d)"
_STREET = (
    rf"{_NUMBER}[ \t]{{1,2}}(?:{_DIRECTION}[ ])?"
    rf"(?P<street>(?:(?:{_CAPITAL}|\d{{1,3}}(?:st|nd|rd|th))\.?[ ]){{1,4}}?{_TYPES}(?:[ ]\d{{1,4}})?|Broadway|"
    rf"(?:(?:US|State|County|Old)[ ]){{0,2}}(?:Highway|Hwy|Route|Rte|Road|Rd)[ ]\d{{1,4}})"
    rf"(?![\w\-])(?:(?<=\b[A-Z][a-z])\.|(?<=\b[A-Z][a-z][a-z])\.|(?<=\bBlvd|\bPkwy)\.)?(?:,?[ ]{_DIRECTION}(?!\w))?"
)
_UNIT = (
    r"(?:,?[ \n]{1,2}(?:(?:Apartment|Apt|Unit|Suite|Ste|Floor|Room|Rm|Building|Bldg|Lot|No)\.?[ ]?#?|#[ ]?)"
    r"[A-Za-z0-9\-]{1,6}(?!\w))?"
)
_ZIP = r"\d{5}(?:-\d{4})?(?![\w\-])"
_TOWN = (
    rf"(?P<town>,?[ \t]{{0,2}}\n?[ \t]{{0,2}}(?:{_CAPITAL}\.?[ ]?){{1,4}}?,?[ ]{{0,2}}"
    rf"\b{_STATES}(?!\w)(?:,?[ ]{{1,2}}{_ZIP})?"
    rf"|,?[ ]{{1,2}}(?:{_CAPITAL},?[ ]{{1,2}}){{0,3}}?{_ZIP})?"
)
_ADDRESS = pattern(_STREET + _UNIT + _TOWN)
_AFTER_CUE = pattern(
    r"(?i:\b(?:address(?:es)?(?:[ ]is)?:?|lives?[ ](?:at|on)|living[ ](?:at|on)|located[ ](?:at|on)|"
    r"property[ ](?:at|on)|resid\w{1,3}[ ]at|(?:house|home|condo|apartment)[ ](?:at|on)|moved[ ]to|collateral[ ]at)[ ]"
    rf"(?P<address>{_STREET}{_UNIT}))"
    rf"(?P<place>(?:,?[ ]{{1,2}}[A-Za-z'\u2019\-]{{1,24}}){{1,4}}?,?[ ]{{1,2}}{_ZIP})?"
)
_BOX = pattern(rf"(?i:\b(?:P\.?[ ]?O\.?[ ]?|Post[ ]Office[ ])Box[ ]#?\d{{1,6}}(?!\w)){_TOWN}")
_HAS_BOX = pattern(r"box ?#?\d", re.IGNORECASE)
# What a number before it counts, or what it is the number of.
_NO_STREET = pattern(
    r"\b(?:days?|weeks?|months?|years?|percent|points?|family|units?|loans?|of|the|a|an|per|for|and|on|in|to|"
    r"(?:district|circuit|supreme|appeals|federal|bankruptcy|superior|tax|probate|state|county)[ ]court)\b",
    re.IGNORECASE,
)
_NUMBERED = pattern(
    r"(?:\b(?:section|sec|part|title|article|chapter|appendix|table|page|item|step|no|cfr|rule|regulation|form|stat|level|tier|"
    r"group)\.?|\u00a7{1,2})[ ]?\Z",
    re.IGNORECASE,
)
_YEAR = pattern(r"(?:19|20)\d\d[ ]")
_IN = pattern(r"\b(?:in|since|during|of|by|until|before|after|from|through|fiscal|year|for)[ ]\Z", re.IGNORECASE)


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where addresses stand in `text`: half-open offsets, in no order; two may overlap.

    A street is written with capitals, or stands after words that announce an address. Counts ("30 Day Court"),
    sections ("Section 8 Housing Way") and years ("in 2024 Wall Street") are none, unless a town's state or ZIP follows.
    """
    for found in _ADDRESS.finditer(text):
        if found["town"] or not _is_something_else(text, found):
            yield found.span()
    for found in _AFTER_CUE.finditer(text):
        if not _NO_STREET.search(found["street"]):
            yield found.start("address"), found.end()
    if _HAS_BOX.search(text) is not None:
        for found in _BOX.finditer(text):
            yield found.span()


def _is_something_else(text: str, found: re.Match[str]) -> bool:
    if _NO_STREET.search(found["street"]) or _NUMBERED.search(text, max(0, found.start() - 12), found.start()):
        return True
    is_year = _YEAR.match(text, found.start()) is not None
    return is_year and _IN.search(text, max(0, found.start() - 8), found.start()) is not None

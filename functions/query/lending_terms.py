"""The words of the field: roles of amounts, kinds of collateral and of loan, and how messages call them."""

import re
from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What an amount or a percentage stands for; the value is the word for it in an answer."""

    LOAN = "loan"
    VALUE = "value"
    APPRAISED_VALUE = "appraised value"
    PURCHASE_PRICE = "purchase price"
    DOWN_PAYMENT = "down payment"
    SENIOR_LIEN = "senior lien"
    JUNIOR_LIEN = "junior lien"
    LINE_LIMIT = "credit line"
    LINE_DRAWN = "drawn part of the line"
    LINE_UNDRAWN = "undrawn part of the line"
    DEBT = "debt payments"
    INCOME = "gross income"
    OPERATING_INCOME = "net operating income"
    DEBT_SERVICE = "debt service"
    HAIRCUT = "haircut"
    ADVANCE_RATE = "advance rate"
    LIMIT = "limit"


class Collateral(StrEnum):
    """Kinds of collateral; the value is the word for it in an answer."""

    HOME = "owner-occupied home"
    RAW_LAND = "raw land"
    LAND_DEVELOPMENT = "land development"
    CONSTRUCTION_COMMERCIAL = "commercial or multifamily construction"
    CONSTRUCTION_RESIDENTIAL = "1-4 family residential construction"
    IMPROVED_PROPERTY = "improved property"
    VEHICLE = "vehicle"
    EQUIPMENT = "equipment"
    RECEIVABLES = "accounts receivable"
    INVENTORY = "inventory"
    CASH = "cash or deposit"
    GOVERNMENT_SECURITIES = "government securities"
    BONDS = "bonds"
    SHARES = "listed shares"
    FUNDS = "fund shares"
    GOLD = "gold"


class Loan(StrEnum):
    """Kinds of loan."""

    HOME_EQUITY = "home equity"
    REFINANCE = "refinance"
    PURCHASE = "purchase"
    CONSTRUCTION = "construction"
    COMMERCIAL_REAL_ESTATE = "commercial real estate"
    SBA = "SBA"
    LINE_OF_CREDIT = "line of credit"
    BRIDGE = "bridge"
    TERM = "term"
    VEHICLE = "vehicle"


PERCENT_ROLES = frozenset({Role.HAIRCUT, Role.ADVANCE_RATE, Role.LIMIT, Role.DOWN_PAYMENT})

_SPACE = r"[\s-]{1,3}"
_FAMILY = rf"(?:(?:1|one){_SPACE}(?:to{_SPACE})?(?:4|four)|1[-–]4|single|two|three|four){_SPACE}family"
_TRADE = (
    r"(?:commercial|multi-?family|office|retail|hotel|warehouse|apartments?|condominiums?|cooperative|"
    r"non-?residential|industrial|shopping)"
)
_HOUSE = r"(?:houses?|homes?|townhouses?|townhomes?|residence|duplex|triplex|fourplex|bungalow|cottage)"

# Earlier kinds win where two begin at the same place, so the longer words come first.
_COLLATERAL: dict[Collateral, str] = {
    Collateral.CONSTRUCTION_RESIDENTIAL: (
        rf"{_FAMILY}(?: residential)?(?: home)? construction|(?:residential|home|house) construction|"
        rf"construction of (?:an? |the |our |new )?(?:{_FAMILY}|residential|{_HOUSE})(?: residential)?(?: {_HOUSE})?|"
        rf"(?:building|to build|build) (?:an? |the |our |my |new |a new ){{0,2}}(?:{_FAMILY} )?{_HOUSE}|"
        rf"{_HOUSE} under construction|spec homes?"
    ),
    Collateral.CONSTRUCTION_COMMERCIAL: (
        rf"{_TRADE}(?: building| property| real estate)? construction|"
        rf"construction of (?:an? |the |our |new )?{_TRADE}(?: building| complex| property)?|"
        rf"(?:building|to build|build) (?:an? |the |our |new ){{0,2}}{_TRADE}(?: building| complex)?|"
        rf"{_TRADE}(?: building| complex)? under construction"
    ),
    Collateral.LAND_DEVELOPMENT: (
        r"land (?:under |for )?development|(?:lot|site|subdivision) development|"
        r"subdivision|finished lots|land (?:that is )?(?:being|to be) developed|developing (?:the |a )?(?:land|lots)"
    ),
    Collateral.RAW_LAND: (
        r"(?:raw|vacant|bare|unimproved|undeveloped|empty) (?:land|lots?|parcel|ground|plot)|"
        r"land|parcel|acreage|plot"
    ),
    Collateral.IMPROVED_PROPERTY: (
        r"improved (?:property|real estate)|"
        rf"(?:rental|rented|investment|non-?owner-?occupied) (?:property|{_HOUSE}|condo|unit)|"
        rf"rental|investment property|{_TRADE}(?: building| property| center| real estate| park| space| complex)?|"
        r"office building|strip mall|storefront|building|farm"
    ),
    Collateral.HOME: (
        rf"owner{_SPACE}occupied(?: {_FAMILY})?(?: {_HOUSE}| property)?|"
        rf"{_FAMILY}(?: {_HOUSE}| property)?|{_HOUSE}|condo"
    ),
    Collateral.VEHICLE: r"vehicles?|cars?|trucks?|vans?|trailers?|fleet|auto",
    Collateral.EQUIPMENT: (
        r"(?:used |new )?(?:equipment|machinery|machines?|tools)|furniture(?: and fixtures)?|fixtures"
    ),
    Collateral.RECEIVABLES: r"(?:accounts )?receivables?|(?:eligible )?a/?r|invoices",
    Collateral.INVENTORY: r"inventory|stock in trade|raw materials|finished goods",
    Collateral.GOVERNMENT_SECURITIES: (
        r"treasur(?:y|ies)(?: (?:bonds?|bills?|notes?))?|government (?:bonds?|securities)|t-bills?"
    ),
    Collateral.BONDS: r"(?:corporate |municipal )?bonds?|debt securities",
    Collateral.FUNDS: r"(?:mutual |money market |investment )?funds?(?: shares)?|etfs?",
    Collateral.SHARES: (
        r"(?:listed |publicly traded )?(?:shares|stocks|equities|securities)|brokerage account|portfolio"
    ),
    Collateral.GOLD: r"gold(?: bars?| coins?| bullion)?",
    Collateral.CASH: r"cash|deposit accounts?|deposits?|savings(?: accounts?)?|certificates? of deposit|cds?",
}

_LOANS: dict[Loan, str] = {
    Loan.HOME_EQUITY: r"home equity(?: line(?: of credit)?| loan)?|heloc",
    Loan.REFINANCE: r"refinanc(?:e|es|ed|ing)|cash-out",
    Loan.CONSTRUCTION: r"construction(?: loan)?",
    Loan.COMMERCIAL_REAL_ESTATE: r"commercial (?:real estate|mortgage)(?: loan)?|cre loan",
    Loan.SBA: r"sba|7\(a\)|504 loan",
    Loan.LINE_OF_CREDIT: r"(?:revolving )?(?:credit line|line of credit|revolver)",
    Loan.BRIDGE: r"bridge (?:loan|financing)",
    Loan.TERM: r"term loan",
    Loan.VEHICLE: r"(?:car|auto|truck|vehicle) (?:loan|financing)",
    Loan.PURCHASE: r"purchas(?:e|es|ed|ing)|buy(?:s|ing)?|bought|acquisition",
}

_MORTGAGE = r"(?:liens?|mortgages?|loans?|deeds? of trust|trust deeds?|claims?|encumbrances?)"
_ITS = r"(?:the|a|an|my|our|this|that|his|her|their)"
_ON_IT = rf"(?: (?:on|against|for|secured by) {_ITS} (?:{_HOUSE}|property|land|building|condo))?"
_PER = r"(?:monthly |annual |yearly |total |gross |net |household |combined |all |recurring |existing |my |their )"
_ROLES: dict[Role, str] = {
    Role.ADVANCE_RATE: r"advance rates?",
    Role.HAIRCUT: r"haircuts?|discounts?|marked down(?: by)?",
    Role.LINE_UNDRAWN: (
        r"(?:undrawn|unused|undisbursed)"
        r"(?: (?:portion|part|balance|amount|of|on|the|a|heloc|line|credit|home|equity|limit)){0,6}"
    ),
    Role.LINE_DRAWN: (
        r"(?:already |currently )?drawn(?: (?:balance|amount|down|on|the|heloc|line|part|of))*?|"
        r"heloc balance|balance (?:on|of) (?:the |a )?heloc"
    ),
    Role.LINE_LIMIT: r"(?:heloc|home equity line)(?: of credit)?(?: line)?(?: limit)?",
    Role.JUNIOR_LIEN: (
        rf"(?:(?:second|2nd|third|3rd|junior|subordinate)(?: {_MORTGAGE})|piggyback(?: {_MORTGAGE})?|"
        rf"subordinate financing)"
    ),
    Role.SENIOR_LIEN: (
        r"(?:(?:existing|outstanding|current|prior|senior|first|1st|other|remaining|underlying|old) ){1,3}"
        rf"{_MORTGAGE}|"
        r"liens?|mortgage balance|still owes?|owes?|owed|owing|payoff(?: amount)?|encumbrances?|prior claims?"
    ),
    Role.DEBT_SERVICE: rf"{_PER}{{0,2}}debt{_SPACE}service(?: payments?)?|annual (?:loan |debt |mortgage )?payments?",
    Role.DEBT: (
        rf"{_PER}{{0,2}}(?:debts?(?: payments?| obligations?)?|obligations|bills|instal?lments)|"
        rf"{_PER}{{0,2}}(?:mortgage |car |loan |card |credit card |student loan |housing |rent )?payments?|"
        r"pays?|paying|rent"
    ),
    Role.OPERATING_INCOME: rf"{_PER}{{0,2}}(?:operating income|noi|ebitda|cash flow)",
    Role.INCOME: (
        rf"{_PER}{{0,3}}(?:income|salary|wages|earnings)|(?:gross|monthly|annual) pay|earns?|earning|makes|i make"
    ),
    Role.DOWN_PAYMENT: r"down payments?|down|own funds",
    Role.APPRAISED_VALUE: r"apprais(?:ed|al|es|ing)(?: value)?(?: (?:came in|comes in|is|was))?(?: at| for)?|valuation",
    Role.PURCHASE_PRICE: (
        r"(?:purchase|sales?|contract|asking|list) price|price|cost(?:s|ing)?|selling for|sells for|paid|"
        r"(?:buy(?:s|ing)?|bought|purchas(?:e|es|ed|ing))"
        r"(?: (?:it|the|a|an|this|house|home|property|condo|land)){0,3}(?: for)?"
    ),
    Role.LOAN: (
        r"new (?:first )?(?:mortgage|loan)|"
        rf"(?:house|home|land|property|construction|bridge|term) (?:loan|mortgage){_ON_IT}|"
        rf"loans?(?: amount| size| balance| request)?{_ON_IT}|mortgages?(?: amount)?{_ON_IT}|"
        r"borrow(?:s|ed|ing)?|lend(?:s|ing)?|lent|financ(?:e|es|ed|ing)|principal|"
        r"credit lines?|lines? of credit|line|facility|revolver|"
        r"refinanc(?:e|es|ed|ing)|request(?:s|ed|ing)?|needs?|wants?"
    ),
    Role.VALUE: (
        r"worth|valued(?: at)?|(?:(?:market|property|home|collateral|current|as-is|estimated|fair|land) ){0,2}values?|"
        r"property|real estate|against|collateral|as security"
    ),
    Role.LIMIT: (
        r"(?:policy |ltv |internal |our |own |maximum |max ){0,3}(?:limits?|cap|ceiling|maximum)|"
        r"max|ltv|loan[ -]to[ -]value|cltv"
    ),
}

WEAK_VALUE_CUES = frozenset({"property", "real estate", "against", "collateral", "as security"})


def _compiled(patterns: Mapping[Role, str] | Mapping[Collateral, str] | Mapping[Loan, str]) -> re.Pattern[str]:
    """One pattern with a group a kind, named after the kind's member."""
    groups = "|".join(f"(?P<{kind.name}>{pattern})" for kind, pattern in patterns.items())
    return re.compile(rf"(?<![\w])(?:{groups})(?![\w])", re.IGNORECASE)


ROLES = _compiled(_ROLES)
COLLATERAL = _compiled(_COLLATERAL)
LOANS = _compiled(_LOANS)

"""Country calling codes, and how long the numbers behind them are.

Source: ITU-T E.164, its list of assigned country codes, and the national numbering plans.
"""

LONGEST_OF_ALL = 15  # digits of any number, its country code included

# Digits of the longest number, the code included, where it is known to be less.
_LONGEST = {
    code: int(longest)
    for longest, codes in {
        "10": "45 47 65 354",
        "11": "1 7 27 31 32 33 34 36 40 41 48 51 56 61 66 370 371 372 386 852",
        "12": "20 30 44 46 57 60 63 64 81 82 84 90 91 92 351 353 359 380 385 420 421 886 971 972",
        "13": "39 43 52 54 55 86 358",
        "14": "49 62",
    }.items()
    for code in codes.split()
}
_UNASSIGNED = frozenset("0 28 83 89 210 214 215 217 219 259 384 422 424 425 426 427 428 429 699 851".split())


def longest(digits: str) -> int:
    """Most digits that a number which begins with `digits`, its country code first, can have."""
    return next((_LONGEST[digits[:size]] for size in (1, 2, 3) if digits[:size] in _LONGEST), LONGEST_OF_ALL)


def is_country(digits: str) -> bool:
    """Whether `digits` begin with a country code that somebody has."""
    return not any(digits[:size] in _UNASSIGNED for size in (1, 2, 3))

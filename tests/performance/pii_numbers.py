"""Numbers of people and machines for `tests.performance.pii_values`: random digits, valid by their own checksums."""

import string
from collections.abc import Callable
from random import Random
from uuid import UUID

Draw = Callable[[Random], str]

IBAN_SHAPES = {
    "DE": "##################",
    "GB": "AAAA##############",
    "FR": "##########XXXXXXXXXXX##",
    "NL": "AAAA##########",
    "ES": "####################",
    "IT": "A##########XXXXXXXXXXXX",
    "CH": "#####XXXXXXXXXXXX",
    "BE": "############",
    "AT": "################",
    "NO": "###########",
    "PL": "########################",
    "SE": "####################",
    "MT": "AAAA#####XXXXXXXXXXXXXXXXXX",
    "SA": "##XXXXXXXXXXXXXXXXXX",
}

CARD_SHAPES = {
    "4": (16, 16, 16, 13, 19),
    "51": (16,),
    "55": (16,),
    "2221": (16,),
    "34": (15,),
    "37": (15,),
    "6011": (16,),
    "65": (16,),
    "3528": (16,),
    "36": (14,),
    "62": (16,),
    "5018": (16,),
}

US_PHONES = """NZZ-NZZ-####|(NZZ) NZZ-####|NZZ.NZZ.####|NZZ NZZ ####|+1 NZZ NZZ ####|+1-NZZ-NZZ-####|1-NZZ-NZZ-####
|+1NZZNZZ####|(NZZ)NZZ-####|001-NZZ-NZZ-####|NZZ-NZZ-####x###|NZZ-NZZ-#### ext. ###|+1 (NZZ) NZZ-####|+1.NZZ.NZZ.####
|(NZZ)NZZ-####x####|1 NZZ NZZ ####|+1-NZZ-NZZ-####x#####|001-NZZ-NZZ-####x##|1-800-NZZ-####"""

WORLD_PHONES = """+44 20 7### ####|+44 7### ######|+49 30 ########|+49 151 ########|+33 6 ## ## ## ##|+39 3## ### ####
|+34 6## ### ###|+31 6 ########|+41 79 ### ## ##|+61 4## ### ###|+91 9#### #####|+81 90-####-####|+55 (11) 9####-####
|+46-70-### ## ##|0044 20 7### ####|+353 8# ### ####|+972-5#-###-####|+447#########|+49 (0)89 ### ####
|+44 (0)20 7### ####|+48 5## ### ###|+351 91# ### ###|+90 5## ### ## ##|+86 138 #### ####|+358 40 ### ####
|+47 ## ## ## ##|+43 1 ### ####|+36-1-###-####|+27 82 ### ####|+4#-##.### ####|+3#-## ### ####"""

LOCAL_PHONES = """020 7### ####|07### ######|0151 #######|06 ## ## ## ##|6## ### ###|030/#######|079 ### ## ##
|04## ### ###|(02) #### ####|03#-#######|0##-### ## ##|9#### #####|0#.##.##.##.##|(0121) ### ####|0##.### ####
|0### ## ## ##|0## ### ####|0#########|08-### ### ##|(0##) ###-####|0#### ######|02## ######"""


def text_of(shape: str, random: Random) -> str:
    """`shape` with # a digit, N 2-9, Z a digit as in area codes (no x11), A a capital, X a capital or digit."""
    alphabets = {
        "#": string.digits,
        "N": "23456789",
        "Z": "023456789",
        "A": string.ascii_uppercase,
        "X": string.ascii_uppercase + string.digits,
    }
    return "".join(random.choice(alphabets[char]) if char in alphabets else char for char in shape)


def shaped(*shapes: str) -> Draw:
    return lambda random: text_of(random.choice(shapes), random)


def chars(random: Random, alphabet: str, count: int) -> str:
    return "".join(random.choices(alphabet, k=count))


def lower_hex(random: Random, count: int) -> str:
    return chars(random, "0123456789abcdef", count)


def odd_phone(random: Random) -> str:
    """Groups parted now by one sign, now by another, as people and other generators write them."""
    sizes = random.choice([(3, 3, 4), (2, 3, 4), (3, 4, 3), (4, 3, 3), (2, 2, 3, 3), (4, 6), (3, 2, 2, 3)])
    groups = [
        "0" + chars(random, string.digits, sizes[0] - 1),
        *(chars(random, string.digits, one) for one in sizes[1:]),
    ]
    if random.random() < 0.5:
        groups[0] = f"({groups[0]})" if random.random() < 0.4 else f"+{random.randint(20, 99)}-{groups[0]}"
    return groups[0] + "".join(random.choice(" -.") + group for group in groups[1:])


def phone(shapes: str) -> Draw:
    """`shapes` are parted by `|`."""
    return shaped(*shapes.replace("\n", "").split("|"))


def ssn(random: Random) -> str:
    """A number as it could have been assigned, or (one in ten) a taxpayer number of the ITIN ranges."""
    if random.random() < 0.1:
        area, group = random.randint(900, 999), random.choice([70, 75, 88, 90, 92, 94, 99])
    else:
        area, group = random.choice([one for one in range(1, 900) if one != 666]), random.randint(1, 99)
    return f"{area:03}{group:02}{random.randint(1, 9999):04}"


def grouped_ssn(separator: str) -> Draw:
    def draw_one(random: Random) -> str:
        digits = ssn(random)
        return separator.join((digits[:3], digits[3:5], digits[5:]))

    return draw_one


def luhn_digit(digits: str) -> str:
    doubled = (int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def card(random: Random) -> str:
    prefix = random.choice([*CARD_SHAPES, "4", "4", "51"])
    body = prefix + chars(random, string.digits, random.choice(CARD_SHAPES[prefix]) - len(prefix) - 1)
    return body + luhn_digit(body)


def grouped_card(random: Random) -> str:
    digits, separator = card(random), random.choice(" -")
    sizes = {14: (4, 6, 4), 15: (4, 6, 5)}.get(len(digits), (4, 4, 4, 4, 4))
    return separator.join(_cut(digits, sizes))


def _cut(text: str, sizes: tuple[int, ...]) -> list[str]:
    parts, start = [], 0
    for size in sizes:
        parts.append(text[start : start + size])
        start += size
    return [part for part in parts if part]


def not_a_card(random: Random) -> str:
    """16 digits with a card's beginning and a wrong last digit."""
    digits = "4" + chars(random, string.digits, 14)
    return digits + str((int(luhn_digit(digits)) + random.randint(1, 9)) % 10)


def iban(random: Random) -> str:
    country = random.choice(list(IBAN_SHAPES))
    body = text_of(IBAN_SHAPES[country], random)
    number = int("".join(str(int(char, 36)) for char in f"{body}{country}00"))
    return f"{country}{98 - number % 97:02}{body}"


def grouped_iban(random: Random) -> str:
    whole = iban(random)
    return " ".join(whole[start : start + 4] for start in range(0, len(whole), 4))


def routing(random: Random) -> str:
    """Nine digits with a Federal Reserve prefix and the ABA's 3-7-1 checksum."""
    body = f"{random.choice([*range(1, 13), *range(21, 33)]):02}{random.randint(0, 999999):06}"
    total = sum(int(digit) * weight for digit, weight in zip(body, (3, 7, 1, 3, 7, 1, 3, 7), strict=True))
    return f"{body}{-total % 10}"


def ip4(random: Random) -> str:
    """An address; never with four equal parts, nor one that a version number would look like (small parts only)."""
    return f"{random.choice([10, 52, 81, 145, 172, 192, 203, 34])}." + ".".join(
        str(random.randint(20, 254)) for _ in range(3)
    )


def ip6(random: Random) -> str:
    groups = [f"{random.randint(0, 65535):x}" for _ in range(8)]
    groups[0] = random.choice(["2001", "fe80", "fd12", "2a02", "2607"])
    if random.random() < 0.4:
        return ":".join(groups[:3]) + "::" + groups[7]
    return ":".join(groups)


def mac(random: Random) -> str:
    return ":".join(f"{random.randint(0, 255):02x}" for _ in range(6))


def uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))

"""Passwords, keys and tokens for `tests.performance.pii_values`: drawn anew each time, none was ever valid."""

import base64
import json
import string
from collections.abc import Mapping
from random import Random

from tests.performance.pii_numbers import Draw, chars, lower_hex, text_of, uuid

WORDS = """river maple silver orbit copper falcon winter meadow pixel harbor cobalt lantern summer dragon sunset monkey
coffee planet""".split()

VENDOR_SHAPES = (
    ("AKIA", "A", 16),
    ("ASIA", "A", 16),
    ("AIza", "a", 35),
    ("ghp_", "a", 36),
    ("gho_", "a", 36),
    ("github_pat_11", "a", 60),
    ("glpat-", "a", 20),
    ("xoxb-", "a", 40),
    ("xoxp-", "a", 44),
    ("sk_live_", "a", 24),
    ("rk_live_", "a", 24),
    ("sk-proj-", "a", 48),
    ("sk-ant-api03-", "a", 80),
    ("hf_", "a", 34),
    ("npm_", "a", 36),
    ("pypi-AgEIcHlwaS5vcmc", "a", 60),
    ("SG.", "a", 22),
    ("key-", "x", 32),
    ("SK", "x", 32),
    ("dop_v1_", "x", 64),
    ("shpat_", "x", 32),
    ("hvs.", "a", 24),
    ("GOCSPX-", "a", 28),
    ("ya29.", "a", 60),
    ("dckr_pat_", "a", 27),
    ("lin_api_", "a", 40),
    ("PMAK-", "x", 24),
    ("sq0atp-", "a", 22),
    ("EAAC", "a", 60),
    ("glsa_", "a", 32),
    ("whsec_", "a", 32),
    ("gsk_", "a", 52),
    ("r8_", "a", 37),
    ("AGE-SECRET-KEY-1", "A", 58),
)


def alphanumeric(random: Random, count: int) -> str:
    return chars(random, string.ascii_letters + string.digits, count)


def base64_of(random: Random, count: int) -> str:
    return base64.b64encode(random.randbytes(count)).decode()


def word_password(random: Random) -> str:
    """As people make them: words, a year, leet letters, signs."""
    word = random.choice(WORDS)
    return random.choice(
        [
            f"{word.title()}{random.randint(1990, 2029)}!",
            f"{word}{random.randint(10, 999)}",
            f"{word.replace('o', '0').replace('e', '3').title()}@{random.randint(1, 99)}",
            f"{word}{random.choice(WORDS).title()}{random.randint(1, 9)}",
            f"{word[:3].upper()}#{random.randint(1000, 9999)}${word[3:]}",
        ]
    )


def strong_password(random: Random) -> str:
    """Of all four kinds of characters, in any order but for a letter at the beginning."""
    needed = [random.choice(kind) for kind in (string.ascii_lowercase, string.digits, "!#%^*-_+?")]
    rest = [*needed, *chars(random, string.ascii_letters + string.digits + "!#%^*-_+?", random.randint(7, 16))]
    random.shuffle(rest)
    return random.choice(string.ascii_uppercase) + "".join(rest)


def jwt(random: Random) -> str:
    def part(value: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": str(random.randint(1000, 99999)), "iat": random.randint(16 * 10**8, 18 * 10**8)}
    signature = base64.urlsafe_b64encode(random.randbytes(32)).decode().rstrip("=")
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{signature}"


def pem(random: Random) -> str:
    kind = random.choice(["RSA ", "EC ", "", "OPENSSH "])
    body = "\n".join(base64_of(random, 48) for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


def public_key(random: Random) -> str:
    body = "\n".join(base64_of(random, 48) for _ in range(3))
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----"


def prefixed(*shapes: tuple[str, str, int]) -> Draw:
    """One of `shapes`: a vendor's prefix, the alphabet (`a` letters and digits, `x` hex, `A` capitals) and length."""
    alphabets = {
        "a": string.ascii_letters + string.digits,
        "x": "0123456789abcdef",
        "A": string.ascii_uppercase + "234567",
    }

    def draw_one(random: Random) -> str:
        prefix, alphabet, count = random.choice(shapes)
        return prefix + chars(random, alphabets[alphabet], count)

    return draw_one


def telegram(random: Random) -> str:
    return f"{random.randint(10**8, 10**10)}:AA{alphanumeric(random, 33)}"


def slack_webhook(random: Random) -> str:
    parts = (f"T{text_of('XXXXXXXX', random)}", f"B{text_of('XXXXXXXX', random)}", alphanumeric(random, 24))
    return "https://hooks.slack.com/services/" + "/".join(parts)


def urlencoded(random: Random) -> str:
    return f"{random.choice(WORDS)}%40{random.randint(10, 99)}%21{alphanumeric(random, 4)}"


def basic(random: Random) -> str:
    return base64.b64encode(f"admin:{strong_password(random)}".encode()).decode()


def token(random: Random) -> str:
    return random.choice([alphanumeric(random, 32), lower_hex(random, 40), base64_of(random, 30), uuid(random)])

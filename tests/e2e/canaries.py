"""Personal data and secrets of nobody, a set for each request, and the search for them in what left a process."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from hashlib import sha512
from pathlib import Path
from urllib.parse import unquote_plus

from common.security.api_keys import ID_ALPHABET, ID_CHARACTERS, PREFIX, SECRET_CHARACTERS, checksum
from tests.token_issuer import b64


@dataclass(frozen=True, slots=True)
class Canaries:
    """Made-up values in the forms that people and machines write."""

    email: str
    phone: str
    ssn: str
    card: str
    iban: str
    key: str
    password: str
    api_key: str
    id_token: str

    @property
    def values(self) -> tuple[str, ...]:
        whole = (getattr(self, one.name) for one in fields(self))
        return (*whole, *parts_of(self.api_key), *parts_of(self.id_token))

    @property
    def sentence(self) -> str:
        return (
            f"I am {self.email}, SSN {self.ssn}, call {self.phone}, card {self.card}, IBAN {self.iban}, "
            f"api key {self.key}, password={self.password}, {self.api_key} and {self.id_token}. "
            "What is the LTV limit for raw land?"
        )


def canaries(number: int) -> Canaries:
    """The set of `number`, 0 to 9,999."""
    four = f"{number:04d}"
    return Canaries(
        email=f"canary.{four}+loans@leak-example.org",
        phone=f"(415) 555-{four}",
        ssn=f"219-47-{number % 9_999 + 1:04d}",
        card=" ".join(_groups(_with_check_digit(f"411111{four}98765"))),
        iban=_iban(f"5001051754073{four}1"),
        key="sk_live_" + f"4eC39HqLyjWDarjtT1zdp7d{four}",
        password=f"Tr0ub4dor-{four}",
        api_key=_api_key(four),
        id_token=_id_token(four),
    )


def parts_of(credential: str) -> tuple[str, ...]:
    """What of an API key or ID token nobody may see even alone: the secret, or the claims and the signature."""
    return tuple(credential.split(".")[1:]) or (credential.rpartition("_")[2],)


def found_in(texts: Iterable[bytes], sets: Iterable[Canaries]) -> list[str]:
    """Each value that stands in one of `texts`, also form-encoded, and numbers whatever stands between their digits."""
    written = b"\n".join(texts).decode(errors="replace")
    whole = f"{written}\n{unquote_plus(written)}"
    numbers = {match[0] for one in _separated(whole) for match in _NUMBER.finditer(one)}
    found = set()
    for one in sets:
        found |= {value for value in one.values if value in whole}
        found |= {value for value in (one.phone, one.ssn, one.card, one.iban) if _compact(value) in numbers}
    return sorted(found)


_NUMBER = re.compile(r"(?:DE)?\d{9,22}")
_BETWEEN = re.compile(r"(?<=[\dE])[ ()+_./-]{1,3}(?=\d)")


def _separated(text: str) -> tuple[str, str]:
    """`text` as it is, and without what stands between digits."""
    return text, _BETWEEN.sub("", text.replace("(", " "))


def _compact(value: str) -> str:
    return "".join(filter(str.isalnum, value))


def files_below(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def _api_key(four: str) -> str:
    """One that nobody was given, in the shape of those that are looked up."""
    key_id = ("canary" + "".join(ID_ALPHABET[int(digit)] for digit in four)).ljust(ID_CHARACTERS, "z")
    secret = (f"Canary{four}" + "7KqX" * 9)[:SECRET_CHARACTERS]
    return f"{PREFIX}{key_id}_{secret}{checksum(key_id, secret)}"


def _id_token(four: str) -> str:
    """One that nobody signed; its issuer's key set has a key of this name."""
    header = {"alg": "RS256", "kid": "key-0", "typ": "JWT"}
    claims = {"iss": "https://accounts.example", "email": f"canary.{four}@leak-example.org", "sub": four}
    return f"{b64(header)}.{b64(claims)}.{b64(sha512(four.encode()).digest() * 4)}"


def _groups(digits: str) -> list[str]:
    return [digits[start : start + 4] for start in range(0, len(digits), 4)]


def _with_check_digit(digits: str) -> str:
    """Luhn's, ISO/IEC 7812-1."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return digits + str(-sum(value - 9 * (value > 9) for value in doubled) % 10)


def _iban(account: str) -> str:
    """A German one, with the check digits of ISO 7064."""
    return f"DE{98 - int(f'{account}131400') % 97:02d}{account}"

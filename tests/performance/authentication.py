"""What it costs to tell who asks, and that a guess does not tell by its time whether a key exists.

python -m tests.performance.authentication
"""

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import flask

from common.database.engine import engine
from common.problems import Unauthenticated
from common.security.api_keys import ID_ALPHABET, SECRET_ALPHABET, ApiKeys, api_keys, checksum
from common.security.authentication import authenticate
from common.security.keyring import key_ring
from tests.instance import instance
from tests.token_issuer import AUDIENCE, EMAIL, TokenIssuer, token_issuer

GUESSES = 10_000
PER_REQUEST_US = 300  # authentication, limits and validation together, in memory
MOST_APART = 0.05  # of the median: what the machine's own noise is


def measure(*, rounds: int = 2_000, number: int = GUESSES) -> list[tuple[str, str]]:
    with _served() as issuer:
        key = api_keys().create(role="analyst").text
        per_request = microseconds(
            {
                "a key that is remembered": _asking({"X-API-Key": key}),
                "an ID token": _asking({"Authorization": f"Bearer {issuer.token()}"}),
                "a text that is no key": _asking({"X-API-Key": "no key"}),
            },
            rounds,
        )
        rows = [(name, _figure(times)) for name, times in per_request.items()]
        return rows + _guesses(number)


def microseconds(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Of each of `rounds` calls, in turn, so that whatever else the machine does falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, one in work.items():
            begun = time.perf_counter_ns()
            one()
            taken[name].append((time.perf_counter_ns() - begun) / 1_000)
    return taken


def _guesses(number: int) -> list[tuple[str, str]]:
    """Keys that are looked up each time: two kinds of guess, and right ones."""
    keys = ApiKeys(engine(), ring=key_ring)
    made = [keys.create(role="viewer") for _ in range(20)]
    for one in made:
        keys.check(one.text)  # its use is noted now, and not within what is measured
    wrong = iter([_guess(made[place % len(made)].id) for place in range(number)])
    unknown = iter([_guess(_random(ID_ALPHABET, 12)) for _ in range(number)])
    right = iter([made[place % len(made)].text for place in range(number)])
    # What comes before warms caches, or does not: guesses are compared with guesses alone.
    guesses = {"wrong secret": lambda: keys.check(next(wrong)), "unknown id": lambda: keys.check(next(unknown))}
    taken = microseconds(guesses, number) | microseconds({"right key": lambda: keys.check(next(right))}, number)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    apart = abs(medians["wrong secret"] - medians["unknown id"]) / medians["wrong secret"]
    missed = "" if apart <= MOST_APART else ", MISSED"
    return [
        *((f"{number:,} times {name}, looked up", f"p50 {median:.0f} us") for name, median in medians.items()),
        ("wrong secret and unknown id, apart", f"{apart:.1%} (at most {MOST_APART:.0%}{missed})"),
    ]


def _guess(key_id: str) -> str:
    """A key of the right shape and checksum, so that it is looked up."""
    secret = _random(SECRET_ALPHABET, 43)
    return f"lcc_{key_id}_{secret}{checksum(key_id, secret)}"


def _random(alphabet: str, characters: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(characters))


def _asking(headers: Mapping[str, str]) -> Callable[[], None]:
    """One request up to its principal or refusal; the request itself is made before."""
    environ = {"REMOTE_ADDR": "203.0.113.7"}
    request = flask.Flask(__name__).test_request_context("/", headers=headers, environ_overrides=environ).request

    def ask() -> None:
        with suppress(Unauthenticated):
            authenticate(request, "api-key", "203.0.113.7")

    return ask


@contextmanager
def _served() -> Iterator[TokenIssuer]:
    with tempfile.TemporaryDirectory() as folder, token_issuer() as issuer:
        given = {
            "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_AUDIENCES": AUDIENCE,
            "GOOGLE_ACCOUNTS": f"{EMAIL}=service", "FAILED_KEYS_LIMIT": "1000000000/minute", "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        with instance(Path(folder), **given):
            yield issuer


def _figure(taken: list[float]) -> str:
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    missed = "" if p50 < PER_REQUEST_US else ", MISSED"
    return f"p50 {p50:.0f} us, p99 {p99:.0f} us (below {PER_REQUEST_US}{missed})"


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name:<50} {figure}")

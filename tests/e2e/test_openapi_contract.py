"""Every function as its own description says: cases that schemathesis makes of it, at a running emulator with keys.

All of its checks run: no server error, no status, type, header or body that is not described, nothing let in that the
description forbids, nothing refused that it allows, nothing that does without a key. What is excused stands in
`_excuse`, each with its reason.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi import checks

from local.catalogue import load_catalogue
from tests.emulators import Emulator, emulator
from tests.instance import instance
from tests.token_issuer import AUDIENCE, TokenIssuer, token_issuer

pytestmark = [pytest.mark.keys, pytest.mark.slow, pytest.mark.timeout(300)]

CALLERS = 60  # so many times a route's limit
ACCOUNTS = tuple(f"caller-{number}@a-project.iam.gserviceaccount.com" for number in range(CALLERS))
WRONG_KEY = {"X-API-Key": "lcc_aaaaaaaaaaaa_" + "b" * 49}
SETTINGS = {
    "ANONYMOUS": "false",
    "GOOGLE_AUDIENCES": AUDIENCE,
    "GOOGLE_ACCOUNTS": ",".join(f"{account}=service" for account in ACCOUNTS),
    "LIMIT_FACTOR": "1",  # the routes' own limits: callers take turns
    # All that is asked comes from one address, half of it without a key that is let in.
    "ADDRESS_LIMIT": "none",
    "FAILED_KEYS_LIMIT": "none",
    # Cases are made as long as the description allows; the bounds in it follow these settings.
    "MAX_DOCUMENTS": "4",
    "MAX_DOCUMENT_CHARACTERS": "1000",
    "MAX_MESSAGE_CHARACTERS": "400",
    "LOG_LEVEL": "ERROR",  # nobody reads the emulator's output meanwhile
}

AS_DESCRIBED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
FOR_GOOGLE = {entry.name for entry in load_catalogue() if entry.callers == "google"}

Credential = Mapping[str, str]


@dataclass(frozen=True)
class Product:
    """A running emulator, and who is let in: `keys` to all but functions that Google calls, `tokens` to those."""

    running: Emulator
    keys: tuple[Credential, ...]
    tokens: tuple[Credential, ...]


@dataclass
class Outcome:
    """What came of a run: cases by status, and what is amiss, told for people."""

    statuses: Counter[int] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    amiss: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with _product(tmp_path_factory.mktemp("contract")) as made:
        yield made


@contextmanager
def _product(folder: Path, **more: str) -> Iterator[Product]:
    with token_issuer() as issuer:
        settings = {**SETTINGS, "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_CERTS_URL": issuer.certs_url, **more}
        with emulator(folder, **settings) as running, instance(running.data, **more):
            yield Product(running, keys=tuple(_keys()), tokens=tuple(_tokens(issuer)))


def _keys() -> Iterator[Credential]:
    from common.security.api_keys import api_keys

    for _ in range(CALLERS):
        yield {"X-API-Key": api_keys().create(role="admin").text}


def _tokens(issuer: TokenIssuer) -> Iterator[Credential]:
    for account in ACCOUNTS:
        yield {"Authorization": f"Bearer {issuer.token(email=account)}"}


def run(
    product: Product, *, keys: Iterator[Credential], tokens: Iterator[Credential], cases: int, follow: bool = True
) -> Outcome:
    """All operations, with up to `cases` random cases for each; credentials are taken in turn.

    `follow`: whether one answer's values go into the next request, as the id of a stored document.
    """
    config = {
        "seed": 4,
        "continue-on-failure": True,
        "phases": {"stateful": {"enabled": follow}},
        "generation": {"max-examples": cases, "deterministic": True, "no-shrink": True, "database": "none"},
        # Each one is embedded and written to three indexes: the dearest case by far.
        "operations": [{"include-name": "POST /api/documents", "generation": {"max-examples": max(cases // 8, 5)}}],
    }
    schema = schemathesis.openapi.from_url(
        f"{product.running.url}/openapi.json", config=SchemathesisConfig.from_dict(config)
    )
    outcome = Outcome()

    @schema.auth(refresh_interval=None)  # a new one for each case
    class Credentials:
        def get(self, case: schemathesis.Case[Any], _context: schemathesis.AuthContext) -> Credential:
            return next(tokens if FOR_GOOGLE & set(case.operation.tags or ()) else keys)

        def set(self, case: schemathesis.Case[Any], data: Credential, _context: schemathesis.AuthContext) -> None:
            case.headers.update(data)

    @schema.hook
    def filter_failure(
        _context: schemathesis.HookContext,
        failure: Failure,
        _case: schemathesis.Case[Any],
        response: schemathesis.Response,
    ) -> bool:
        excuse = _excuse(failure, response)
        if excuse is not None:
            outcome.excused[excuse] += 1
        return excuse is None

    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(outcome, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            outcome.amiss.append(repr(event))
    return outcome


def _note(outcome: Outcome, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for case_id, interaction in recorder.interactions.items():
        response = interaction.response
        outcome.statuses[response.status_code if response is not None else 0] += 1
        for check in recorder.checks.get(case_id, ()):
            if check.failure_info is not None:
                failure = check.failure_info.failure
                told = response.text[:500] if response is not None else "no answer"
                outcome.amiss.append(f"{recorder.label}: {failure.title}: {failure.message[:500]}\n{told}")


_BASE64 = re.compile(r"(/data)?/message/(data|attributes)(/|$)")


def _excuse(failure: Failure, response: schemathesis.Response) -> str | None:
    """Why `failure` is none, or None."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return None
    problem = response.json()
    if problem["type"] == "/problems/idempotency-key-reused":
        return "a schema describes one request, and the same key came before with another payload"
    details = {error["detail"] for error in problem.get("errors", ())}
    if all(_BASE64.match(error["pointer"]) for error in problem.get("errors", ())):
        return "a schema does not say what the base64 text of a message holds"
    if [error["pointer"] for error in problem.get("errors", ())] == ["/period"]:
        return "a pattern tells how a period is written, not whether it has begun, is over, or is in the calendar"
    if details and all("NFKC" in detail or "earlier document" in detail for detail in details):
        return "JSON schema can ask neither for a Unicode normal form nor for ids that differ"
    return None


def assert_as_described(product: Product, *, cases: int, at_least: int) -> None:
    outcome = run(product, keys=itertools.cycle(product.keys), tokens=itertools.cycle(product.tokens), cases=cases)
    print(f"{outcome.statuses.total()} cases: {dict(outcome.statuses)}; excused: {dict(outcome.excused)}")
    assert outcome.amiss == []
    assert outcome.statuses.total() >= at_least
    assert {200, 204, 400, 401, 404, 405, 415, 422} <= outcome.statuses.keys()


def test_every_function_does_as_its_description_says(product: Product) -> None:
    assert_as_described(product, cases=20, at_least=1_000)


@pytest.mark.long
def test_it_does_so_in_thousands_of_cases(product: Product) -> None:
    assert_as_described(product, cases=106, at_least=2_000)


@pytest.mark.long
@pytest.mark.servers
def test_on_postgresql_it_does_so_too(postgresql_url: str, tmp_path: Path) -> None:
    with _product(tmp_path, DATABASE_URL=postgresql_url) as product:
        assert_as_described(product, cases=20, at_least=1_000)


def test_whoever_is_not_let_in_is_told_so_as_described(product: Product) -> None:
    asking = itertools.cycle([{}, WRONG_KEY, {"Authorization": "Bearer a.b.c"}, product.tokens[0]])
    outcome = run(product, keys=asking, tokens=asking, cases=10, follow=False)
    print(f"{outcome.statuses.total()} cases: {dict(outcome.statuses)}; excused: {dict(outcome.excused)}")
    assert outcome.amiss == []
    assert {401, 403} <= outcome.statuses.keys()


def test_whoever_asks_too_often_is_told_so_as_described(product: Product) -> None:
    described = schemathesis.openapi.from_url(f"{product.running.url}/openapi.json")["/health/detailed"]["GET"]
    with httpx.Client(base_url=product.running.url, headers=dict(product.keys[0]), timeout=60) as client:
        while (answer := client.get("/health/detailed")).status_code != 429:
            described.Case().validate_response(answer, checks=AS_DESCRIBED)
    described.Case().validate_response(answer, checks=AS_DESCRIBED)

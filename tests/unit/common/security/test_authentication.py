"""Who gets in with what, and that every refusal is the same."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import flask
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.database.engine import DatabaseUnavailable
from common.metrics import exposition
from common.problems import QuotaExceeded, Unauthenticated, Unavailable, problem_document
from common.security import anonymous
from common.security.api_keys import NewKey, api_keys
from common.security.authentication import authenticate
from common.security.callers import Callers
from common.security.principal import ANONYMOUS, ROLES, Principal
from tests.instance import instance
from tests.token_issuer import AUDIENCE, EMAIL, TokenIssuer, b64, token_issuer

pytestmark = pytest.mark.keys

APP = flask.Flask(__name__)
ADDRESS = "203.0.113.7"
CALLERS: tuple[Callers, ...] = get_args(Callers)
Headers = list[tuple[str, str]]


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as made:
        yield made


@pytest.fixture
def configured(issuer: TokenIssuer, tmp_path: Path) -> Iterator[None]:
    given = {
        "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_AUDIENCES": AUDIENCE,
        "GOOGLE_ACCOUNTS": f"{EMAIL}=service@acme", "FAILED_KEYS_LIMIT": "none",
    }  # fmt: skip
    with instance(tmp_path, **given):
        yield


@pytest.fixture
def key(configured: None) -> NewKey:
    return api_keys().create(role="analyst", tenant="acme")


def ask(headers: Headers, callers: Callers = "api-key", address: str = ADDRESS) -> Principal:
    with APP.test_request_context("/", headers=headers, environ_overrides={"REMOTE_ADDR": address}):
        return authenticate(flask.request, callers, address)


def counted(method: str, outcome: str) -> float:
    """The series of `assistant_authentications_total` now."""
    name = f'assistant_authentications_total{{method="{method}",outcome="{outcome}"}} '
    lines = exposition(None)[0].decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def bearer(text: str) -> Headers:
    return [("Authorization", f"Bearer {text}")]


def api_key(text: str) -> Headers:
    return [("X-API-Key", text)]


@pytest.mark.parametrize("callers", ["api-key", "public"])
def test_a_key_is_let_in_under_either_header(key: NewKey, callers: Callers) -> None:
    principal = Principal(id=f"key:{key.id}", tenant="acme", scopes=ROLES["analyst"])
    before = counted("key", "accepted")
    for headers in (api_key(key.text), bearer(key.text), [("authorization", f"bearer   {key.text}")]):
        assert ask(headers, callers) == principal
    assert counted("key", "accepted") == before + 3


@pytest.mark.parametrize("callers", CALLERS)
def test_a_genuine_token_is_let_in_wherever_somebody_must_say_who_they_are(
    configured: None, issuer: TokenIssuer, callers: Callers
) -> None:
    before = counted("token", "accepted")
    principal = ask(bearer(issuer.token()), callers)
    assert (principal.tenant, principal.scopes) == ("acme", ROLES["service"])
    assert principal.id.startswith("account:")
    assert EMAIL not in principal.id
    assert counted("token", "accepted") == before + 1


REFUSED: Mapping[str, Callable[[str, str], Headers]] = {
    "nothing": lambda key, token: [],
    "unknown key": lambda key, token: api_key("lcc_abcdefghjkmn_" + "A" * 49),
    "wrong secret": lambda key, token: api_key(key[:-10] + key[-10:][::-1]),
    "half a key": lambda key, token: api_key(key[:30]),
    "empty key": lambda key, token: api_key(""),
    "empty authorization": lambda key, token: [("Authorization", "")],
    "empty bearer": lambda key, token: bearer(""),
    "another scheme": lambda key, token: [("Authorization", f"Basic {key}")],
    "no scheme": lambda key, token: [("Authorization", key)],
    "two words": lambda key, token: bearer(f"{key} {key}"),
    "both headers": lambda key, token: api_key(key) + bearer(key),
    "both, one empty": lambda key, token: api_key("") + bearer(key),
    "key twice": lambda key, token: api_key(key) + api_key(key),
    "bearer twice": lambda key, token: bearer(key) + bearer(key),
    "key and blank": lambda key, token: api_key(f"{key} x"),
    "token as key": lambda key, token: api_key(token),
    "not ASCII": lambda key, token: api_key(key + "é"),
    "bearer not ASCII": lambda key, token: bearer("é"),
    "no token": lambda key, token: bearer("a.b.c"),
    "forged token": lambda key, token: bearer(token[:-8] + "AAAAAAAA"),
    "unsigned token": lambda key, token: bearer(f"{b64({'alg': 'none'})}.{b64({'email': EMAIL})}."),
    "long": lambda key, token: bearer("a." * 50_000),
    "cookie": lambda key, token: [("Cookie", f"X-API-Key={key}")],
}


@pytest.mark.parametrize("callers", CALLERS)
@pytest.mark.parametrize("how", REFUSED)
def test_whatever_is_wrong_the_refusal_is_the_same(
    key: NewKey, issuer: TokenIssuer, how: str, callers: Callers
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        ask(REFUSED[how](key.text, issuer.token()), callers)
    status, body = problem_document(caught.value, request_id="r")
    assert (status, body, caught.value.headers) == (
        401,
        {
            "type": "/problems/unauthenticated", "title": "This needs a valid key or token", "status": 401,
            "instance": "/requests/r", "request_id": "r",
        },
        {"WWW-Authenticate": 'Bearer realm="LoanCollateralCheck"'},
    )  # fmt: skip


def test_an_ended_key_and_a_key_where_only_google_calls_are_refused_alike(key: NewKey) -> None:
    before = counted("key", "refused")
    with pytest.raises(Unauthenticated):
        ask(api_key(key.text), "google")
    with pytest.raises(Unauthenticated):
        ask(bearer(key.text), "google")
    api_keys().revoke(key.id)
    with pytest.raises(Unauthenticated):
        ask(api_key(key.text))
    assert counted("key", "refused") == before + 3


def test_refusals_are_counted_by_what_came_along(key: NewKey, issuer: TokenIssuer) -> None:
    for how, method in (
        ("nothing", "none"), ("wrong secret", "key"), ("forged token", "token"), ("both headers", "unreadable"),
    ):  # fmt: skip
        before = counted(method, "refused")
        with pytest.raises(Unauthenticated):
            ask(REFUSED[how](key.text, issuer.token()))
        assert counted(method, "refused") == before + 1


printable = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=120)


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(["X-API-Key", "Authorization", "X-Api-Key", "Proxy-Authorization"]),
            printable | st.builds("Bearer {}".format, printable) | st.builds("lcc_{}_{}".format, printable, printable),
        ),
        max_size=3,
    ),
    callers=st.sampled_from(CALLERS),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_headers_of_any_shape_are_let_in_or_raise_anything_else(
    configured: None, headers: Headers, callers: Callers
) -> None:
    with pytest.raises(Unauthenticated):
        ask(headers, callers)


def test_the_person_at_this_machine_is_let_in_where_that_was_granted(configured: None) -> None:
    here = [("Host", "127.0.0.1:8000")]
    with pytest.raises(Unauthenticated):
        ask(here, address="127.0.0.1")
    anonymous.grant("127.0.0.1")
    before = counted("anonymous", "accepted")
    for callers in CALLERS:
        assert ask(here, callers, address="127.0.0.1") is ANONYMOUS
    assert counted("anonymous", "accepted") == before + 3
    with pytest.raises(Unauthenticated):
        ask(here)  # from elsewhere


def test_who_comes_with_a_wrong_key_is_not_taken_for_somebody_without_one(configured: None) -> None:
    anonymous.grant("127.0.0.1")
    for headers in (api_key(""), api_key("wrong"), bearer("wrong"), [("Authorization", "Basic YTpi")]):
        with pytest.raises(Unauthenticated):
            ask([("Host", "localhost"), *headers], address="127.0.0.1")


def test_after_too_many_refusals_an_address_is_not_looked_at_any_more(issuer: TokenIssuer, tmp_path: Path) -> None:
    with instance(tmp_path, FAILED_KEYS_LIMIT="3/hour"):
        key = api_keys().create(role="viewer")
        for wrong in (api_key("wrong"), bearer("a.b.c"), api_key("x") + bearer("y")):
            with pytest.raises(Unauthenticated):
                ask(wrong, address="2001:db8::1")
        before = counted("key", "limited")
        with pytest.raises(QuotaExceeded):
            ask(api_key(key.text), address="2001:db8::2")  # of the same home
        assert counted("key", "limited") == before + 1
        assert ask(api_key(key.text)).id == f"key:{key.id}"  # another address


def test_who_comes_with_nothing_is_no_guesser(tmp_path: Path) -> None:
    with instance(tmp_path, FAILED_KEYS_LIMIT="1/hour"):
        key = api_keys().create(role="viewer")
        for _ in range(3):
            with pytest.raises(Unauthenticated):
                ask([])
        assert ask(api_key(key.text)).id == f"key:{key.id}"


def test_keys_that_are_away_are_a_503_and_no_401(tmp_path: Path, free_port: int, issuer: TokenIssuer) -> None:
    url = f"http://127.0.0.1:{free_port}/certs"
    given = {"GOOGLE_CERTS_URL": url, "GOOGLE_AUDIENCES": AUDIENCE, "GOOGLE_ACCOUNTS": f"{EMAIL}=service"}
    with instance(tmp_path, **given):
        before = counted("token", "unavailable")
        with pytest.raises(Unavailable):
            ask(bearer(issuer.token()))
        assert counted("token", "unavailable") == before + 1


def test_a_database_that_is_away_is_a_503_and_no_401(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_engine: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("common.security.api_keys.database.read", away)
    with pytest.raises(DatabaseUnavailable):
        ask(api_key(key.text))


def test_only_where_google_alone_calls_cloud_run_may_have_taken_the_signature(
    issuer: TokenIssuer, tmp_path: Path
) -> None:
    given = {
        "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_AUDIENCES": AUDIENCE,
        "GOOGLE_ACCOUNTS": f"{EMAIL}=service@acme", "FAILED_KEYS_LIMIT": "none", "GOOGLE_SIGNATURES": "taken",
        "K_SERVICE": "retention",
    }  # fmt: skip
    token = f"{issuer.token().rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"
    with instance(tmp_path, **given):
        assert ask(bearer(token), "google").tenant == "acme"
        for callers in ("api-key", "public"):
            with pytest.raises(Unauthenticated):
                ask(bearer(token), callers)


def test_a_function_of_googles_takes_keys_where_something_else_calls_it(tmp_path: Path) -> None:
    with instance(tmp_path, EVENTS_BY_KEY="true", FAILED_KEYS_LIMIT="none"):
        made = api_keys().create(role="service", tenant="acme")
        assert ask(api_key(made.text), "google") == Principal(
            id=f"key:{made.id}", tenant="acme", scopes=ROLES["service"]
        )
        with pytest.raises(Unauthenticated):
            ask(api_key(made.text + "x"), "google")

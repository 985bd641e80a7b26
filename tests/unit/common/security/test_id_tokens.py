"""Which ID tokens are let in, against a local issuer that signs with real keys; and which fetches tokens can cause."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.security import id_tokens as subject
from common.security.id_tokens import (
    FETCH_AGAIN_SECONDS,
    KEYS_FRESH_SECONDS,
    KEYS_USABLE_SECONDS,
    LEEWAY_SECONDS,
    MAX_TOKEN_CHARACTERS,
    Account,
    IdTokens,
    SigningKeys,
    SigningKeysUnavailable,
    accounts_of,
    id_tokens,
)
from common.security.keyring import KeyRing, key_ring
from common.security.principal import ROLES, Principal
from common.settings import InvalidSettings
from tests import servers
from tests.instance import instance
from tests.log_lines import log_lines
from tests.token_issuer import AUDIENCE, EMAIL, TokenIssuer, b64, jwk, rsa_key, token_issuer

pytestmark = pytest.mark.keys

RING = cast(KeyRing, SimpleNamespace(mac=lambda purpose, message: f"{purpose}:{message.decode()}"[:32].ljust(64, "0")))
SERVICE = Principal(id="account:mark:scheduler@a", tenant="acme", scopes=ROLES["service"])


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as made:
        yield made


@pytest.fixture
def tokens(issuer: TokenIssuer, clock: Clock) -> IdTokens:
    return made_for(issuer, clock)


def made_for(issuer: TokenIssuer, clock: Clock, **other: Any) -> IdTokens:
    usual: dict[str, Any] = {
        "keys": SigningKeys(issuer.certs_url, clock), "issuers": [issuer.issuer, "accounts.example"],
        "audiences": [AUDIENCE, "https://documents.run.app"], "accounts": accounts_of(f"{EMAIL}=service@acme"),
        "ring": lambda: RING,
    }  # fmt: skip
    return IdTokens(**{**usual, **other})


def now() -> int:
    return int(time.time())


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -LEEWAY_SECONDS // 2), ("iat", LEEWAY_SECONDS // 2)])
def test_clocks_may_differ_by_seconds(tokens: IdTokens, issuer: TokenIssuer, claim: str, seconds: int) -> None:
    token = issuer.token(**{claim: now() + seconds})  # type: ignore[arg-type]  # a claim that is no audience
    assert tokens.check(token) == SERVICE


def test_a_genuine_token_is_its_accounts_principal_and_its_address_is_not_told(
    tokens: IdTokens, issuer: TokenIssuer
) -> None:
    assert tokens.check(issuer.token()) == SERVICE


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "accounts.example"},
        {"aud": "https://documents.run.app"},
        {"email": EMAIL.upper()},
    ],
    ids=str,
)
def test_tokens_that_differ_as_they_may_are_let_in(tokens: IdTokens, issuer: TokenIssuer, claims: Any) -> None:
    assert tokens.check(issuer.token(**claims)) == SERVICE


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://accounts.google.com.evil.example"},
        {"iss": None},
        {"iss": ["https://accounts.example"]},
        {"aud": "https://elsewhere.run.app"},
        {"aud": None},
        {"aud": [AUDIENCE]},  # others could pass such a token on
        {"exp": now() - 60},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": [1]},
        {"iat": None},
        {"iat": now() + 3_600},
        {"nbf": now() + 3_600},
        {"sub": None},
        {"email": None},
        {"email": ["scheduler@a-project.iam.gserviceaccount.com"]},
        {"email": "mallory@a-project.iam.gserviceaccount.com"},
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
    ],
    ids=lambda claims: next(iter(claims)),  # not their values: some are times, and others in another process
)
def test_a_token_with_a_wrong_claim_is_refused(tokens: IdTokens, issuer: TokenIssuer, claims: Any) -> None:
    assert tokens.check(issuer.token(**claims)) is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "HS256"},
        {"alg": ["RS256"]},
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"typ": "at+jwt"},
        {"typ": None},
        {"jwk": jwk(rsa_key(9), "key-0")},
        {"jku": "https://evil.example/certs"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"crit": ["b64"]},
        {"crit": ["exp"], "exp": 1},
        {"b64": False},
        {"zip": "DEF"},
    ],
    ids=lambda header: "-".join(map(str, header)),
)
def test_a_header_that_says_more_or_other_than_it_may_is_refused_and_nothing_is_fetched(
    tokens: IdTokens, issuer: TokenIssuer, header: Any
) -> None:
    assert tokens.check(issuer.signed(issuer.claims(), **header)) is None
    assert issuer.fetches == 0


def test_a_token_without_a_signature_is_refused(tokens: IdTokens, issuer: TokenIssuer) -> None:
    payload = b64(issuer.claims())
    assert tokens.check(f"{b64({'alg': 'none', 'typ': 'JWT'})}.{payload}.") is None
    assert tokens.check(f"{b64({'alg': 'RS256', 'kid': 'key-0'})}.{payload}.") is None
    assert tokens.check(issuer.token().rpartition(".")[0]) is None


def test_a_signature_made_with_the_public_key_is_refused(tokens: IdTokens, issuer: TokenIssuer) -> None:
    assert tokens.check(issuer.confused()) is None


def test_a_signature_by_another_key_under_a_known_id_is_refused(tokens: IdTokens, issuer: TokenIssuer) -> None:
    issuer.key = rsa_key(9)
    assert tokens.check(issuer.token()) is None


def test_claims_of_one_token_under_the_signature_of_another_are_refused(tokens: IdTokens, issuer: TokenIssuer) -> None:
    header, payload, signature = issuer.token().split(".")
    assert tokens.check(f"{header}.{b64(issuer.claims(email='root@example.com'))}.{signature}") is None
    assert tokens.check(f"{header}.{payload}.{signature[:-4]}AAAA") is None


@pytest.mark.parametrize("payload", [b"[]", b"null", b"no JSON", b"\xff", b"[" * 4_000])
def test_a_payload_that_is_no_object_is_refused(tokens: IdTokens, issuer: TokenIssuer, payload: bytes) -> None:
    header = b64({"alg": "RS256", "kid": issuer.key_id})
    assert tokens.check(issuer.signed_text(header, b64(payload))) is None


@pytest.mark.parametrize("header", [b"[]", b"null", b"7", b"no JSON", b"\xff", b"[" * 1_200, b'{"a":' * 300, b""])
def test_a_header_that_is_no_object_is_refused(tokens: IdTokens, issuer: TokenIssuer, header: bytes) -> None:
    assert tokens.check(f"{b64(header)}.{b64(issuer.claims())}.AAAA") is None
    assert issuer.fetches == 0


def test_a_token_that_is_too_long_is_refused_unread(tokens: IdTokens, issuer: TokenIssuer) -> None:
    longest = issuer.token(note="x" * 4_000)
    assert len(longest) < MAX_TOKEN_CHARACTERS
    assert tokens.check(longest) == SERVICE
    assert tokens.check(issuer.token(note="x" * 6_000)) is None


@given(st.text(max_size=200) | st.text(st.sampled_from("ABCabc019-_.="), max_size=400))
def test_no_text_is_let_in_nor_raises(text: str) -> None:
    tokens = IdTokens(
        keys=SigningKeys("http://127.0.0.1:1/"), issuers=["i"], audiences=["a"],
        accounts={"a@example.com": Account(role="viewer", tenant="default")}, ring=lambda: RING,
    )  # fmt: skip
    assert tokens.check(text) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_no_signed_claims_and_no_header_of_any_shape_raise() -> None:
    with token_issuer() as issuer:
        tokens = made_for(issuer, Clock())

        @given(
            st.dictionaries(
                st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "email", "email_verified", "sub"]), json_values
            ),
            st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jwk", "crit", "b64"]), json_values, max_size=2),
        )  # fmt: skip
        def fuzz(claims: dict[str, Any], header: dict[str, Any]) -> None:
            assert tokens.check(issuer.signed({**issuer.claims(email=None), **claims}, **header)) is None
            assert tokens.check(issuer.signed({**issuer.claims(), **claims}, **header)) in (None, SERVICE)

        fuzz()


@pytest.mark.parametrize("other", [{"accounts": {}}, {"audiences": []}])
def test_where_nobody_could_come_in_nothing_is_fetched(issuer: TokenIssuer, clock: Clock, other: Any) -> None:
    assert made_for(issuer, clock, **other).check(issuer.token()) is None
    assert issuer.fetches == 0


# Fetching the keys


def test_keys_are_fetched_once_and_again_when_they_are_old(tokens: IdTokens, issuer: TokenIssuer, clock: Clock) -> None:
    for _ in range(5):
        assert tokens.check(issuer.token()) == SERVICE
    assert issuer.fetches == 1
    clock.now += KEYS_FRESH_SECONDS
    assert tokens.check(issuer.token()) == SERVICE
    assert issuer.fetches == 2


def test_a_new_key_is_found_and_an_old_one_that_is_withdrawn_is_not(
    tokens: IdTokens, issuer: TokenIssuer, clock: Clock
) -> None:
    old = issuer.token()
    assert tokens.check(old) == SERVICE
    issuer.rotate()
    clock.now += FETCH_AGAIN_SECONDS
    assert tokens.check(issuer.token()) == SERVICE
    assert tokens.check(old) == SERVICE  # both are published
    del issuer.published[0]
    clock.now += KEYS_FRESH_SECONDS
    assert tokens.check(old) is None
    assert issuer.fetches == 3


def test_made_up_key_ids_cause_one_fetch_in_a_while(tokens: IdTokens, issuer: TokenIssuer, clock: Clock) -> None:
    tokens.check(issuer.token())
    clock.now += FETCH_AGAIN_SECONDS
    for number in range(50):
        assert tokens.check(issuer.signed(issuer.claims(), kid=f"made-up-{number}")) is None
    assert issuer.fetches == 2
    assert tokens.check(issuer.token()) == SERVICE


@pytest.mark.parametrize(
    ("status", "body", "location"),
    [
        (500, None, None),
        (404, b"{}", None),
        (302, b"", "/elsewhere"),
        (200, b"no JSON", None),
        (200, b"\xff", None),
        (200, b"[]", None),
        (200, b"7", None),
        (200, b"{}", None),
        (200, b'{"keys": 7}', None),
        (200, b'{"keys": [7]}', None),
        (200, b'{"keys": [{"kty": "RSA"}]}', None),
        (200, b"[" * 50_000, None),
        (200, b'{"keys": [' + b" " * 100_000 + b"]}", None),
    ],
)
def test_an_answer_that_is_no_key_set_leaves_the_keys_that_are_there(
    tokens: IdTokens, issuer: TokenIssuer, clock: Clock, status: int, body: bytes | None, location: str | None
) -> None:
    assert tokens.check(issuer.token()) == SERVICE
    issuer.status, issuer.body, issuer.location = status, body, location
    clock.now += KEYS_FRESH_SECONDS
    with log_lines() as lines:
        for _ in range(5):
            assert tokens.check(issuer.token()) == SERVICE
    assert [line["event"] for line in lines] == ["signing_keys.not_fetched"]
    assert issuer.fetches == 2


def test_without_any_key_it_is_not_the_token_that_is_at_fault(
    tokens: IdTokens, issuer: TokenIssuer, clock: Clock
) -> None:
    issuer.status = 503
    for _ in range(5):
        with pytest.raises(SigningKeysUnavailable) as caught:
            tokens.check(issuer.token())
    assert caught.value.status == 503
    assert issuer.fetches == 1
    issuer.status = 200
    clock.now += FETCH_AGAIN_SECONDS
    assert tokens.check(issuer.token()) == SERVICE


def test_keys_that_could_not_be_fetched_for_a_day_are_trusted_no_more(
    tokens: IdTokens, issuer: TokenIssuer, clock: Clock
) -> None:
    tokens.check(issuer.token())
    issuer.status = 503
    clock.now += KEYS_USABLE_SECONDS
    with pytest.raises(SigningKeysUnavailable):
        tokens.check(issuer.token())


def test_an_issuer_that_does_not_listen_is_away(free_port: int) -> None:
    with pytest.raises(SigningKeysUnavailable):
        SigningKeys(f"http://127.0.0.1:{free_port}/certs").find("key-0")


def test_an_issuer_that_never_answers_is_waited_for_once_and_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "FETCH_TIMEOUT_SECONDS", 0.2)
    with servers.silence() as url:
        keys = SigningKeys(url)
        begun = time.monotonic()
        for _ in range(3):
            with pytest.raises(SigningKeysUnavailable):
                keys.find("key-0")
        assert time.monotonic() - begun < 2


def test_while_one_request_fetches_others_go_on_with_the_keys_that_are_there(
    tokens: IdTokens, issuer: TokenIssuer, clock: Clock
) -> None:
    token = issuer.token()
    tokens.check(token)
    clock.now += KEYS_FRESH_SECONDS
    issuer.hold.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(tokens.check, token)
        servers.wait_for(lambda: issuer.fetches == 2, "the second fetch")
        assert tokens.check(token) == SERVICE  # at once
        assert not slow.done()
        issuer.hold.set()
        assert slow.result(10) == SERVICE


def test_requests_that_come_before_the_first_keys_wait_for_one_fetch(tokens: IdTokens, issuer: TokenIssuer) -> None:
    issuer.hold.clear()
    token, barrier = issuer.token(), threading.Barrier(5)

    def check() -> Principal | None:
        barrier.wait(10)
        return tokens.check(token)

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(check) for _ in range(4)]
        barrier.wait(10)
        servers.wait_for(lambda: issuer.fetches == 1, "the fetch")
        issuer.hold.set()
        assert [result.result(10) for result in results] == [SERVICE] * 4
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "key",
    [
        jwk(rsa_key(0), "key-0", alg="RS512"),
        jwk(rsa_key(0), "key-0", use="enc"),
        jwk(rsa_key(0), ""),
        jwk(rsa_key(0), cast(str, 7)),
        jwk(rsa_key(0, 1_024), "key-0"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "key-0", "alg": "HS256", "use": "sig"},
        {"kty": "EC", "crv": "P-256", "kid": "key-0", "use": "sig",
         "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ],
    ids=["RS512", "enc", "no kid", "kid 7", "1024 bits", "oct", "EC"],
)  # fmt: skip
def test_a_key_that_is_not_for_these_signatures_is_left_out(
    tokens: IdTokens, issuer: TokenIssuer, key: dict[str, Any]
) -> None:
    issuer.published = [key]
    with pytest.raises(SigningKeysUnavailable):
        tokens.check(issuer.token())


def test_a_key_without_use_and_algorithm_will_do(tokens: IdTokens, issuer: TokenIssuer) -> None:
    plain = {name: value for name, value in jwk(issuer.key, issuer.key_id).items() if name not in {"use", "alg"}}
    issuer.published = [plain]
    assert tokens.check(issuer.token()) == SERVICE


@pytest.mark.parametrize(
    "url",
    ["http://www.googleapis.com/oauth2/v3/certs", "http://127.0.0.1.evil.example/certs", "file:///etc/passwd",
     "ftp://127.0.0.1/certs", "nonsense", "http://localhost@evil.example/", "http:///certs"],
)  # fmt: skip
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(InvalidSettings, match="GOOGLE_CERTS_URL: must begin with https://"):
        SigningKeys(url)


@pytest.mark.parametrize("url", ["https://www.googleapis.com/oauth2/v3/certs", "http://localhost:1/", "http://[::1]/"])
def test_these_are_such(url: str) -> None:
    SigningKeys(url)


# Settings


def test_an_address_with_a_letter_that_only_turns_into_the_right_one_is_refused(
    issuer: TokenIssuer, clock: Clock
) -> None:
    tokens = made_for(issuer, clock, accounts=accounts_of("jack@example.com=admin"))
    assert tokens.check(issuer.token(email="JACK@example.com")) is not None
    assert tokens.check(issuer.token(email="jac\N{KELVIN SIGN}@example.com")) is None


def test_accounts_have_a_role_and_a_tenant() -> None:
    assert accounts_of(" Scheduler@A.iam.gserviceaccount.com = service , ann@example.com=analyst@acme,") == {
        "scheduler@a.iam.gserviceaccount.com": Account(role="service", tenant="default"),
        "ann@example.com": Account(role="analyst", tenant="acme"),
    }
    assert accounts_of(None) == {}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("ann@example.com", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("ann@example.com=", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("ann@example.com=root", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("ann@example.com=viewer@", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("ann@example.com=viewer@Acme", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("ann=viewer", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("*@example.com@x=viewer", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("=viewer", "entry 2 must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT"),
        ("BOB@example.com=admin", "entry 2 names an account again"),
    ],
)
def test_an_account_that_cannot_be_read_is_told_by_its_number(entry: str, reason: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        accounts_of(f"bob@example.com=viewer,{entry}")
    assert str(caught.value) == f"GOOGLE_ACCOUNTS: {reason}"


def test_the_settings_say_whose_tokens_are_let_in(issuer: TokenIssuer, tmp_path: Path) -> None:
    given = {
        "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_ACCOUNTS": f"{EMAIL}=viewer",
        "GOOGLE_AUDIENCES": f"https://other.run.app, {AUDIENCE}",
    }  # fmt: skip
    with instance(tmp_path, **given):
        mark = key_ring().mac("mark", EMAIL.encode())[:16]
        assert id_tokens().check(issuer.token()) == Principal(
            id=f"account:{mark}", tenant="default", scopes=ROLES["viewer"]
        )
        assert id_tokens() is id_tokens()


# Behind Cloud Run's own check


def taken(token: str) -> str:
    """As Cloud Run hands it on, once it has checked it."""
    return f"{token.rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"


def test_cloud_run_may_take_the_signature_away(issuer: TokenIssuer, clock: Clock) -> None:
    behind = made_for(issuer, clock, are_signatures_taken=True)
    assert behind.check(taken(issuer.token()), is_for_google_alone=True) is not None
    assert behind.check(issuer.token(), is_for_google_alone=True) is not None
    assert issuer.fetches == 1  # for the token with a signature alone


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.run.app"}, {"iss": "https://elsewhere.example"}, {"email": "other@example.com"},
        {"email_verified": False}, {"exp": 1_000}, {"iat": 9_999_999_999}, {"nbf": 9_999_999_999}, {"sub": None},
    ],
)  # fmt: skip
def test_without_its_signature_all_else_of_a_token_is_checked(
    issuer: TokenIssuer, clock: Clock, claims: dict[str, object]
) -> None:
    behind = made_for(issuer, clock, are_signatures_taken=True)
    assert behind.check(taken(issuer.signed(issuer.claims(**claims))), is_for_google_alone=True) is None


def test_a_signature_is_wanted_where_others_call_too(issuer: TokenIssuer, clock: Clock, tokens: IdTokens) -> None:
    behind = made_for(issuer, clock, are_signatures_taken=True)
    assert behind.check(taken(issuer.token())) is None
    assert tokens.check(taken(issuer.token()), is_for_google_alone=True) is None


@pytest.mark.parametrize("wrong", ["", "SIGNATURE_REMOVED", "x.SIGNATURE_REMOVED_BY_GOOGLE", "AAAA"])
def test_any_other_signature_is_checked_behind_cloud_run_too(issuer: TokenIssuer, clock: Clock, wrong: str) -> None:
    behind = made_for(issuer, clock, are_signatures_taken=True)
    head = issuer.token().rpartition(".")[0]
    assert behind.check(f"{head}.{wrong}", is_for_google_alone=True) is None


def test_signatures_are_taken_on_cloud_run_alone(tmp_path: Path) -> None:
    with instance(tmp_path, GOOGLE_SIGNATURES="taken"), pytest.raises(InvalidSettings, match="GOOGLE_SIGNATURES: "):
        id_tokens()
    with instance(tmp_path, GOOGLE_SIGNATURES="taken", K_SERVICE="retention"):
        id_tokens()

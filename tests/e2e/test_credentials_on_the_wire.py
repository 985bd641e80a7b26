"""Credentials as an attacker sends them, byte by byte, to a function behind its real server."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.instance import instance
from tests.performance.health import health_function
from tests.token_issuer import AUDIENCE, EMAIL, TokenIssuer, token_issuer

pytestmark = [pytest.mark.keys, pytest.mark.slow]


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wire")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    with instance(folder):
        from common.security.api_keys import api_keys

        return api_keys().create(role="service").text


@pytest.fixture(scope="module")
def function(folder: Path, key: str, issuer: TokenIssuer) -> Iterator[httpx.Client]:
    given = {
        "GOOGLE_CERTS_URL": issuer.certs_url, "GOOGLE_ISSUERS": issuer.issuer, "GOOGLE_AUDIENCES": AUDIENCE,
        "GOOGLE_ACCOUNTS": f"{EMAIL}=service", "FAILED_KEYS_LIMIT": "none",
    }  # fmt: skip
    with health_function(folder, **given) as client:
        yield client


def status(function: httpx.Client, *lines: str) -> int:
    """Of `GET /metrics` with these header lines, sent as they are."""
    request = "\r\n".join(["GET /metrics HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines, "", ""])
    with socket.create_connection(("127.0.0.1", function.base_url.port or 0), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])


def test_a_key_and_a_token_are_let_in(function: httpx.Client, key: str, issuer: TokenIssuer) -> None:
    assert status(function, f"X-API-Key: {key}") == 200
    assert status(function, f"x-api-key:{key}") == 200
    assert status(function, f"Authorization: Bearer {key}") == 200
    assert status(function, f"Authorization: Bearer {issuer.token()}") == 200


def test_nobody_comes_in_without_from_this_machine_either(function: httpx.Client) -> None:
    assert status(function) == 401
    for forged in ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"):
        assert status(function, forged) == 401


@pytest.mark.parametrize(
    "lines",
    [
        ("X-API-Key: {key}", "X-API-Key: {key}"),
        ("X-API-Key: {key}", "X-API-Key: wrong"),
        ("X-API-Key: wrong", "X-API-Key: {key}"),
        ("X-API-Key: {key}", "Authorization: Bearer {token}"),
        ("Authorization: Bearer {key}", "Authorization: Bearer {key}"),
        ("Authorization: Bearer wrong", "Authorization: Bearer {token}"),
        ("X_API_Key: {key}",),  # the server's variable would have the same name
        ("X-API-Key : {key}",),
        ("X-API-Key: {key},{key}",),
        ("X-API-Key: {key}\0",),
        ("X-API-Key: {key}é",),
        ("X-API-Key: wrong\r\n {key}",),  # a folded line
        ("Authorization: Basic {key}",),
        ("Authorization: {key}",),
        ("Cookie: X-API-Key={key}",),
        ("Proxy-Authorization: Bearer {key}",),
    ],
)
def test_what_two_servers_could_read_differently_is_let_in_by_none(
    function: httpx.Client, key: str, issuer: TokenIssuer, lines: tuple[str, ...]
) -> None:
    sent = [line.format(key=key, token=issuer.token()) for line in lines]
    assert status(function, *sent) in {400, 401}  # 400: the server itself does not read it


def test_a_key_in_the_address_is_no_key(function: httpx.Client, key: str) -> None:
    for name in ("key", "api_key", "x-api-key", "access_token"):
        assert function.get("/metrics", params={name: key}).status_code == 401


def test_ten_kilobytes_of_credential_are_refused_like_any_other(function: httpx.Client) -> None:
    assert status(function, "X-API-Key: lcc_" + "A" * 7_000) in {400, 401, 431}
    assert status(function, "Authorization: Bearer " + "a." * 3_500) in {400, 401, 431}
    assert status(function, "Authorization: Bearer " + "a." * 10_000) in {400, 401, 431}


def test_a_refusal_gives_nothing_away(function: httpx.Client, key: str) -> None:
    answers = [
        function.get("/metrics", headers=headers)
        for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": key[:-1]}, {"X-API-Key": key[:-6] + "AAAAAA"})
    ]
    for answer in answers:
        body = {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}
        assert body == {
            "type": "/problems/unauthenticated", "title": "This needs a valid key or token", "status": 401,
        }  # fmt: skip
    names = [sorted(answer.headers) for answer in answers]
    assert names == [names[0]] * len(answers)

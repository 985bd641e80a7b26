"""Whose address counts, whatever a caller writes into its headers."""

import ipaddress
import time
from collections.abc import Iterator

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.security.client_address import client_address, is_loopback, limit_group
from common.settings import settings

CONNECTED = "10.0.0.9"
APP = flask.Flask(__name__)


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("TRUSTED_PROXIES", "K_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def address(*forwarded: str, connected: str | None = CONNECTED) -> str:
    """As the product sees it, of a request with one header for each of `forwarded`."""
    headers = [("X-Forwarded-For", one) for one in forwarded]
    environ = {} if connected is None else {"REMOTE_ADDR": connected}
    with APP.test_request_context(headers=headers, environ_overrides=environ):
        return client_address(flask.request)


def trust(monkeypatch: pytest.MonkeyPatch, proxies: int) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", str(proxies))
    settings.cache_clear()


def test_without_a_trusted_proxy_the_header_is_not_read() -> None:
    assert address("203.0.113.7") == CONNECTED


def test_on_cloud_run_the_last_entry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "query")
    assert address("198.51.100.1, 203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (1, ["203.0.113.7"], "203.0.113.7"),
        (1, ["127.0.0.1, 203.0.113.7"], "203.0.113.7"),  # the first one is what the caller wrote
        (2, ["127.0.0.1, 203.0.113.7, 10.0.0.1"], "203.0.113.7"),
        (2, ["127.0.0.1", "203.0.113.7", "10.0.0.1"], "203.0.113.7"),  # several headers are one list
        (2, ["203.0.113.7"], CONNECTED),  # it came past the outer proxy
        (1, [], CONNECTED),
        (1, [""], CONNECTED),
        (1, ["203.0.113.7,"], CONNECTED),
        (1, ["203.0.113.7, unknown"], CONNECTED),
        (1, ["203.0.113.7, 10.0.0.1:443"], CONNECTED),
        (1, ["fe80::1%eth0\tevil"], CONNECTED),
        (1, ["fe80::1%eth0"], CONNECTED),  # a zone may be any text
        (1, ["999.1.1.1"], CONNECTED),
        (1, ["2001:DB8:0:0::7"], "2001:db8::7"),
        (1, ["::ffff:203.0.113.7"], "203.0.113.7"),  # the same caller, written as IPv6
        (0, ["203.0.113.7"], CONNECTED),
    ],
)
def test_entries_are_counted_from_the_right(
    monkeypatch: pytest.MonkeyPatch, proxies: int, forwarded: list[str], found: str
) -> None:
    trust(monkeypatch, proxies)
    assert address(*forwarded) == found


@pytest.mark.parametrize(("connected", "found"), [(None, "unknown"), ("", "unknown"), ("::ffff:10.0.0.9", CONNECTED)])
def test_the_connections_own_address_may_be_unknown_or_written_as_ipv6(connected: str | None, found: str) -> None:
    assert address(connected=connected) == found


def test_ten_kilobytes_of_commas_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch, 10)
    begun = time.perf_counter()
    for _ in range(100):
        assert address("," * 10_000) == CONNECTED
    assert time.perf_counter() - begun < 1


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")), max_size=4))
def test_any_header_gives_an_address_that_the_caller_did_not_make_up(forwarded: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        trust(patch, 1)
        found = address(*[*forwarded, "203.0.113.7"])
    settings.cache_clear()
    assert found == "203.0.113.7"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")))
def test_whatever_stands_last_the_result_is_an_address(last: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        trust(patch, 1)
        found = address(last)
    settings.cache_clear()
    assert str(ipaddress.ip_address(found)) == found


@pytest.mark.parametrize(
    ("one", "group"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("unknown", "unknown"),
    ],
)
def test_limits_count_a_home_and_not_each_of_its_addresses(one: str, group: str) -> None:
    assert limit_group(one) == group


@pytest.mark.parametrize(
    ("one", "is_it"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
     ("0.0.0.0", False), ("localhost", False), ("", False)],
)  # fmt: skip
def test_loopback_is_this_machine_however_it_is_written(one: str, is_it: bool) -> None:
    assert is_loopback(one) == is_it

"""Without a key only the person at this machine gets in, and only where the emulator has said so."""

from collections.abc import Iterator, Mapping

import flask
import pytest

from common.security import anonymous
from common.settings import InvalidSettings, load_settings, settings
from tests.log_lines import log_lines

pytestmark = pytest.mark.keys  # nothing is granted at the start, and nothing stays so

APP = flask.Flask(__name__)
HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CORS_ORIGINS", "ANONYMOUS"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def is_let_in(headers: Mapping[str, str] | None = None, *, remote: str = HERE, address: str = HERE) -> bool:
    sent = {"Host": "127.0.0.1:8000", **(headers or {})}
    with APP.test_request_context(headers=sent, environ_overrides={"REMOTE_ADDR": remote}):
        return anonymous.is_granted(flask.request, address)


def test_nobody_is_let_in_before_it_is_granted_nor_after_it_is_withdrawn() -> None:
    assert not is_let_in()
    anonymous.grant(HERE)
    assert is_let_in()
    anonymous.withdraw()
    assert not is_let_in()


def test_granting_is_told_in_the_log() -> None:
    with log_lines() as lines:
        anonymous.grant("localhost")
    assert [(line["event"], line["log_level"], line["host"]) for line in lines] == [
        ("access.anonymous", "warning", "localhost")
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", ""])
def test_nothing_is_granted_on_an_address_that_others_reach(host: str) -> None:
    with pytest.raises(InvalidSettings, match="HOST: "):
        anonymous.grant(host)
    assert not is_let_in()


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000", "localhost:65535"]
)
def test_any_name_of_this_machine_will_do(host: str) -> None:
    anonymous.grant("::1")
    assert is_let_in({"Host": host})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "evil.example#localhost", "127.0.0.1.nip.io",
     "localhost:", "localhost:8000:8000", "user@localhost", "", "::1", "0.0.0.0", "127.0.0.1, evil.example"],
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_will_not(host: str) -> None:
    anonymous.grant(HERE)
    assert not is_let_in({"Host": host})


def test_without_a_host_nobody_is_let_in() -> None:
    anonymous.grant(HERE)
    with APP.test_request_context(environ_overrides={"REMOTE_ADDR": HERE}):
        del flask.request.environ["HTTP_HOST"]
        assert not anonymous.is_granted(flask.request, HERE)


@pytest.mark.parametrize(("remote", "address"), [("192.168.1.2", HERE), (HERE, "192.168.1.2"), ("", HERE)])
def test_somebody_elsewhere_is_not_let_in(remote: str, address: str) -> None:
    anonymous.grant(HERE)
    assert not is_let_in(remote=remote, address=address)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Real-IP", "Via"])
@pytest.mark.parametrize("value", ["127.0.0.1", ""])
def test_whoever_comes_through_a_proxy_is_not_let_in(header: str, value: str) -> None:
    anonymous.grant(HERE)
    assert not is_let_in({header: value})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},  # typed into the address bar
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "HTTP://127.0.0.1:8000"},
    ],
)
def test_a_page_of_this_machines_own_is_let_in(headers: Mapping[str, str]) -> None:
    anonymous.grant(HERE)
    assert is_let_in(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:3000"},  # another program's page
        {"Origin": "http://localhost:8000"},  # another origin than the Host's
        {"Sec-Fetch-Site": "cross-site"},  # a link or an image elsewhere
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_from_elsewhere_is_not(headers: Mapping[str, str]) -> None:
    anonymous.grant(HERE)
    assert not is_let_in(headers)


def test_a_page_that_the_settings_allow_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", " https://app.example.com , http://localhost:3000,")
    settings.cache_clear()
    anonymous.grant(HERE)
    assert is_let_in({"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"})
    assert is_let_in({"Origin": "http://localhost:3000"})
    assert not is_let_in({"Origin": "https://app.example.com.evil.example"})
    assert not is_let_in({"Origin": ""})


@pytest.mark.parametrize(
    ("given", "may"),
    [
        ({}, True),
        ({"anonymous": "true"}, True),
        ({"anonymous": "true", "host": "::1"}, True),
        ({"anonymous": "false"}, False),
        ({"environment": "production"}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "localhost"}, True),
    ],
)
def test_it_may_be_granted_in_development_on_this_machines_own_address(given: dict[str, str], may: bool) -> None:
    assert anonymous.check_may_grant(load_settings(**given)) == may


@pytest.mark.parametrize("given", [{"environment": "production"}, {"host": "0.0.0.0"}, {"host": "192.168.1.2"}])
def test_asking_for_it_elsewhere_is_an_error(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match="ANONYMOUS: "):
        anonymous.check_may_grant(load_settings(anonymous=True, **given))


def test_a_function_outside_the_emulator_does_not_start_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    anonymous.refuse_outside_emulator()  # not asked for
    monkeypatch.setenv("ANONYMOUS", "true")
    settings.cache_clear()
    with pytest.raises(InvalidSettings, match="ANONYMOUS: "):
        anonymous.refuse_outside_emulator()
    anonymous.grant(HERE)
    anonymous.refuse_outside_emulator()

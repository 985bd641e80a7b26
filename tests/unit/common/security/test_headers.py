"""CORS by a list of origins, and what is no origin."""

import flask
import pytest

from common.security import headers as module
from common.security.headers import allowed_origin, check_origins, dress, is_preflight
from common.settings import InvalidSettings, load_settings


@pytest.fixture
def origins(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(module, "settings", lambda: load_settings(cors_origins=request.param))


@pytest.mark.parametrize(
    "origins",
    ["*", "https://*.example.com", "app.example.com", "https://app.example.com/path", "null", "ftp://example.com"],
    indirect=True,
)
def test_what_is_no_origin_is_refused_at_start(origins: None) -> None:
    with pytest.raises(InvalidSettings, match="CORS_ORIGINS"):
        check_origins()


@pytest.mark.parametrize("origins", ["https://a.example , http://localhost:3000"], indirect=True)
def test_an_origin_is_compared_as_a_whole(origins: None) -> None:
    check_origins()
    for origin, is_allowed in [
        ("https://a.example", True), ("http://localhost:3000", True), ("https://a.example:8443", False),
        ("https://a.example.evil", False), ("https://A.example", False), ("http://a.example", False),
    ]:  # fmt: skip
        with flask.Flask("x").test_request_context("/", headers={"Origin": origin}):
            assert (allowed_origin(flask.request) == origin) is is_allowed, origin


@pytest.mark.parametrize("origins", ["https://a.example"], indirect=True)
def test_a_page_may_read_the_headers_that_tell_it_what_to_do_next(origins: None) -> None:
    with flask.Flask("x").test_request_context("/", headers={"Origin": "https://a.example"}):
        response = flask.Response("{}")
        dress(flask.request, response, nonce="n")
    shown = set(response.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"RateLimit", "Retry-After", "X-Request-ID", "Idempotent-Replayed"} <= shown


@pytest.mark.parametrize("origins", [None], indirect=True)
def test_without_the_setting_no_page_elsewhere_may_ask(origins: None) -> None:
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with flask.Flask("x").test_request_context("/", method="OPTIONS", headers=asks):
        assert not is_preflight(flask.request)
        response = flask.Response("{}", content_type="application/json")
        dress(flask.request, response, nonce="n")
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Vary" not in response.headers


@pytest.mark.parametrize("origins", ["https://a.example"], indirect=True)
def test_a_caches_answers_are_told_apart_by_origin(origins: None) -> None:
    with flask.Flask("x").test_request_context("/", headers={"Origin": "https://b.example"}):
        response = flask.Response("{}", headers={"Cache-Control": "max-age=60"})
        dress(flask.request, response, nonce="n")
    assert response.headers["Vary"] == "Origin"
    assert response.headers["Cache-Control"] == "max-age=60"
    assert "Access-Control-Allow-Origin" not in response.headers

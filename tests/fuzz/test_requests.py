"""Whole requests through the gateway and the spine: headers, addresses, lengths, whatever a server can hand over."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.profiles import examples
from tests.fuzz.targets import Answer, ask, check_answer
from tests.instance import instance

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

pytestmark = pytest.mark.keys

HEADERS = """
    X_REQUEST_ID TRACEPARENT TRACESTATE X_CLOUD_TRACE_CONTEXT ACCEPT
    ACCEPT_ENCODING CONTENT_ENCODING IDEMPOTENCY_KEY X_API_KEY AUTHORIZATION
    X_FORWARDED_FOR FORWARDED X_FORWARDED_PROTO ORIGIN COOKIE
    HOST RANGE IF_MATCH IF_MODIFIED_SINCE EXPECT
    TRANSFER_ENCODING CONNECTION ACCESS_CONTROL_REQUEST_METHOD SEC_FETCH_SITE X_HTTP_METHOD_OVERRIDE
    FUNCTION_EXECUTION_ID USER_AGENT
""".split()
PIECES = [
    "api", "query", "documents", "health", "live", "openapi.json", "metrics", "events", "retention", "budget",
    "run", "..", ".", "", " ", "\x00", "\n", "\xc0\xae\xc0\xae", "\xff", "%2e%2e", "%00", "{", "\\", ";a=b",
    "a" * 3_000,
]  # fmt: skip
# What a server lets through, and line breaks too: they must not come out again even where they got in.
latin = st.text(st.characters(max_codepoint=0xFF), max_size=60)
likely = st.sampled_from([
    "*/*", "application/json;q=0.0001", "text/html, */*;q=nan", "text/event-stream", "chunked", "gzip", ",", ";", "=",
    "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "a" * 32 + "/18446744073709551616;o=1", "Bearer a.b.c",
    "Bearer " + "A" * 9_000, "lcc_abcdefghjkmn_" + "0" * 49, '"key"', '"', "key", "https://loans.example",
    "1.2.3.4, ::1", "[::1%eth0]", "127.0.0.1:99999", "x\r\nSet-Cookie: a=b", "\x00", "\xff" * 200, "a" * 20_000,
])  # fmt: skip
header_values = likely | latin
headers = st.dictionaries(
    st.sampled_from(HEADERS) | st.text("ABCDEFGHIJ_0123456789", min_size=1, max_size=12), header_values, max_size=5
)
paths = st.lists(st.sampled_from(PIECES) | latin, max_size=6).map(lambda parts: "/" + "/".join(parts))
methods = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "BREW", "get", "\xe9"]
)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[WSGIApplication, dict[str, str]]]":
    """All functions, and the header of a key for them."""
    settings = {
        "LIMIT_FACTOR": "10000", "ADDRESS_LIMIT": "none", "FAILED_KEYS_LIMIT": "none", "LOG_LEVEL": "ERROR",
        "CORS_ORIGINS": "https://loans.example", "TRUSTED_PROXIES": "1",
    }  # fmt: skip
    with instance(tmp_path_factory.mktemp("fuzz"), **settings):
        from common.security.api_keys import api_keys
        from local.catalogue import load_catalogue
        from local.gateway import Gateway

        yield Gateway(load_catalogue()), {"HTTP_X_API_KEY": api_keys().create(role="admin").text}


def asked(product: "tuple[WSGIApplication, dict[str, str]]", method: str, path: str, **environ: Any) -> Answer:
    answer = ask(product[0], method=method, path=path, **environ)
    check_answer(answer, method=method)
    return answer


@examples(300)
@given(
    headers, st.sampled_from(["/api/documents/x", "/health/live", "/openapi.json", "/documents/metrics"]), st.booleans()
)
@example({"X_REQUEST_ID": "a\r\nSet-Cookie: b=c"}, "/health/live", False)
@example({"ORIGIN": "https://loans.example", "ACCESS_CONTROL_REQUEST_METHOD": "\r\nX: y"}, "/health/live", False)
def test_any_headers_are_answered(product: Any, given_headers: dict[str, str], path: str, with_key: bool) -> None:
    key = product[1] if with_key else {}
    asked(
        product,
        "GET",
        path,
        **key,
        **{f"HTTP_{name}": value for name, value in given_headers.items() if f"HTTP_{name}" not in key},
    )


@examples(600)
@given(methods, paths, latin, st.booleans())
@example("GET", "/health/live", "\x80", False)  # no UTF-8
def test_any_method_address_and_query_are_answered(
    product: Any, method: str, path: str, query: str, with_key: bool
) -> None:
    answer = asked(product, method, path, QUERY_STRING=query, **(product[1] if with_key else {}))
    assert "location" not in answer.headers


@examples(200)
@given(
    latin | st.sampled_from(["-1", "0", "99999999999999999999", "1_0", "+3", " 2 ", "\xb2", "1,1", "0x10", "1e2"]),
    st.binary(max_size=60),
    st.booleans(),
)
def test_any_length_of_a_body_is_answered(product: Any, length: str, body: bytes, terminated: bool) -> None:
    asked(
        product, "POST", "/api/query", CONTENT_TYPE="application/json", CONTENT_LENGTH=length, **product[1],
        **{"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": terminated},
    )  # fmt: skip


@examples(200)
@given(latin | st.sampled_from(['"a"', '"', "a", '"\\', '"\\a"', "a b", ",", '"' + "\\\\" * 128 + '"', "a" * 129]))
def test_any_idempotency_key_is_answered(product: Any, key: str) -> None:
    asked(
        product, "POST", "/api/query", CONTENT_TYPE="application/json", CONTENT_LENGTH="2", HTTP_IDEMPOTENCY_KEY=key,
        **product[1], **{"wsgi.input": io.BytesIO(b"{}")},
    )  # fmt: skip


@examples(150)
@given(latin, latin, latin)
def test_a_request_with_any_cookie_host_and_agent_says_nothing_of_them(
    product: Any, cookie: str, host: str, agent: str
) -> None:
    mark = "c4n4ry"
    marked = {"HTTP_COOKIE": mark + cookie, "HTTP_HOST": mark + host, "HTTP_USER_AGENT": mark + agent}
    answer = asked(product, "GET", "/api/documents/x", **marked)
    assert mark not in str(answer)

"""Request bodies: whatever comes, it is a model or a refusal."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.documents.models import DocumentsRequest
from functions.query.models import QueryRequest
from tests.fuzz.profiles import examples
from tests.fuzz.targets import check_body

MODELS = (QueryRequest, DocumentsRequest)
FIELDS = ["message", "session_id", "agent", "stream", "documents", "id", "title", "text", "source", "metadata"]
names = st.sampled_from(FIELDS) | st.text(max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=30)
    | st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=4)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=20
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON, then cut, with bytes put in, or as it is."""
    raw = json.dumps(draw(values), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    at = draw(st.integers(0, len(raw)))
    piece = draw(
        st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"[" * 40, b"\\u0000", b"\\ud800", b"\xef\xbb\xbf"])
    )
    return raw[:at] + piece + raw[at + draw(st.integers(0, 8)) :]


@pytest.mark.parametrize("model", MODELS)
@examples(250)
@given(damaged() | st.binary(max_size=200))
def test_any_bytes_are_a_model_or_refused(model: Any, raw: bytes) -> None:
    check_body(raw, model)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 19_000,
        b'{"a":' * 3_000,
        b'{"message":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
        b'{"message": "' + b'\\"[' * 6_000 + b'"}',
        b'"' + b"\\" * 19_001,
        b'{"message": ' + b"9" * 19_000 + b"}",
        b'{"message": 1e' + b"9" * 10_000 + b"}",
        b'{"message": "\xed\xa0\x80"}',
        b'{"message": "\\ud83d"}',
        b'{"message": "\xc0\xaf"}',
        b'{"message": "a", "message": "b"}',
        b'{"message": NaN}',
        b'{"message": "a"}\x00',
        b'\xff\xfe{\x00"\x00',
        b"{" + b",".join(b'"x%d":1' % number for number in range(1_500)) + b"}",
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_breaks_parsers_is_a_model_or_refused(model: Any, raw: bytes) -> None:
    check_body(raw, model)


@examples(150)
@given(st.text(st.characters(min_codepoint=1, max_codepoint=0xFF), max_size=40), st.binary(max_size=30))
@example("application/json; charset=utf-16", b"\xff\xfe{\x00}\x00")
@example('application/json; charset="', b"{}")
def test_any_content_type_is_json_or_refused(content_type: str, raw: bytes) -> None:
    check_body(raw, QueryRequest, content_type)


# Any: a JSON value
@examples(150)
@given(st.dictionaries(names, values, max_size=4))
def test_a_body_that_is_read_says_what_was_sent(body: dict[str, Any]) -> None:
    body = {**body, "message": "What is a lien?"}
    read = check_body(json.dumps(body).encode(), QueryRequest)
    if read is not None:
        assert body.keys() <= {"message", "session_id", "agent", "stream"}
        assert {name: getattr(read, name) for name in body} == body

"""Files of ours that somebody may have got hold of: sealed values, audit exports, prices, the list of functions."""

import hmac
import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Engine

from common.archive import FolderArchive
from common.costs.price_table import load_price_table
from common.costs.prices import BUILT_IN
from common.problems import BadRequest
from common.security.audit_chain import BrokenLink
from common.security.audit_export import verify_exports
from common.security.callers import CATALOGUE, callers_of
from common.security.encryption import TURN_CONTENT, CannotOpen, Sealer
from common.security.idempotency import key_of, texts_of
from common.settings import InvalidSettings
from local.catalogue import load_catalogue
from tests.fuzz.profiles import examples
from tests.key_rings import ring_over

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture
def sealer(sqlite_database: Engine) -> Sealer:
    return Sealer(ring_over(sqlite_database))


@examples(300)
@given(st.binary(max_size=80), st.integers(0, 2**32 - 1), st.booleans())
def test_any_bytes_cannot_be_opened(sealer: Sealer, raw: bytes, key: int, with_prefix: bool) -> None:
    with pytest.raises(CannotOpen):
        sealer.open((b"\x01" + key.to_bytes(4) if with_prefix else b"") + raw, TURN_CONTENT, "row")


@examples(200)
@given(st.data())
def test_a_sealed_value_with_any_change_cannot_be_opened(sealer: Sealer, data: st.DataObject) -> None:
    sealed = sealer.seal(b"Jane Roe", TURN_CONTENT, "row")
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + data.draw(st.binary(max_size=4)) + sealed[at + data.draw(st.integers(0, 4)) :]
    if changed != sealed:
        with pytest.raises(CannotOpen):
            sealer.open(changed, TURN_CONTENT, "row")


def mac(_purpose: object, message: bytes) -> str:
    return hmac.digest(b"key", message, "sha256").hex()


fields = [
    "number",
    "at",
    "tenant",
    "actor",
    "action",
    "target",
    "outcome",
    "request_id",
    "facts",
    "signature",
    "previous",
]
lines = (
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(dict.fromkeys(fields, json_values)).map(lambda one: json.dumps(one).encode())
    | st.fixed_dictionaries({name: st.text(max_size=5) for name in fields}).map(
        lambda one: json.dumps({**one, "number": 1, "previous": ""}).encode()
    )
    | st.just(b"[" * 50_000)
)


@examples(150)
@given(st.lists(lines, max_size=3), st.integers(1, 3))
@example([], 1)
@example([json.dumps(dict.fromkeys(fields, "\ud800") | {"number": 1}).encode()], 1)
def test_any_lines_in_the_archive_break_the_chain_and_nothing_else(
    tmp_path: Path, content: list[bytes], last: int
) -> None:
    archive = FolderArchive(tmp_path / secrets.token_hex(8))
    archive.write_new(f"audit/000000000001-{last:012d}.jsonl", b"\n".join(content))
    outcome, checkpoints = verify_exports(archive, mac)
    assert isinstance(outcome, BrokenLink)
    assert checkpoints == {}


@examples(200)
@given(st.text(st.characters(max_codepoint=0xFF), max_size=140))
def test_an_idempotency_key_is_read_or_refused(header: str) -> None:
    try:
        key = key_of(header)
    except BadRequest:
        return
    assert 1 <= len(key) <= 128
    assert key.isascii()
    assert key.isprintable()


@examples(200)
@given(
    st.sampled_from(["application/json", "application/problem+json", "text/event-stream", "text/plain"]), json_values
)
def test_the_texts_of_any_answer_are_found(content_type: str, answer: Any) -> None:
    text = json.dumps(answer)
    body = f"event: done\ndata: {text}\n\n" if content_type == "text/event-stream" else text
    assert all(isinstance(one, str) for one in texts_of(content_type, body.encode()))


@st.composite
def damaged(draw: st.DrawFn, path: Path) -> bytes:
    """A file of ours, with a piece of it changed; or any JSON, or no JSON at all."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
    raw = path.read_bytes()
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.binary(max_size=6)) + raw[at + draw(st.integers(0, 20)) :]


@examples(200)
@given(damaged(BUILT_IN))
def test_any_price_file_is_read_or_refused_by_its_variable(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(raw)
    try:
        load_price_table(path)
    except InvalidSettings as error:
        refused = str(error)
        assert refused.startswith("PRICE_FILE: ")


@examples(200)
@given(damaged(CATALOGUE))
def test_any_list_of_functions_is_read_or_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "functions.json"
    path.write_bytes(raw)
    with suppress(ValidationError):
        load_catalogue(path)
    with suppress(ValueError):
        assert callers_of("query", path) in {"public", "api-key", "google"}

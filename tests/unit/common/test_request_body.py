"""Bodies of requests; what bodies whole functions take is told where functions are tested."""

import io

import flask
import pytest
from pydantic import BaseModel

from common.problems import BadRequest
from common.request_body import read_body


class Body(BaseModel):
    message: str


class Broken(io.RawIOBase):
    """As a server gives a body in chunks that are none."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise ValueError("Invalid chunk size: 'Jane Roe'")


@pytest.mark.parametrize("body", [io.BytesIO(b'{"message": "Jane'), Broken()])
def test_a_body_that_ends_too_early_or_cannot_be_read_is_the_callers_fault(body: io.IOBase) -> None:
    environ = {"wsgi.input": body, "CONTENT_LENGTH": "100", "CONTENT_TYPE": "application/json"}
    with (
        flask.Flask(__name__).test_request_context("/", method="POST", environ_overrides=environ),
        pytest.raises(BadRequest) as refused,
    ):
        read_body(flask.request, Body, 1000)
    assert refused.value.detail == "The body cannot be read to its end."

"""Which trace a piece of work belongs to, as it comes in and goes out in headers.

`tracestate` is dropped, in and out: nobody here reads it, and it is up to 512 characters of a caller's own text that
would travel on to model providers and into stored spans.

Source: https://www.w3.org/TR/trace-context/ and https://cloud.google.com/trace/docs/trace-context
"""

import os
import re
from dataclasses import dataclass
from typing import Protocol

MAX_HEADER_CHARACTERS = 512

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]{1,3}))?")
_MAX_SPAN_ID = 2**64


class Headers(Protocol):
    """Request headers: werkzeug's, httpx's, or a dict with names in lower case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One place in one trace."""

    trace_id: str  # 32 hex digits, lower case, not all zero
    span_id: str  # 16 hex digits, lower case, not all zero
    sampled: bool

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


@dataclass(frozen=True, slots=True)
class RemoteParent:
    """The caller's place in its trace. `sampled` is None where the caller left the decision to us."""

    trace_id: str
    span_id: str
    sampled: bool | None


def new_trace_id() -> str:
    # Not `random`: whoever seeds that, as for repeatable answers, would make equal ids.
    return os.urandom(16).hex()


def new_span_id() -> str:
    return os.urandom(8).hex()


def remote_parent(headers: Headers) -> tuple[RemoteParent | None, int]:
    """The caller's context from `traceparent`, else from `X-Cloud-Trace-Context`; and how many were malformed.

    Strict, as the specification asks for: a malformed header is as none at all, and the trace begins here.
    """
    malformed = 0
    for name, parse in (("traceparent", parse_traceparent), ("x-cloud-trace-context", parse_cloud_trace)):
        value = headers.get(name)
        if value:
            parent = parse(value)
            if parent is not None:
                return parent, malformed
            malformed += 1
    return None, malformed


def parse_traceparent(value: str) -> RemoteParent | None:
    """None where it is malformed: also several values, which servers join with commas.

    A version after 00 may have more behind its flags; what is known of 00 is read from it.
    """
    found = _TRACEPARENT.fullmatch(value) if len(value) <= MAX_HEADER_CHARACTERS else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return RemoteParent(trace_id, span_id, bool(int(flags, 16) & 1))


def parse_cloud_trace(value: str) -> RemoteParent | None:
    """`TRACE_ID/SPAN_ID;o=OPTIONS` with the span id in decimal; None where it is malformed.

    The span may be left out or 0: then the parent is a span of that trace that nobody knows.
    """
    found = _CLOUD_TRACE.fullmatch(value) if len(value) <= MAX_HEADER_CHARACTERS else None
    if found is None:
        return None
    trace_id, span, options = found.groups()
    number = int(span or 0)
    if not trace_id.strip("0") or number >= _MAX_SPAN_ID:
        return None
    span_id = f"{number:016x}" if number else new_span_id()
    return RemoteParent(trace_id.lower(), span_id, None if options is None else bool(int(options) & 1))

"""What of a span may leave the process: allowed attributes, masked and cut; no events, no messages of exceptions.

It looks at every span alike, those of instrumented libraries too, and runs in the delivery's thread.
"""

from collections.abc import Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, TraceFlags

from common.pii import mask
from common.telemetry import semconv
from common.telemetry.trace_spans import AttributeValue

MAX_CHARACTERS = 256
MAX_CONTENT_CHARACTERS = 8192
MAX_NAME_CHARACTERS = 128
MAX_ITEMS = 32
MAX_HARMLESS = 2048  # texts
MAX_HARMLESS_CHARACTERS = 64
RAW_MARGIN = 4096  # characters that are looked at behind the cut: more than a secret has


def clean(span: ReadableSpan, resource: Resource, *, with_content: bool) -> tuple[ReadableSpan, int]:
    """A copy of `span` that may leave, from `resource`; and how many attributes and events were left out."""
    given: Mapping[str, object] = span.attributes or {}
    attributes = _clean_attributes(given, with_content=with_content)
    context = span.get_span_context()
    cleaned = ReadableSpan(
        name=clean_text(span.name, MAX_NAME_CHARACTERS),
        context=None if context is None else _bare(context),
        parent=None if span.parent is None else _bare(span.parent),
        resource=resource,
        attributes=attributes,
        links=[Link(_bare(link.context)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=_clean_scope(span.instrumentation_scope),
    )
    return cleaned, len(given) - len(attributes) + len(span.events)


def _clean_attributes(given: Mapping[str, object], *, with_content: bool) -> dict[str, AttributeValue]:
    attributes = {}
    for name, value in given.items():
        is_content = name in semconv.CONTENT
        if with_content if is_content else name in semconv.ALLOWED:
            cleaned = _clean_value(value, MAX_CONTENT_CHARACTERS if is_content else MAX_CHARACTERS)
            if cleaned is not None:
                attributes[name] = cleaned
    return attributes


def _clean_scope(scope: InstrumentationScope | None) -> InstrumentationScope | None:
    """Name and version: a careless library writes anything into them."""
    if scope is None:
        return None
    version = scope.version and clean_text(scope.version, MAX_NAME_CHARACTERS)
    return InstrumentationScope(clean_text(scope.name, MAX_NAME_CHARACTERS), version)


def _bare(context: SpanContext) -> SpanContext:
    """The ids alone: a trace state is a caller's own text. What leaves is sampled, also where an error decided that."""
    if context.trace_flags.sampled and not context.trace_state:
        return context
    return SpanContext(context.trace_id, context.span_id, context.is_remote, TraceFlags(TraceFlags.SAMPLED))


def _clean_value(value: object, limit: int) -> AttributeValue | None:
    """None for a kind of value that nobody here has looked into, as a mapping."""
    if isinstance(value, str):
        return clean_text(value, limit)
    if isinstance(value, (bool, int, float)):  # three times as fast as their union
        return value
    if isinstance(value, Sequence):
        # One kind of items by OpenTelemetry's own rule; as text they are, whatever they were.
        return [clean_text(str(item), limit) for item in value[:MAX_ITEMS]]
    return None


def clean_text(text: str, limit: int) -> str:
    """`text`, masked, with at most `limit` characters, and such that it can be encoded.

    Long text is cut before it is masked, for time. What lies across that cut may be a part of a secret that no
    recogniser knows any more, so that much is taken away from the end.
    """
    if text in _harmless:
        return text
    raw = text[: limit + RAW_MARGIN]
    masked = mask(raw.encode("utf-8", "replace").decode())
    if len(raw) < len(text):
        masked = masked[: max(0, len(masked) - RAW_MARGIN)]
    if masked == text and len(text) <= MAX_HARMLESS_CHARACTERS:
        _remember(text)
    return masked[:limit]


# Most values are of few: names of models, operations, outcomes. Only such are remembered that hold nothing to mask.
_harmless: set[str] = set()


def _remember(text: str) -> None:
    if len(_harmless) >= MAX_HARMLESS:
        _harmless.clear()
    _harmless.add(text)

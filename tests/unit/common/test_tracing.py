"""Spans as our code opens them: without an exporter ids, with one OpenTelemetry's own, nested and cleaned."""

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan

from common import tracing
from common.metrics import REGISTRY
from common.settings import settings
from common.telemetry import semconv
from common.telemetry.trace_context import TraceContext
from common.tracing import (
    Span,
    current,
    current_span,
    flush_due,
    inject,
    outgoing_headers,
    server_span,
    setup_tracing,
    span,
    trace_async,
    trace_critique,
    trace_database,
    trace_intent_classifier,
    trace_model,
    trace_planner,
    trace_retriever,
    trace_sync,
)
from tests.recorded_spans import RecordedSpans, recording

ROOT = Path(__file__).parents[3]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COV")}
SECRET = "Jane Roe, 078-05-1120"  # a number that SSA withdrew


@pytest.fixture
def recorded() -> Iterator[RecordedSpans]:
    with recording() as spans:
        yield spans


@pytest.fixture(params=["without an exporter", "with an exporter"])
def either(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test of this says about the current span holds with an exporter and without."""
    with recording() if request.param == "with an exporter" else contextlib.nullcontext():
        yield


def id_of(recorded: ReadableSpan) -> int:
    context = recorded.get_span_context()
    assert context is not None
    return context.span_id


def parents(recorded: RecordedSpans) -> dict[str, str | None]:
    """Each span's parent, by their names."""
    spans = recorded.finish()
    names = {id_of(one): name for name, one in spans.items()}
    return {name: names[one.parent.span_id] if one.parent else None for name, one in spans.items()}


def dropped(channel: str) -> float:
    return REGISTRY.get_sample_value("assistant_telemetry_dropped_total", {"channel": channel}) or 0.0


# Which span is current


@pytest.mark.usefixtures("either")
def test_a_span_is_current_inside_its_block() -> None:
    assert current() is None
    assert current_span() is None
    with span("outer") as outer:
        assert current() == outer.context
        with span("inner") as inner:
            assert current() == inner.context
            assert inner.context.trace_id == outer.context.trace_id
            assert inner.context.span_id != outer.context.span_id
        assert current() == outer.context
    assert current() is None


@pytest.mark.usefixtures("either")
def test_ids_are_hex_digits_that_nobody_had_before() -> None:
    found = set()
    for _ in range(100):
        with span("work") as opened:
            context = opened.context
        assert (len(context.trace_id), len(context.span_id)) == (32, 16)
        assert int(context.trace_id, 16) > 0
        assert int(context.span_id, 16) > 0
        found |= {context.trace_id, context.span_id}
    assert len(found) == 200


@pytest.mark.usefixtures("either")
def test_a_block_that_fails_is_left_in_order_and_its_exception_goes_on() -> None:
    with pytest.raises(ValueError, match="Roe"), span("work"):
        raise ValueError(SECRET)
    assert current() is None


@pytest.mark.usefixtures("either")
def test_a_thread_starts_outside_unless_it_is_given_the_context() -> None:
    with span("request") as request, ThreadPoolExecutor(1) as pool:
        assert pool.submit(current).result() is None
        assert pool.submit(copy_context().run, current).result() == request.context


@pytest.mark.usefixtures("either")
def test_tasks_of_asyncio_nest_where_they_were_made_and_never_mix() -> None:
    async def work(name: str) -> tuple[TraceContext | None, TraceContext]:
        with span(name) as own:
            await asyncio.sleep(0)
            seen = current()
            await asyncio.sleep(0)
        return seen, own.context

    async def serve() -> None:
        with span("request") as request:
            pairs = await asyncio.gather(*(work(f"part {number}") for number in range(5)))
            assert current() == request.context
        for seen, own in pairs:
            assert seen == own
            assert own.trace_id == request.context.trace_id

    asyncio.run(serve())
    assert current() is None


@pytest.mark.usefixtures("either")
def test_what_a_span_is_told_never_fails() -> None:
    with span("work", attributes={semconv.SCORE: 0.5}) as opened:
        opened.set(semconv.INTENT, "question")
        opened.fail("Timeout")
        opened.hold()
    opened.end()
    opened.end()
    opened.set(semconv.INTENT, "late")


# In and out


@pytest.mark.usefixtures("either")
def test_a_request_continues_its_callers_trace() -> None:
    with server_span(CALLER, "POST /api/query") as opened:
        assert (opened.context.trace_id, opened.context.sampled) == (TRACE, True)
        assert opened.context.span_id != SPAN


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("flag", ["0", "1"])
def test_a_request_continues_a_trace_of_googles_front_end(flag: str) -> None:
    with server_span({"x-cloud-trace-context": f"{TRACE}/12345;o={flag}"}, "GET /health") as opened:
        assert opened.context.trace_id == TRACE
        assert opened.context.sampled or flag == "0"


@pytest.mark.usefixtures("either")
def test_a_malformed_header_begins_a_new_trace_and_is_counted() -> None:
    before = dropped("traceparent")
    with server_span({"traceparent": f"ff-{TRACE}-{SPAN}-01"}, "GET /health") as opened:
        assert opened.context.trace_id != TRACE
    assert dropped("traceparent") == before + 1


@pytest.mark.usefixtures("either")
def test_a_span_that_is_open_already_goes_before_the_headers() -> None:
    with span("the server's own instrumentation") as outer, server_span(CALLER, "GET /health") as opened:
        assert opened.context.trace_id == outer.context.trace_id


@pytest.mark.usefixtures("either")
def test_an_outgoing_call_carries_the_current_span() -> None:
    assert outgoing_headers() == {}
    with server_span(CALLER, "GET /health"), span("call", kind="client") as call:
        assert outgoing_headers() == {"traceparent": f"00-{TRACE}-{call.context.span_id}-01"}


@pytest.mark.usefixtures("either")
def test_httpx_carries_it_by_an_event_hook() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=request.headers.get("traceparent", "none"))

    def add(request: httpx.Request) -> None:
        inject(request.headers)

    with httpx.Client(transport=httpx.MockTransport(answer), event_hooks={"request": [add]}) as client:
        assert client.get("http://127.0.0.1/").text == "none"
        with span("call") as call:
            assert client.get("http://127.0.0.1/").text == call.context.traceparent


# Decorators


def plain(pace: int) -> TraceContext | None:
    """Says where it runs."""
    assert pace
    return current()


@pytest.mark.usefixtures("either")
def test_a_decorated_function_is_called_as_before_inside_a_span() -> None:
    traced = trace_sync()(plain)
    assert traced(1) is not None
    assert (traced.__name__, traced.__doc__) == ("plain", "Says where it runs.")
    assert current() is None


@pytest.mark.usefixtures("either")
def test_a_decorated_coroutine_function_is_awaited_as_before_inside_a_span() -> None:
    @trace_async()
    async def work(*, pace: int) -> TraceContext | None:
        await asyncio.sleep(0)
        assert pace
        return current()

    assert asyncio.run(work(pace=1)) is not None
    assert current() is None


def test_a_span_is_named_after_its_function_in_its_module(recorded: RecordedSpans) -> None:
    def named(module: str) -> Callable[[], None]:
        def answer() -> None:
            return

        answer.__module__ = module
        answer.__qualname__ = "Planner.<locals>.answer"
        return answer

    trace_sync(named("functions.query.planner"))()
    trace_sync(named("common.knowledge.index"))()
    trace_sync(named("elsewhere"))()
    trace_async("by hand")(named("elsewhere"))()
    assert set(recorded.finish()) == {
        "query.planner.Planner.answer", "knowledge.index.Planner.answer", "elsewhere.Planner.answer", "by hand",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("decorator", "name", "component", "kind"),
    [
        (trace_intent_classifier, "classify_intent", "intent_classifier", otel.SpanKind.INTERNAL),
        (trace_retriever, "retrieval knowledge", "retriever", otel.SpanKind.INTERNAL),
        (trace_planner, "plan", "planner", otel.SpanKind.INTERNAL),
        (trace_critique, "critique", "critique", otel.SpanKind.INTERNAL),
        (trace_database, "database", "database", otel.SpanKind.CLIENT),
        (trace_model, "chat", "model", otel.SpanKind.CLIENT),
    ],
)
def test_components_have_decorators_of_their_own(
    decorator: tracing.Trace, name: str, component: str, kind: otel.SpanKind, recorded: RecordedSpans
) -> None:
    decorator(plain)(1)
    decorator("other", attributes={semconv.PASSAGES: 2})(plain)(1)
    spans = recorded.finish()
    assert spans[name].kind == spans["other"].kind == kind
    for one in spans.values():
        assert one.attributes is not None
        assert one.attributes[semconv.COMPONENT] == component
    assert spans["other"].attributes is not None
    assert spans["other"].attributes[semconv.PASSAGES] == 2


# Generators


Seen = list[TraceContext | None]


@pytest.mark.usefixtures("either")
def test_a_generators_span_is_current_only_while_the_generator_runs() -> None:
    inside: Seen = []

    @trace_sync()
    def pieces() -> Iterator[int]:
        for number in range(3):
            inside.append(current())
            yield number

    with span("reader") as reader:
        for _ in pieces():
            assert current() == reader.context
        assert current() == reader.context
    assert len(inside) == 3
    assert inside[0] is not None
    assert inside[0] != reader.context
    assert inside[0].trace_id == reader.context.trace_id
    assert set(inside) == {inside[0]}


@pytest.mark.usefixtures("either")
def test_a_span_that_a_generator_holds_open_over_a_yield_is_its_own() -> None:
    seen: Seen = []

    @trace_sync()
    def pieces() -> Iterator[int]:
        with span("inner") as inner:
            yield 1
            seen.extend([inner.context, current()])
        yield 2
        seen.append(current())

    reading = pieces()
    with span("reader") as reader:
        assert next(reading) == 1
        assert current() == reader.context
        assert next(reading) == 2
        assert current() == reader.context
    assert list(reading) == []
    assert current() is None
    inner_context, at_resume, after = seen
    assert inner_context == at_resume
    assert after is not None
    assert after != inner_context


@pytest.mark.usefixtures("either")
def test_a_generator_nests_where_it_was_made_wherever_it_is_read() -> None:
    """As the pieces of a streamed answer, which the server reads after the handler has returned."""

    @trace_sync()
    def pieces() -> Iterator[TraceContext | None]:
        yield current()

    with span("request") as request:
        made = pieces()
    (seen,) = made
    assert seen is not None
    assert seen.trace_id == request.context.trace_id


@pytest.mark.usefixtures("either")
def test_a_decorated_generator_sends_throws_returns_and_closes_as_before() -> None:
    closed: list[str] = []

    @trace_sync()
    def talk() -> Generator[str, str, str]:
        try:
            heard = yield "ready"
            try:
                yield heard.upper()
            except KeyError:
                yield "caught"
            return "done"
        finally:
            closed.append("closed")

    def outer() -> Generator[str, str, str]:
        return (yield from talk())

    talking = outer()
    assert next(talking) == "ready"
    assert talking.send("hello") == "HELLO"
    assert talking.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as ended:
        next(talking)
    assert (ended.value.value, closed) == ("done", ["closed"])

    given_up = talk()
    next(given_up)
    given_up.close()
    assert closed == ["closed", "closed"]
    assert current() is None


@pytest.mark.usefixtures("either")
def test_an_exception_of_a_generator_reaches_its_reader() -> None:
    @trace_sync()
    def pieces() -> Iterator[int]:
        yield 1
        raise ValueError(SECRET)

    reading = pieces()
    next(reading)
    with pytest.raises(ValueError, match="Roe"):
        next(reading)
    assert current() is None


def test_a_generators_span_lasts_until_it_ends_and_tells_how(recorded: RecordedSpans) -> None:
    @trace_sync("pieces")
    def pieces(*, fails: bool) -> Generator[int, None, None]:
        yield 1
        if fails:
            raise ValueError(SECRET)
        yield 2

    with span("reader"):
        list(pieces(fails=False))
        given_up = pieces(fails=False)
        next(given_up)
        given_up.close()
        failing = pieces(fails=True)
        with pytest.raises(ValueError, match="Roe"):
            list(failing)
        pieces(fails=False)  # never read: nothing was done
    recorded.finish()
    assert [(one.name, one.status.is_ok) for one in recorded.spans] == [
        ("pieces", True), ("pieces", True), ("pieces", False), ("reader", True),
    ]  # fmt: skip


@pytest.mark.usefixtures("either")
def test_a_decorated_asynchronous_generator_is_as_before_and_current_only_while_it_runs() -> None:
    seen: Seen = []
    closed: list[str] = []

    @trace_async()
    async def pieces() -> AsyncIterator[str]:
        try:
            seen.append(current())
            await asyncio.sleep(0)
            yield "one"
            seen.append(current())
            try:
                yield "two"
            except KeyError:
                yield "caught"
        finally:
            closed.append("closed")

    async def read() -> None:
        with span("reader") as reader:
            async for _ in pieces():
                assert current() == reader.context
            given_up: Any = pieces()
            assert await anext(given_up) == "one"
            assert await given_up.asend(None) == "two"
            assert await given_up.athrow(KeyError()) == "caught"
            assert current() == reader.context
            await given_up.aclose()
            assert current() == reader.context
        failing: Any = pieces()
        await anext(failing)
        with pytest.raises(ValueError, match="Roe"):
            await failing.athrow(ValueError(SECRET))

    asyncio.run(read())
    assert closed == ["closed"] * 3
    assert len(seen) == 5
    assert None not in seen
    assert current() is None


def test_an_asynchronous_generator_that_is_left_open_in_a_block_does_no_harm() -> None:
    async def leaky() -> AsyncIterator[int]:
        with span("left open"):
            yield 1

    async def read() -> None:
        async for _ in leaky():
            break  # the loop closes it later, in another context

    asyncio.run(read())
    assert current() is None


# What is recorded


def test_a_query_is_one_trace_over_its_parts(recorded: RecordedSpans) -> None:
    with server_span(CALLER, "POST /api/query", {semconv.HTTP_ROUTE: "/api/query"}):
        trace_intent_classifier(plain)(1)
        with span("invoke_agent lending"):
            trace_retriever(plain)(1)
            with span("chat gemini-3.8-flash", kind="client") as call:
                call.set(semconv.GEN_AI_USAGE_INPUT_TOKENS, 12)
    spans = recorded.finish()
    ids = {id_of(one): name for name, one in spans.items()}
    found = {name: ids.get(one.parent.span_id, "caller") for name, one in spans.items() if one.parent}
    assert found == {
        "POST /api/query": "caller",
        "classify_intent": "POST /api/query",
        "invoke_agent lending": "POST /api/query",
        "retrieval knowledge": "invoke_agent lending",
        "chat gemini-3.8-flash": "invoke_agent lending",
    }
    server, call_span = spans["POST /api/query"], spans["chat gemini-3.8-flash"]
    assert {one.context.trace_id for one in spans.values() if one.context} == {int(TRACE, 16)}
    assert server.kind == otel.SpanKind.SERVER
    assert server.parent is not None
    assert (server.parent.span_id, server.parent.is_remote) == (int(SPAN, 16), True)
    assert server.attributes == {semconv.HTTP_ROUTE: "/api/query"}
    assert call_span.kind == otel.SpanKind.CLIENT
    assert call_span.attributes == {semconv.GEN_AI_USAGE_INPUT_TOKENS: 12}


def test_an_exception_is_its_class_and_nothing_of_its_message(recorded: RecordedSpans) -> None:
    with contextlib.suppress(ValueError), span("outer"), span("work"):
        raise ValueError(SECRET)
    spans = recorded.finish()
    for one in spans.values():
        assert one.status.status_code is otel.StatusCode.ERROR
        assert one.attributes == {semconv.ERROR_TYPE: "ValueError"}
        assert (one.status.description, one.events) == (None, ())
        assert "Roe" not in one.to_json()


def test_work_may_fail_without_an_exception(recorded: RecordedSpans) -> None:
    with span("work") as opened:
        opened.fail("rate_limited")
    (found,) = recorded.finish().values()
    assert (found.status.is_ok, found.attributes) == (False, {semconv.ERROR_TYPE: "rate_limited"})


def test_a_reason_that_was_given_goes_before_the_class_of_the_exception(recorded: RecordedSpans) -> None:
    with contextlib.suppress(ValueError), span("work") as opened:
        opened.fail("rate_limited")
        raise ValueError(SECRET)
    assert recorded.finish()["work"].attributes == {semconv.ERROR_TYPE: "rate_limited"}


def test_a_span_may_be_held_beyond_its_block_and_its_parts_with_it(recorded: RecordedSpans) -> None:
    with server_span({}, "POST /api/query") as request:
        request.hold()

        @trace_sync("pieces")
        def pieces() -> Iterator[int]:
            yield 1

        made = pieces()
    assert current() is None
    list(made)
    request.end()
    assert parents(recorded) == {"pieces": "POST /api/query", "POST /api/query": None}
    assert [one.name for one in recorded.spans] == ["pieces", "POST /api/query"]


def test_spans_of_instrumented_libraries_nest_and_ours_nest_in_theirs(recorded: RecordedSpans) -> None:
    assert tracing._pipeline is not None
    library = tracing._pipeline.provider.get_tracer("somebody")
    with (
        library.start_as_current_span("server"),
        span("ours"),
        library.start_as_current_span("GET"),
        span("innermost"),
    ):
        otel.get_current_span().set_attribute(semconv.OUTCOME, "answered")
    found = parents(recorded)
    assert found == {"server": None, "ours": "server", "GET": "ours", "innermost": "GET"}
    assert recorded.by_name()["innermost"].attributes == {semconv.OUTCOME: "answered"}


def test_threads_record_side_by_side_without_mixing(recorded: RecordedSpans) -> None:
    def serve(number: int) -> tuple[str, str]:
        with server_span({}, f"request {number}") as request, span(f"part {number}"):
            return f"part {number}", request.context.span_id

    with ThreadPoolExecutor(8) as pool:
        expected = dict(pool.map(serve, range(200)))
    spans = recorded.finish()
    found = {name: f"{one.parent.span_id:016x}" for name, one in spans.items() if one.parent}
    assert found == expected


def test_spans_are_sent_when_a_call_ends(recorded: RecordedSpans) -> None:
    with span("work"):
        pass
    flush_due()
    assert tracing._pipeline is not None
    delivery = tracing._pipeline.delivery
    with delivery._changed:
        assert delivery._changed.wait_for(lambda: delivery._done >= 1, 10)
    assert [one.name for one in recorded.spans] == ["work"]


def test_after_the_end_spans_are_ids_again(recorded: RecordedSpans) -> None:
    tracing.shutdown()
    tracing.shutdown()
    with span("late") as late:
        assert late.context.sampled is False
    flush_due()
    assert (recorded.spans, recorded.is_shut_down) == ([], False)  # it was never needed


# Setting up


def run(script: str, **environment: str) -> str:
    """What `script` printed, in a process of its own, which must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        cwd=ROOT, env={**MEASURED, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_without_an_exporter_opentelemetry_is_never_imported() -> None:
    script = """
        import sys
        from common.tracing import flush_due, server_span, setup_tracing, span, trace_sync
        setup_tracing(service_name="mine")
        with server_span({"traceparent": "garbage"}, "GET /"), span("work", attributes={"a": 1}):
            trace_sync(lambda: None)()
        flush_due()
        print([name for name in sys.modules if name.startswith(("opentelemetry", "grpc", "google.auth"))])
        """
    assert run(script) == "[]\n"


def test_setting_up_imports_no_exporter_and_starts_no_thread() -> None:
    script = """
        import sys, threading
        from common.tracing import setup_tracing
        setup_tracing()
        setup_tracing()
        print([name for name in sys.modules if name.startswith(("opentelemetry.exporter", "grpc", "google.auth"))])
        print(threading.active_count())
        """
    assert run(script, TRACE_EXPORTER="cloud-trace") == "[]\n1\n"


def test_set_up_spans_of_ours_and_of_instrumented_libraries_arrive_on_the_console() -> None:
    script = """
        from common.tracing import setup_tracing, span
        setup_tracing(service_name="mine")
        setup_tracing(service_name="somebody else's")
        from opentelemetry import trace
        with span("ours"), trace.get_tracer("library").start_as_current_span("theirs"):
            pass
        """
    printed = run(script, TRACE_EXPORTER="console")
    assert printed.count('"service.name": "mine"') == 2
    assert '"name": "ours"' in printed
    assert '"name": "theirs"' in printed


def test_a_provider_that_the_program_has_set_stays() -> None:
    script = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        own = TracerProvider()
        trace.set_tracer_provider(own)
        from common.tracing import setup_tracing
        setup_tracing()
        print(trace.get_tracer_provider() is own)
        """
    assert run(script, TRACE_EXPORTER="console") == "True\n"


@pytest.mark.parametrize(("environment", "is_recording"), [({}, False), ({"JAEGER_HOST": "127.0.0.1"}, True)])
def test_the_settings_decide_whether_spans_are_recorded(
    environment: dict[str, str], is_recording: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    try:
        setup_tracing()
        with span("work") as opened:
            assert (type(opened) is not Span) == is_recording
            assert opened.context.sampled == is_recording
            opened.hold()  # so that nothing is sent
    finally:
        tracing.shutdown()
        settings.cache_clear()


def test_spans_of_a_forked_worker_are_sent_by_the_worker_alone() -> None:
    """As gunicorn does it: set up in the master, requests in the workers."""
    script = """
        import os, sys
        from common.tracing import setup_tracing, span
        setup_tracing()
        with span("of the master"):
            pass
        child = os.fork()
        if child == 0:
            with span("of the worker"):
                pass
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    printed = run(script, TRACE_EXPORTER="console", PYTHONUNBUFFERED="1")
    assert printed.count('"name": "of the master"') == 1
    assert printed.count('"name": "of the worker"') == 1


def test_hundreds_of_threads_that_open_spans_without_an_exporter_stay_apart() -> None:
    seen: list[bool] = []

    def serve() -> None:
        with span("request") as request, span("part") as part:
            seen.append(part.context.trace_id == request.context.trace_id)

    threads = [threading.Thread(target=serve) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 200

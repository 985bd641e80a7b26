"""Spans around calls of functions, coroutine functions and generator functions of both kinds, by decorators."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from common.telemetry import semconv
from common.telemetry.trace_spans import Attributes, Kind, Opening, active_tracer

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Decorator:
    """What all decorators share: a span around each call of a function, coroutine function or generator function."""

    def __init__(self, name: str | None, kind: Kind, attributes: Attributes | None) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        name = self._name or _name_of(function)
        wrap: Callable[..., Any]  # each of the four keeps the function's own signature
        if inspect.isasyncgenfunction(function):
            wrap = _wrap_async_generator
        elif inspect.isgeneratorfunction(function):
            wrap = _wrap_generator
        elif inspect.iscoroutinefunction(function):
            wrap = _wrap_coroutine
        else:
            wrap = _wrap_function
        wrapped: Callable[Parameters, Result] = functools.wraps(function)(
            wrap(function, lambda: Opening(name, self._kind, self._attributes, None))
        )
        return wrapped


def _name_of(function: Callable[..., object]) -> str:
    name = f"{function.__module__}.{function.__qualname__}".replace(".<locals>", "")
    return name.removeprefix("common.").removeprefix("functions.")


def _wrap_function(function: Callable[..., Any], opening: Callable[[], Opening]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with opening():
            return function(*args, **kwargs)

    return call


def _wrap_coroutine(function: Callable[..., Any], opening: Callable[[], Opening]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with opening():
            return await function(*args, **kwargs)

    return call


class _Paused:
    """A span of a generator: open until the generator ends, current only while the generator's own code runs.

    It nests in the span that was current when the generator was made, wherever it is read from.
    """

    def __init__(self, opening: Opening) -> None:
        self._tracer = active_tracer()
        self._made_in = self._tracer.state()
        self._opening = opening

    def start(self) -> None:
        self._span, self._inside = self._opening.begin(self._tracer, self._made_in)

    def __enter__(self) -> None:
        self._token = self._tracer.enter(self._inside)

    def __exit__(self, *_error: object) -> None:
        self._inside = self._tracer.state()  # spans that the generator holds open over a yield
        self._tracer.leave(self._token)

    def end(self, error: BaseException | None) -> None:
        self._span.leave(error)


def _wrap_generator(function: Callable[..., Any], opening: Callable[[], Opening]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return _drive(function(*args, **kwargs), _Paused(opening()))

    return call


def _drive(generator: Generator[Any, Any, Any], paused: _Paused) -> Generator[Any, Any, Any]:
    """As `yield from generator`, with the span current while it runs."""
    paused.start()
    error: BaseException | None = None
    step: Callable[[], Any] = generator.__next__
    try:
        while True:
            try:
                with paused:
                    item = step()
            except StopIteration as ended:
                return ended.value
            try:
                sent = yield item
            except GeneratorExit:
                with paused:
                    generator.close()
                raise
            except BaseException as thrown:  # noqa: BLE001  # the generator decides what to do with it
                step = functools.partial(generator.throw, thrown)
            else:
                step = functools.partial(generator.send, sent)
    except BaseException as left:
        error = left
        raise
    finally:
        paused.end(error)


def _wrap_async_generator(function: Callable[..., Any], opening: Callable[[], Opening]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return _drive_async(function(*args, **kwargs), _Paused(opening()))

    return call


async def _drive_async(generator: AsyncGenerator[Any, Any], paused: _Paused) -> AsyncGenerator[Any, Any]:
    paused.start()
    error: BaseException | None = None
    step: Callable[[], Any] = generator.__anext__
    try:
        while True:
            try:
                with paused:
                    item = await step()
            except StopAsyncIteration:
                return
            try:
                sent = yield item
            except GeneratorExit:
                with paused:
                    await generator.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001  # the generator decides what to do with it
                step = functools.partial(generator.athrow, thrown)
            else:
                step = functools.partial(generator.asend, sent)
    except BaseException as left:
        error = left
        raise
    finally:
        paused.end(error)


class Trace(Protocol):
    """A decorator to be used as `@trace`, `@trace()`, `@trace("name")` or `@trace(attributes={...})`."""

    @overload
    def __call__(self, name: Callable[Parameters, Result], /) -> Callable[Parameters, Result]: ...

    @overload
    def __call__(self, name: str | None = None, *, attributes: Attributes | None = None) -> _Decorator: ...


def _trace(name: str | None, kind: Kind, attributes: Attributes) -> Trace:
    own_name, own_attributes = name, attributes

    def decorate(name: Any = None, *, attributes: Attributes | None = None) -> Any:
        all_attributes = {**own_attributes, **(attributes or {})}
        if callable(name):
            return _Decorator(own_name, kind, all_attributes)(name)
        return _Decorator(name or own_name, kind, all_attributes)

    return decorate


trace_sync = trace_async = _trace(None, "internal", {})

trace_intent_classifier = _trace("classify_intent", "internal", {semconv.COMPONENT: "intent_classifier"})
trace_retriever = _trace(
    "retrieval knowledge",
    "internal",
    {
        semconv.COMPONENT: "retriever",
        semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_RETRIEVAL,
        semconv.GEN_AI_DATA_SOURCE_ID: "knowledge",
    },
)
trace_planner = _trace("plan", "internal", {semconv.COMPONENT: "planner"})
trace_critique = _trace("critique", "internal", {semconv.COMPONENT: "critique"})
trace_database = _trace("database", "client", {semconv.COMPONENT: "database"})
trace_model = _trace(
    "chat", "client", {semconv.COMPONENT: "model", semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_CHAT}
)

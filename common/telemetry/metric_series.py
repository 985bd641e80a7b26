"""Families of series that can be counted on from anywhere: bounded, never raising, safe to be interrupted.

They are collectors of prometheus_client instead of its own classes, for two reasons. Its locks are not reentrant: a
signal handler or a finaliser that logs (and so counts) in the middle of a count would wait for itself for ever; see
https://github.com/prometheus/client_python/pull/1076. And a label's values are bounded here, in the one place that
makes series.

prometheus_client itself is imported when somebody collects: counting needs nothing of it.
"""

import itertools
import re
import threading
import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from common.pii import detect
from common.telemetry.metric_catalogue import OTHER, Label, Metric

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Exposed

MOST_SERIES = 500
_NAME_LIKE = re.compile(r"[A-Za-z0-9_.:/{}-]{1,64}")

Values = tuple[object, ...]


class NotALabel(TypeError):
    """A label is a text or a whole number, and this is neither."""


class Number:
    """The value of a counter or gauge."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._lock = threading.RLock()

    def add(self, amount: float) -> None:
        with self._lock:
            self.value += amount

    def set(self, value: float) -> None:
        with self._lock:
            self.value = value


class Example(NamedTuple):
    """The last observation of a bucket that had a trace; `at` is in seconds since 1970."""

    trace_id: str
    amount: float
    at: float


class Distribution:
    """The buckets of a histogram, each with the last example that fell into it."""

    __slots__ = ("_bounds", "_counts", "_examples", "_lock", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._examples: list[Example | None] = [None] * (len(bounds) + 1)
        self._total = 0.0
        self._lock = threading.RLock()

    def observe(self, amount: float, trace_id: str | None) -> None:
        bucket = bisect_left(self._bounds, amount)
        with self._lock:
            self._counts[bucket] += 1
            self._total += amount
            if trace_id is not None:
                self._examples[bucket] = Example(trace_id, amount, time.time())

    def read(self) -> tuple[list[int], list[Example | None], float]:
        """Counts up to and with each bound, the examples, and the sum: all of the same moment."""
        with self._lock:
            return list(itertools.accumulate(self._counts)), list(self._examples), self._total


Series = TypeVar("Series", Number, Distribution)


class Bound:
    """What one label may say."""

    def __init__(self, label: Label) -> None:
        self._label = label
        self._seen = {""} if label.is_optional else set()

    @property
    def is_closed(self) -> bool:
        return self._label.values is not None

    def clean(self, value: object) -> str:
        """`value` where the label may have it, else "other". Only texts and whole numbers can be labels.

        Raises:
            NotALabel: it is neither.
        """
        text = _text(value)
        if self._label.values is not None:
            return text if text in self._label.values else OTHER
        if text in self._seen:
            return text
        if len(self._seen) >= self._label.most or not _NAME_LIKE.fullmatch(text) or detect(text):
            return OTHER  # the last: a social security number looks like a name
        self._seen.add(text)
        return text


def _text(value: object) -> str:
    """Subclasses are read by the methods of `str` and `int` themselves, whatever they make of `__str__`."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__repr__(value)
    raise NotALabel


def amount_of(value: object) -> float:
    """`value` as a float: a number from 0 up, and finite.

    Raises:
        TypeError, ValueError, ArithmeticError: it is not.
    """
    number = value if type(value) is float else _number(value)
    if not 0.0 <= number < inf:
        raise ValueError("not a number from 0 up")
    return number


def _number(value: object) -> float:
    if isinstance(value, Real | Decimal):
        return float(value)
    raise TypeError("not a number")


class Family(ABC, Generic[Series]):
    """All series of one metric. What cannot be recorded is told to `on_error`, and nothing is raised."""

    def __init__(self, metric: Metric, on_error: Callable[[Exception], None]) -> None:
        self.metric = metric
        self._on_error = on_error
        self._names = [label.name for label in metric.labels]
        self._bounds = [Bound(label) for label in metric.labels]
        self._series: dict[tuple[str, ...], Series] = {}
        self._known: dict[Values, Series] = {}  # by the values as they were given: the quick way
        self._lock = threading.RLock()

    @abstractmethod
    def _new(self) -> Series: ...

    @abstractmethod
    def collect(self) -> "Iterable[Exposed]": ...

    def describe(self) -> "Iterable[Exposed]":
        from prometheus_client.metrics_core import Metric as Exposed

        return [Exposed(self.metric.name.removesuffix("_total"), self.metric.help, self.metric.kind)]

    def find(self, values: Values) -> Series:
        """The series of these label values."""
        try:
            return self._known[values]
        except Exception:  # noqa: BLE001  # not there yet; or a value that cannot even be looked up
            return self._make(values)

    def rest(self) -> Series:
        """The series of what has no other: all its labels are "other"."""
        with self._lock:
            return self._series.setdefault((OTHER,) * len(self._bounds), self._new())

    def _make(self, values: Values) -> Series:
        if len(values) != len(self._bounds):
            raise ValueError("one value for each label")
        with self._lock:
            cleaned = tuple(map(self._clean, self._bounds, values))
            if cleaned not in self._series and len(self._series) >= MOST_SERIES:
                cleaned = tuple(
                    text if bound.is_closed else OTHER for bound, text in zip(self._bounds, cleaned, strict=True)
                )
            series = self._series.get(cleaned)
            if series is None:
                series = self._series[cleaned] = self._new()
            if all(
                isinstance(value, str | int) and _text(value) == text
                for value, text in zip(values, cleaned, strict=True)
            ):
                self._known[values] = series
            return series

    def _begin_at_zero(self) -> None:
        """Make the series of closed labels, so that their first event is an increase that `rate()` sees."""
        closed = [sorted(label.values) for label in self.metric.labels if label.values is not None]
        if len(closed) == len(self.metric.labels):
            for values in itertools.product(*closed):
                self.find(values)

    def _all(self) -> list[tuple[tuple[str, ...], Series]]:
        with self._lock:
            return list(self._series.copy().items())  # a finaliser may run now, and count something new

    def _clean(self, bound: Bound, value: object) -> str:
        try:
            return bound.clean(value)
        except NotALabel as error:
            self._on_error(error)
            return OTHER


class Counter(Family[Number]):
    """A total that only grows."""

    def __init__(self, metric: Metric, on_error: Callable[[Exception], None]) -> None:
        super().__init__(metric, on_error)
        self._begin_at_zero()

    def inc(self, values: Values = (), amount: object = 1.0) -> None:
        try:
            number = amount_of(amount)
            self.find(values).add(number)
        except Exception as error:  # noqa: BLE001  # a figure is never worth a request
            self._on_error(error)

    def collect(self) -> "Iterable[Exposed]":
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(self.metric.name, self.metric.help, labels=self._names)
        for labels, series in self._all():
            family.add_metric(labels, series.value)
        return [family]

    def _new(self) -> Number:
        return Number()


class Gauge(Family[Number]):
    """There is no series before its first value: not known is not 0."""

    def set(self, values: Values, value: object) -> None:
        try:
            number = amount_of(value)  # before there is a series: one without a value would read as 0
            self.find(values).set(number)
        except Exception as error:  # noqa: BLE001  # a figure is never worth a request
            self._on_error(error)

    def add(self, values: Values, amount: float) -> None:
        try:
            self.find(values).add(amount)
        except Exception as error:  # noqa: BLE001  # a figure is never worth a request
            self._on_error(error)

    def collect(self) -> "Iterable[Exposed]":
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(self.metric.name, self.metric.help, labels=self._names)
        for labels, series in self._all():
            family.add_metric(labels, series.value)
        return [family]

    def _new(self) -> Number:
        return Number()


class Histogram(Family[Distribution]):
    """`trace_id` gives the exemplar of an observation, where it has a trace that is kept."""

    def __init__(
        self, metric: Metric, on_error: Callable[[Exception], None], trace_id: Callable[[], str | None]
    ) -> None:
        super().__init__(metric, on_error)
        self._trace_id = trace_id if metric.exemplars else _no_trace
        self._begin_at_zero()

    def observe(self, values: Values, amount: object) -> None:
        try:
            number = amount_of(amount)
            self.find(values).observe(number, self._trace_id())
        except Exception as error:  # noqa: BLE001  # a figure is never worth a request
            self._on_error(error)

    def collect(self) -> "Iterable[Exposed]":
        from prometheus_client.core import HistogramMetricFamily
        from prometheus_client.samples import Exemplar

        upper = _go_strings((*self.metric.buckets, inf))
        family = HistogramMetricFamily(self.metric.name, self.metric.help, labels=self._names)
        for labels, series in self._all():
            counts, examples, total = series.read()
            buckets = [
                (bound, count)
                if example is None
                else (bound, count, Exemplar({"trace_id": example.trace_id}, example.amount, example.at))
                for bound, count, example in zip(upper, counts, examples, strict=True)
            ]
            family.add_metric(labels, buckets, total)
        return [family]

    def _new(self) -> Distribution:
        return Distribution(self.metric.buckets)


@cache
def _go_strings(bounds: tuple[float, ...]) -> list[str]:
    """As the library writes `le`."""
    from prometheus_client.utils import floatToGoString

    return [floatToGoString(bound) for bound in bounds]  # type: ignore[no-untyped-call]


def _no_trace() -> str | None:
    return None

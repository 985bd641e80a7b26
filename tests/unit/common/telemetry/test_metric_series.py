"""Series are bounded, never raise, and can be interrupted in the middle of a count."""

import gc
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from http import HTTPStatus
from math import inf, nan
from types import FrameType

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from common.recognizers.span import PiiKind
from common.telemetry.metric_catalogue import Label, Metric
from common.telemetry.metric_series import MOST_SERIES, Counter, Distribution, Gauge, Histogram, NotALabel, Number

ERRORS: list[Exception] = []


@pytest.fixture(autouse=True)
def errors() -> Iterator[list[Exception]]:
    ERRORS.clear()
    yield ERRORS
    assert ERRORS == [], "a test looks at each error and takes it away"


def counter(*labels: Label) -> Counter:
    return Counter(Metric(name="things_total", kind="counter", help="Things.", labels=labels), ERRORS.append)


def gauge() -> Gauge:
    return Gauge(Metric(name="level", kind="gauge", help="Level.", labels=(Label("tank"),)), ERRORS.append)


def histogram(*, exemplars: bool = False) -> Histogram:
    metric = Metric(name="size", kind="histogram", help="Size.", buckets=(1.0, 10.0), exemplars=exemplars)
    return Histogram(metric, ERRORS.append, lambda: "0af7651916cd43dd8448eb211c80319c")


def written(family: Counter | Gauge | Histogram) -> list[str]:
    """The series as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(family)
    text: str = generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


class TestLabelsFromOutside:
    def test_what_looks_like_a_name_is_kept(self) -> None:
        things = counter(Label("route"))
        for value in ("/api/documents/{id}", "gemini-3.8-flash", "a" * 64, "Mod.Error:x"):
            things.inc((value,))
        assert [line.split('"')[1] for line in written(things)] == [
            "/api/documents/{id}", "gemini-3.8-flash", "a" * 64, "Mod.Error:x",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "value",
        ["", "a" * 65, "two words", "line\nbreak", "name\n", 'quo"te', "back\\slash", "\ud800", "é", "\0", "a=b,c"],
    )
    def test_what_does_not_look_like_a_name_is_other(self, value: str) -> None:
        things = counter(Label("route"))
        things.inc((value,))
        assert written(things) == ['things_total{route="other"} 1.0']

    @pytest.mark.parametrize("value", ["536-90-4399", "4111-1111-1111-1111"])
    def test_what_looks_like_personal_data_is_other_and_takes_no_place(self, value: str) -> None:
        things = counter(Label("agent", most=1))
        for agent in (value, "knowledge", value):
            things.inc((agent,))
        assert written(things) == ['things_total{agent="other"} 2.0', 'things_total{agent="knowledge"} 1.0']

    def test_beyond_the_most_distinct_values_all_are_other(self) -> None:
        things = counter(Label("agent", most=3))
        for number in range(10):
            things.inc((f"agent-{number}",))
        things.inc(("agent-1",))
        assert written(things) == [
            'things_total{agent="agent-0"} 1.0',
            'things_total{agent="agent-1"} 2.0',
            'things_total{agent="agent-2"} 1.0',
            'things_total{agent="other"} 7.0',
        ]

    def test_many_values_of_many_labels_are_bounded_together(self) -> None:
        things = counter(Label("x"), Label("y"), Label("z", frozenset({"in", "out"})))
        for x in range(40):
            for y in range(40):
                things.inc((f"x{x}", f"y{y}", "in"))
        things.inc(("x39", "y39", "out"))
        assert len(written(things)) == MOST_SERIES + 2
        assert 'things_total{x="other",y="other",z="in"} 1100.0' in written(things)
        assert 'things_total{x="other",y="other",z="out"} 1.0' in written(things)

    def test_a_flood_of_values_leaves_nothing_behind(self) -> None:
        things = counter(Label("x", most=5))
        for number in range(5_000):
            things.inc((f"value-{number}",))
        assert len(things._known) == 5

    def test_an_optional_label_may_be_left_empty(self) -> None:
        things = counter(Label("error_type", is_optional=True))
        things.inc(("",))
        assert written(things) == ['things_total{error_type=""} 1.0']

    @pytest.mark.parametrize("value", [200, HTTPStatus.OK, "200"])
    def test_whole_numbers_are_labels_too(self, value: object) -> None:
        things = counter(Label("status"))
        things.inc((value,))
        assert written(things) == ['things_total{status="200"} 1.0']

    def test_the_member_of_an_enumeration_is_its_value(self) -> None:
        things = counter(Label("kind"))
        things.inc((PiiKind.SSN,))
        assert written(things) == ['things_total{kind="SSN"} 1.0']

    def test_a_text_that_lies_about_itself_is_read_as_it_is(self) -> None:
        class Liar(str):
            def __str__(self) -> str:
                raise RuntimeError("078-05-1120")

        things = counter(Label("kind"))
        things.inc((Liar("fine"),))
        assert written(things) == ['things_total{kind="fine"} 1.0']


class TestLabelsOfOurOwn:
    def test_a_counter_starts_at_zero_so_that_its_first_event_is_an_increase(self) -> None:
        things = counter(Label("a", frozenset({"1", "2"})), Label("b", frozenset({"x"})))
        assert written(things) == ['things_total{a="1",b="x"} 0.0', 'things_total{a="2",b="x"} 0.0']
        assert written(counter()) == ["things_total 0.0"]

    def test_a_counter_with_a_label_from_outside_has_no_series_yet(self) -> None:
        assert written(counter(Label("a", frozenset({"1"})), Label("b"))) == []

    def test_a_value_that_is_not_of_the_set_is_other(self) -> None:
        things = counter(Label("a", frozenset({"1"})))
        things.inc(("3",))
        assert written(things)[-1] == 'things_total{a="other"} 1.0'


class Broken:
    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("value", [None, b"bytes", 1.5, ["list"], {"a": 1}, object(), Broken()])
def test_what_is_no_label_at_all_is_other_and_an_error(value: object, errors: list[Exception]) -> None:
    things = counter(Label("a"))
    things.inc((value,))
    assert written(things) == ['things_total{a="other"} 1.0']
    assert [type(error) for error in errors] == [NotALabel]
    errors.clear()


@pytest.mark.parametrize(
    "amount", [-1, nan, inf, -inf, None, "3", b"3", Broken(), Decimal("NaN"), pytest.param(10**400, id="10**400"), [1]]
)
def test_what_is_no_amount_changes_nothing_and_is_an_error(amount: object, errors: list[Exception]) -> None:
    things, level, size = counter(), gauge(), histogram()
    things.inc((), amount)
    level.set(("a",), amount)
    size.observe((), amount)
    assert written(things) == ["things_total 0.0"]
    assert written(level) == []
    assert "size_count 0.0" in written(size)
    assert len(errors) == 3
    errors.clear()


@pytest.mark.parametrize("amount", [3, 3.0, Decimal(3), True + 2])
def test_every_kind_of_number_is_an_amount(amount: object) -> None:
    things = counter()
    things.inc((), amount)
    assert written(things) == ["things_total 3.0"]


def test_a_wrong_number_of_labels_is_an_error(errors: list[Exception]) -> None:
    counter(Label("a")).inc(("1", "2"))
    gauge().add((), 1)
    histogram().observe(("1",), 1)
    assert [type(error) for error in errors] == [ValueError] * 3
    errors.clear()


def test_a_gauge_has_no_series_before_its_first_value() -> None:
    level = gauge()
    assert written(level) == []
    level.set(("a",), 3)
    level.add(("a",), -1)
    assert written(level) == ['level{tank="a"} 2.0']


def test_an_observation_on_a_bound_belongs_to_that_bucket() -> None:
    size = histogram()
    for amount in (0, 1, 1.5, 10, 10.5):
        size.observe((), amount)
    assert written(size) == [
        'size_bucket{le="1.0"} 2.0', 'size_bucket{le="10.0"} 4.0', 'size_bucket{le="+Inf"} 5.0',
        "size_count 5.0", "size_sum 23.0",
    ]  # fmt: skip


def test_an_observation_keeps_its_trace_only_where_the_metric_asks_for_it() -> None:
    for exemplars in (True, False):
        size = histogram(exemplars=exemplars)
        size.observe((), 5)
        (family,) = size.collect()
        kept = [sample.exemplar.labels for sample in family.samples if sample.exemplar]
        assert kept == ([{"trace_id": "0af7651916cd43dd8448eb211c80319c"}] if exemplars else [])


def test_eight_threads_lose_no_count() -> None:
    things, size = counter(Label("a")), histogram()

    def count() -> None:
        for _ in range(2_000):
            things.inc(("x",))
            size.observe((), 5)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written(things) == ['things_total{a="x"} 16000.0']
    assert "size_count 16000.0" in written(size)


@pytest.mark.parametrize("held", [Number(), Distribution((1.0,))])
def test_a_count_can_be_interrupted_by_a_count_of_the_same_thread(held: Number | Distribution) -> None:
    """gunicorn's master logs in a signal handler, and each log line is counted."""

    def handler(number: int, frame: FrameType | None) -> None:
        if isinstance(held, Number):
            held.add(1)
        else:
            held.observe(1, None)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with held._lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_finaliser_may_count_while_the_series_are_listed() -> None:
    things = counter(Label("a"))

    class Dying:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            things.inc(("from-finaliser",))

    Dying()
    with things._lock:
        gc.collect()
    assert written(things) == ['things_total{a="from-finaliser"} 1.0']

"""One request's span, measures and line."""

from common.exchange import Exchange
from common.metrics import REGISTRY
from tests.log_lines import log_lines


def exchange(function: str, method: str = "GET") -> Exchange:
    return Exchange(function, method=method, headers={}, route="/things/{id}", bytes_in=3)


def counted(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_finishing_twice_counts_once() -> None:
    one = exchange("twice")
    with log_lines() as lines:
        one.finish(200, 5)
        one.finish(500, 5)
    labels = {"function": "twice", "route": "/things/{id}", "method": "GET"}
    assert counted("assistant_http_requests_total", **labels, status="200") == 1
    assert counted("assistant_http_requests_total", **labels, status="500") is None
    assert [line["event"] for line in lines] == ["request.finished"]


def test_a_request_counts_as_in_progress_until_it_is_finished() -> None:
    one = exchange("busy")
    assert counted("assistant_http_requests_in_progress", function="busy") == 1
    one.finish(200, None)
    assert counted("assistant_http_requests_in_progress", function="busy") == 0


def test_the_first_request_of_an_instance_is_a_cold_start() -> None:
    for _ in range(3):
        exchange("cold").finish(200, None)
    assert counted("assistant_cold_starts_total", function="cold") == 1


def test_a_method_that_http_does_not_know_is_no_label() -> None:
    exchange("odd", method="JANE").finish(405, None)
    labels = {"function": "odd", "route": "/things/{id}", "method": "_OTHER", "status": "405"}
    assert counted("assistant_http_requests_total", **labels) == 1

"""The reader of PromQL that the monitoring's tests go by."""

import pytest

from tests.unit.infra.promql import Selector, grouping_labels, selectors


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", ["up"]),
        ('sum by (a, b) (rate(x_total{c="d e(f)"}[5m])) / on (a) group_left (b) y > bool 14.4', ["x_total", "y"]),
        ("sum(max_over_time(level:metric:op5m[7d:1h] offset 1h)) or vector(0)", ["level:metric:op5m"]),
        ('label_replace(x, "to", "$1", "from", "(.*)") unless on (job) y and 1e3 < z', ["x", "y", "z"]),
        ('histogram_quantile(0.95, sum by (le) (rate(x_bucket{le=~"5|5.0"}[5m])))', ["x_bucket"]),
    ],
)
def test_every_metric_that_is_read_is_found_and_nothing_else(expression: str, names: list[str]) -> None:
    assert [selector.name for selector in selectors(expression)] == names


def test_matchers_are_read_with_their_operators() -> None:
    assert selectors('x{a="1", b!~"2|3",c=~"}"}') == [
        Selector("x", (("a", "=", "1"), ("b", "!~", "2|3"), ("c", "=~", "}")))
    ]


def test_the_labels_of_groups_and_joins_are_found() -> None:
    assert grouping_labels("sum by (a, b) (x) / on (c) group_left () y unless ignoring(d) z") == {"a", "b", "c", "d"}

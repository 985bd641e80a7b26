"""Alerts, dashboards and configuration of the monitoring, held against the metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.telemetry.metric_catalogue import CATALOGUE, Metric
from infra.monitoring.dashboards import DASHBOARDS, FOLDER, written
from tests import servers
from tests.unit.infra.promql import Selector, grouping_labels, selectors

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "infra" / "monitoring"
GUIDE = ROOT / "docs" / "monitoring_guide.md"

Rule = dict[str, Any]  # Any: as YAML and JSON give it

OF_PROMETHEUS = {  # what Prometheus and the Pushgateway add by themselves, with labels
    "up": {"job", "instance", "function"},
    "push_time_seconds": {"job", "instance"},
    "push_failure_time_seconds": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity"},
}
OF_TARGETS = {"job", "instance", "le"}
VARIABLES = {"$__rate_interval": "5m"}


def load(name: str) -> Any:
    return yaml.safe_load((MONITORING / name).read_text())


def rules(name: str) -> list[Rule]:
    return [rule for group in load(name)["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml") if "alert" in rule}
LIMITS = {rule["record"] for rule in rules("alerts.yml") if "record" in rule}
RECORDED = {rule["record"]: str(rule["expr"]) for rule in rules("recordings.yml")}
TESTS = load("alerts_test.yml")["tests"]
FILES = {file.stem: json.loads(file.read_text()) for file in sorted((MONITORING / "grafana").glob("*.json"))}


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    """Where, and what, without Grafana's variables."""
    for name, dashboard in FILES.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", without_variables(target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", without_variables(annotation["expr"])


def without_variables(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


EXPRESSIONS = [
    *((name, rule["expr"]) for name, rule in ALERTS.items()),
    *RECORDED.items(),
    *dashboard_expressions(),
]
BY_SERIES: dict[str, Metric] = {
    metric.name + suffix: metric
    for metric in CATALOGUE
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
}


def labels_of(selector: Selector) -> set[str]:
    """The labels that series of this name can have."""
    if selector.name in BY_SERIES:
        return {label.name for label in BY_SERIES[selector.name].labels} | OF_TARGETS
    if selector.name in RECORDED:
        level = selector.name.split(":")[0]  # as Prometheus names recordings: the labels that are left, first
        return {"assistant": set[str](), "instance": {"job", "instance"}}.get(level, set(level.split("_")))
    return OF_PROMETHEUS.get(selector.name, set())


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_metric_and_label_is_one_that_there_is(where: str, expression: str) -> None:
    read = selectors(str(expression))
    assert read, "reads nothing"
    for selector in read:
        assert selector.name in {*BY_SERIES, *RECORDED, *LIMITS, *OF_PROMETHEUS}, selector.name
        assert {label for label, _, _ in selector.matchers} <= labels_of(selector)
        for label, operator, value in selector.matchers:
            assert_can_match(selector, label, operator, value)
    known = {label for selector in read for label in labels_of(selector)}
    known |= set(re.findall(r'label_replace\(.*?"(\w+)"', str(expression), flags=re.DOTALL))
    assert grouping_labels(str(expression)) <= known


def assert_can_match(selector: Selector, label: str, operator: str, value: str) -> None:
    """Where the catalogue says which values a label has, each alternative of a matcher is one of them."""
    metric = BY_SERIES.get(selector.name)
    if metric is None:
        return
    if label == "le":
        assert {float(one) for one in value.split("|")} <= set(metric.buckets)
    values = next((one.values for one in metric.labels if one.name == label), None)
    if values is None:
        return
    for one in value.split("|") if "~" in operator else [value]:
        assert any(re.fullmatch(one, known) for known in values), f"{label}{operator}{value}"


def test_every_recorded_increase_has_the_same_expression() -> None:
    for name, expression in RECORDED.items():
        if not name.endswith(":increase5m") or name.startswith("assistant:"):
            continue
        series = re.findall(r"increase\((.+?)\[5m\]\)", expression)
        assert len(series) == 1, name
        m = series[0]
        words = (
            f"increase({m}[5m]) and last_over_time({m}[1h] offset 5m) or max_over_time({m}[5m]) "
            f"unless last_over_time({m}[1h] offset 5m) and on (job, instance) instance:assistant_known:bool"
        )
        assert words in " ".join(expression.split()), name


def test_every_increase_is_recorded_for_the_hour_too() -> None:
    for name in RECORDED:
        if name.endswith(":increase5m"):
            assert RECORDED[name.replace("5m", "1h")] == f"sum_over_time({name}[1h:1m]) / 5"


def test_every_limit_is_used_and_every_recording_is_read() -> None:
    used = {selector.name for _, expression in EXPRESSIONS for selector in selectors(str(expression))}
    assert used >= LIMITS
    assert {name for name in RECORDED if not re.search(r"increase(5m|1h)$", name)} <= used


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_to_do_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    severity = alert["labels"]["severity"]
    assert re.search(r"critical|warning", severity)
    assert not re.sub(r"\{\{.*?\}\}|critical|warning", "", severity)
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert re.fullmatch(r"docs/monitoring_guide\.md#[a-z0-9]+(-[a-z0-9]+)*", alert["annotations"]["runbook"])


def test_every_runbook_is_a_heading_of_the_guide() -> None:
    headings = re.findall(r"^#+ (.+)$", GUIDE.read_text(), flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {alert["annotations"]["runbook"].partition("#")[2] for alert in ALERTS.values()} <= anchors


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_to_fire_and_not_to_fire(name: str) -> None:
    cases = [case for test in TESTS for case in test["alert_rule_test"] if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)


def test_the_tests_evaluate_the_groups_in_the_order_in_which_they_build_on_each_other() -> None:
    order = load("alerts_test.yml")["group_eval_order"]
    groups = [group["name"] for name in ("recordings.yml", "alerts.yml") for group in load(name)["groups"]]
    assert sorted(order) == sorted(groups)
    assert order[:4] == ["limits", "increases", "hours", "objectives"]


def test_every_function_has_a_target() -> None:
    functions = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
    targets = yaml.safe_load((MONITORING / "targets" / "functions.yml").read_text())
    assert [target["labels"]["function"] for target in targets] == [function["name"] for function in functions]


def test_no_secret_stands_in_the_configuration() -> None:
    assert load("prometheus.yml")["scrape_configs"][0]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "secrets/metrics_token",
    }
    for name in ("prometheus.yml", "alertmanager.yml"):
        for line in (MONITORING / name).read_text().splitlines():
            if re.search(r"(password|credentials|token|secret|api_key)", line.split("#")[0]):
                assert re.search(r"_file: secrets/\w+", line), line


def test_routing_and_inhibition_name_alerts_and_labels_that_there_are() -> None:
    config = load("alertmanager.yml")
    matchers = [matcher for route in config["route"]["routes"] for matcher in route["matchers"]]
    for rule in config["inhibit_rules"]:
        matchers += [*rule["source_matchers"], *rule["target_matchers"]]
        assert set(rule.get("equal", ())) <= {"function", "objective"}
    for matcher in matchers:
        label, _, value = re.split(r"\s*(=~|=)\s*", matcher)
        if label == "alertname":
            assert set(value.strip('"').split("|")) <= set(ALERTS)
        else:
            assert label in {"severity", "objective"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.file)
def test_a_dashboard_is_what_its_source_says(dashboard: Any) -> None:
    assert (FOLDER / f"{dashboard.file}.json").read_text() == written(dashboard)


@pytest.mark.parametrize("name", FILES)
def test_a_dashboard_is_complete(name: str) -> None:
    dashboard = FILES[name]
    assert dashboard["schemaVersion"] >= 41
    assert [variable["type"] for variable in dashboard["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        for target in panel["targets"]:
            assert target["legendFormat"] or panel["type"] == "stat"
            if target.get("exemplar"):
                assert {BY_SERIES[one.name].exemplars for one in selectors(without_variables(target["expr"]))} == {True}


def test_panels_do_not_overlap() -> None:
    for dashboard in FILES.values():
        taken = [
            (x, y)
            for place in (panel["gridPos"] for panel in dashboard["panels"])
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(taken) == len(set(taken))
        assert max(x for x, _ in taken) < 24


def test_every_metric_of_the_catalogue_is_on_a_dashboard_or_behind_an_alert() -> None:
    read = {
        BY_SERIES[one.name].name for _, text in EXPRESSIONS for one in selectors(str(text)) if one.name in BY_SERIES
    }
    of_model_calls = {
        "gen_ai_client_token_usage"
    }  # for other people's dashboards; ours read assistant_model_tokens_total
    at_start = {"assistant_cold_starts_total"}  # 1 for each instance: a rate sees nothing of it; the start time does
    assert {metric.name for metric in CATALOGUE} - read == of_model_calls | at_start


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder as it is installed: with secrets, which promtool looks for."""
    folder = tmp_path / "monitoring"
    shutil.copytree(MONITORING, folder)
    (folder / "secrets").mkdir()
    for name in ("metrics_token", "smtp_password", "webhook_token"):
        (folder / "secrets" / name).write_text("secret")
    return folder


def check(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.servers
def test_prometheus_accepts_its_configuration_and_rules(installed: Path) -> None:
    assert "2 rule files found" in check(servers.promtool(), "check", "config", installed / "prometheus.yml")
    check(servers.promtool(), "check", "rules", installed / "recordings.yml", installed / "alerts.yml")


@pytest.mark.servers
def test_increases_count_what_happened_though_instances_come_and_go(installed: Path) -> None:
    assert "SUCCESS" in check(servers.promtool(), "test", "rules", installed / "recordings_test.yml")


@pytest.mark.servers
@pytest.mark.slow
def test_each_alert_fires_where_it_should_and_does_not_where_it_should_not(installed: Path) -> None:
    assert "SUCCESS" in check(servers.promtool(), "test", "rules", installed / "alerts_test.yml")


@pytest.mark.servers
def test_alertmanager_accepts_its_configuration(installed: Path) -> None:
    assert "3 receivers" in check(servers.amtool(), "check-config", installed / "alertmanager.yml")


@pytest.mark.servers
def test_prometheus_understands_every_expression_of_the_dashboards(tmp_path: Path) -> None:
    """promtool has no command for one expression, so each is put into a rule."""
    found = [
        {"record": "test:of:one", "labels": {"n": str(n)}, "expr": e}
        for n, (_, e) in enumerate(dashboard_expressions())
    ]
    file = tmp_path / "dashboards.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": found}]}))
    assert f"{len(found)} rules found" in check(servers.promtool(), "check", "rules", file)

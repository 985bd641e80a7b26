"""Builds the Grafana dashboards in `infra/monitoring/grafana/` from the panels below.

    python -m infra.monitoring.dashboards             # from the repository's root; a test holds the files to it

Windows: `$__rate_interval` where a rate over time is drawn; the recorded `increase1h` and `ratio1h` (recordings.yml),
which also count instances that come and go, where a number is read.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "grafana"
SCHEMA_VERSION = 41  # Grafana 12's classic model; later ones read it
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
GREEN, ORANGE, RED = "green", "orange", "red"

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `queries` are expression and legend; `warn` and `bad` colour values from there on, and values below
    where `bad` is less than `warn`. `traces`: whether its points lead to traces (exemplars)."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    warn: float | None = None
    bad: float | None = None
    traces: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """`file` is its uid and the name of its file; panels stand three in a row, single values six."""

    file: str
    title: str
    panels: tuple[Panel, ...]


def stat(title: str, unit: str, query: str, *, warn: float | None = None, bad: float | None = None) -> Panel:
    """A single value as it is now."""
    return Panel(title=title, unit=unit, queries=((query, ""),), kind="stat", warn=warn, bad=bad)


def lines(title: str, unit: str, *queries: tuple[str, str], bad: float | None = None, about: str = "") -> Panel:
    """Values over time; a line stands at `bad`."""
    return Panel(title=title, unit=unit, queries=queries, bad=bad, about=about)


def durations(title: str, metric: str, by: str = "", *, traces: bool = False, bad: float | None = None) -> Panel:
    """Median, 95th and 99th percentile of the histogram `metric`, of all or one set for each `by`."""
    groups = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    rates = f"sum by ({groups}) (rate({metric}_bucket[$__rate_interval]))"
    queries = tuple((f"histogram_quantile({q / 100:g}, {rates})", f"{legend}p{q}") for q in (50, 95, 99))
    return Panel(title=title, unit="s", queries=queries, traces=traces, bad=bad)


def rate(metric: str, by: str) -> str:
    """Events a second of the counter `metric`, over all instances."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def mean(metric: str) -> str:
    """Mean of what the histogram `metric` observed, over all instances."""
    return f"sum(rate({metric}_sum[$__rate_interval])) / (sum(rate({metric}_count[$__rate_interval])) > 0)"


REQUESTS = "sum(function:assistant_http_requests:increase1h)"
BURNT = 'function:assistant_http_failures:ratio{}{{function!="health"}} / scalar(assistant:limit:failed_share)'
GUESSES = (
    'sum(method_outcome:assistant_authentications:increase1h{method!~"none|anonymous", outcome=~"refused|limited"})'
)
RUNS = "sum(agent_outcome:assistant_agent_runs:increase1h)"

DASHBOARDS = (
    Dashboard(
        file="overview",
        title="LoanCollateralCheck / Overview",
        panels=(
            stat("Requests, last hour", "short", REQUESTS),
            stat(
                "Failed, last hour",
                "percentunit",
                f"sum(function:assistant_http_failures:increase1h) / ({REQUESTS} > 0)",
                warn=0.005,
                bad=0.03,
            ),
            stat(
                "Queries over 5 s, last hour", "percentunit", "function:assistant_http_late:ratio1h", warn=0.05, bad=0.3
            ),
            stat(
                "Model cost, last hour", "currencyUSD", "sum(model:assistant_model_cost_usd:increase1h)", warn=2, bad=5
            ),
            stat(
                "Components down",
                "short",
                "count(min by (component) (assistant_component_up) == 0) or vector(0)",
                bad=1,
            ),
            stat("Alerts firing", "short", 'count(ALERTS{alertstate="firing"}) or vector(0)', warn=1, bad=3),
            lines("Requests", "reqps", (rate("assistant_http_requests_total", "function"), "{{function}}")),
            lines(
                "Failed requests",
                "reqps",
                (rate('assistant_http_requests_total{status=~"5.."}', "function, status"), "{{function}} {{status}}"),
            ),
            durations(
                "Time to the whole answer", "assistant_http_request_duration_seconds", "function", traces=True, bad=5
            ),
            lines(
                "Budget of failures: how many times too fast",
                "short",
                (
                    BURNT.format("1h"),
                    "{{function}} 1 h",
                ),
                (
                    BURNT.format("6h"),
                    "{{function}} 6 h",
                ),
                bad=14.4,
                about="1 uses up a month's budget in a month; from 14.4 over an hour somebody is woken.",
            ),
            lines(
                "Requests in progress",
                "short",
                ("sum by (function) (assistant_http_requests_in_progress)", "{{function}}"),
            ),
            lines(
                "Errors",
                "ops",
                (rate("assistant_errors_total", "component, error_type"), "{{component}} {{error_type}}"),
            ),
        ),
    ),
    Dashboard(
        file="access",
        title="LoanCollateralCheck / Access",
        panels=(
            stat(
                "Let in, last hour",
                "short",
                'sum(method_outcome:assistant_authentications:increase1h{outcome="accepted"}) or vector(0)',
            ),
            stat("Wrong credentials, last hour", "short", f"{GUESSES} or vector(0)", warn=100, bad=200),
            stat(
                "No credential, last hour",
                "short",
                'sum(method_outcome:assistant_authentications:increase1h{method="none"}) or vector(0)',
            ),
            stat(
                "Beyond a limit, last hour",
                "short",
                'sum(limit_outcome:assistant_limits:increase1h{outcome="refused"}) or vector(0)',
            ),
            stat(
                "Beyond the day's allowance, last hour",
                "short",
                'sum(limit_outcome:assistant_limits:increase1h{limit="allowance"}) or vector(0)',
                warn=1,
            ),
            stat(
                "Limits unchecked, last hour",
                "short",
                'sum(limit_outcome:assistant_limits:increase1h{outcome=~"unavailable|alone"}) or vector(0)',
                bad=1,
            ),
            lines(
                "Limits",
                "ops",
                (rate("assistant_limits_total", "limit, outcome"), "{{limit}} {{outcome}}"),
                about="Requests refused by a limit or while none could be checked; alone: counted without Redis.",
            ),
            lines(
                "Who comes in, and who does not",
                "ops",
                (rate("assistant_authentications_total", "method, outcome"), "{{method}} {{outcome}}"),
            ),
            lines(
                "Refused requests",
                "reqps",
                (rate('assistant_http_requests_total{status=~"401|403|429"}', "route, status"), "{{route}} {{status}}"),
            ),
            lines(
                "What access needs, and fails",
                "ops",
                (
                    rate('assistant_errors_total{component=~"audit|security"}', "component, error_type"),
                    "{{component}} {{error_type}}",
                ),
                (
                    rate('assistant_provider_errors_total{provider=~"cloud-kms|google-certs"}', "provider, error_type"),
                    "{{provider}} {{error_type}}",
                ),
                about="audit: refusals not recorded. security: the use of a key not noted. Else: keys not fetched.",
            ),
        ),
    ),
    Dashboard(
        file="model-and-cost",
        title="LoanCollateralCheck / Model and cost",
        panels=(
            stat("Cost, last hour", "currencyUSD", "sum(model:assistant_model_cost_usd:increase1h)", warn=2, bad=5),
            stat(
                "Cost, last day",
                "currencyUSD",
                "sum(sum_over_time(model:assistant_model_cost_usd:increase1h[1d:1h]))",
                warn=25,
                bad=50,
            ),
            stat(
                "Day at the hour's pace",
                "currencyUSD",
                "24 * sum(model:assistant_model_cost_usd:increase1h)",
                warn=25,
                bad=50,
            ),
            stat("Cost of a query", "currencyUSD", f"sum(model:assistant_model_cost_usd:increase1h) / ({RUNS} > 0)"),
            stat(
                "Tokens, last hour",
                "short",
                'sum(model_type:assistant_model_tokens:increase1h{type!="cached"})',
                warn=200_000,
            ),
            stat(
                "Calls without a price",
                "short",
                "sum(model:assistant_model_unpriced_calls:increase1h) or vector(0)",
                bad=1,
            ),
            lines(
                "Budgets used",
                "percentunit",
                ("max by (budget) (assistant_budget_used_ratio)", "{{budget}}"),
                bad=1,
                about="As they were last looked at; of a budget that each has, that of the last one who asked.",
            ),
            lines(
                "Questions and calls by what budgets left them",
                "short",
                ("outcome:assistant_budget_decisions:increase1h", "{{outcome}}"),
                about="In an hour. soft: the cheap lane; hard: no paid call; refused: no answer either.",
            ),
            lines(
                "Cost by model, each hour",
                "currencyUSD",
                ("model:assistant_model_cost_usd:increase1h", "{{model}}"),
                bad=5,
            ),
            lines(
                "Tokens",
                "short",
                (rate("assistant_model_tokens_total", "model, type"), "{{model}} {{type}}"),
                about="A second. Cached tokens are a part of the input; thinking comes on top of the output.",
            ),
            lines(
                "Model calls", "ops", (rate("assistant_model_calls_total", "model, outcome"), "{{model}} {{outcome}}")
            ),
            durations(
                "Time of a model call", "gen_ai_client_operation_duration_seconds", "gen_ai_request_model", traces=True
            ),
            lines(
                "Provider errors",
                "ops",
                (rate("assistant_provider_errors_total", "provider, error_type"), "{{provider}} {{error_type}}"),
            ),
            lines(
                "Circuit breakers open",
                "percentunit",
                ('avg by (breaker) (assistant_breaker_state{state="open"})', "{{breaker}}"),
                bad=0.5,
                about="Share of instances whose breaker is open.",
            ),
        ),
    ),
    Dashboard(
        file="agents-and-retrieval",
        title="LoanCollateralCheck / Agents and retrieval",
        panels=(
            stat("Questions, last hour", "short", RUNS),
            stat(
                "Abstained",
                "percentunit",
                f'sum(agent_outcome:assistant_agent_runs:increase1h{{outcome="abstained"}}) / ({RUNS} > 0)',
                warn=0.3,
                bad=0.4,
            ),
            stat(
                "Drafts accepted",
                "percentunit",
                'sum(outcome:assistant_critiques:increase1h{outcome="accepted"})'
                " / (sum(outcome:assistant_critiques:increase1h) > 0)",
                warn=0.85,
                bad=0.7,
            ),
            stat(
                "Cache hits",
                "percentunit",
                'sum(cache_outcome:assistant_cache_requests:increase1h{outcome="hit"})'
                " / (sum(cache_outcome:assistant_cache_requests:increase1h) > 0)",
            ),
            stat("Documents", "short", "max(assistant_knowledge_documents)"),
            stat("Chunks", "short", "max(assistant_knowledge_chunks)"),
            lines("Agents", "ops", (rate("assistant_agent_runs_total", "agent, outcome"), "{{agent}} {{outcome}}")),
            durations("Time of an agent", "assistant_agent_duration_seconds", "agent"),
            lines("Intents", "ops", (rate("assistant_intents_total", "intent"), "{{intent}}")),
            lines("Mean confidence of the router", "percentunit", (mean("assistant_intent_confidence"), "confidence")),
            lines(
                "Critique",
                "short",
                (mean("assistant_critique_score"), "score"),
                (mean("assistant_critique_rounds"), "rounds"),
            ),
            lines("Held back", "ops", (rate("assistant_rejections_total", "check"), "{{check}}")),
            lines("Degraded answers", "ops", (rate("assistant_degraded_total", "part"), "without {{part}}")),
            durations("Time to route", "assistant_routing_duration_seconds"),
            durations("Time to retrieve", "assistant_retrieval_duration_seconds"),
            lines("Passages found", "short", (mean("assistant_retrieval_passages"), "passages")),
            durations("Time of the vector index", "assistant_vector_query_duration_seconds"),
            lines(
                "Cache",
                "ops",
                (rate("assistant_cache_operations_total", "cache, operation"), "{{cache}} {{operation}}"),
                ("sum by (cache) (assistant_cache_entries)", "{{cache}} entries"),
            ),
        ),
    ),
    Dashboard(
        file="system-and-telemetry",
        title="LoanCollateralCheck / System and telemetry",
        panels=(
            stat("Instances", "short", "count(assistant_start_time_seconds)"),
            stat("Starts, last hour", "short", "assistant:instance_starts:increase1h", warn=20),
            stat(
                "Memory, fullest",
                "percentunit",
                "max(assistant_memory_bytes / (assistant_memory_limit_bytes > 0))",
                warn=0.8,
                bad=0.9,
            ),
            stat("CPU, busiest", "short", "max(rate(assistant_cpu_seconds_total[$__rate_interval]))", warn=0.9),
            stat(
                "Log lines lost, last hour",
                "short",
                "sum(reason:assistant_log_failures:increase1h) or vector(0)",
                bad=1,
            ),
            stat("Masked, last hour", "short", "sum(kind:assistant_masked_spans:increase1h) or vector(0)"),
            lines(
                "Memory",
                "bytes",
                ("assistant_memory_bytes", "{{instance}}"),
                ("max(assistant_memory_limit_bytes)", "limit"),
            ),
            lines(
                "CPU", "short", ("rate(assistant_cpu_seconds_total[$__rate_interval])", "{{instance}}"), about="Cores."
            ),
            lines(
                "Versions",
                "short",
                ("count by (version) (assistant_build_info)", "{{version}}"),
                about="Instances of each.",
            ),
            lines("Components", "percentunit", ("avg by (component) (assistant_component_up)", "{{component}}")),
            durations("Time of health checks", "assistant_health_check_duration_seconds", "component"),
            lines("Instances started", "short", ("assistant:instance_starts:increase5m", "in 5 minutes")),
            lines("Database connections", "short", ("sum by (state) (assistant_database_connections)", "{{state}}")),
            durations("Time of database statements", "assistant_database_query_duration_seconds", "operation"),
            lines("Database errors", "ops", (rate("assistant_database_errors_total", "error_type"), "{{error_type}}")),
            lines(
                "Telemetry sent",
                "ops",
                (rate("assistant_telemetry_sends_total", "channel, outcome"), "{{channel}} {{outcome}}"),
                (rate("assistant_telemetry_dropped_total", "channel"), "{{channel}} dropped"),
            ),
            durations("Time of sending", "assistant_telemetry_send_duration_seconds", "channel"),
            lines("Notices", "ops", (rate("assistant_notices_total", "channel, outcome"), "{{channel}} {{outcome}}")),
            lines("Log lines", "ops", (rate("assistant_log_lines_total", "severity"), "{{severity}}")),
            lines("Masked", "ops", (rate("assistant_masked_spans_total", "kind"), "{{kind}}")),
        ),
    ),
)


def as_json(dashboard: Dashboard) -> Json:
    """The dashboard in Grafana's classic model."""
    return {
        "uid": f"assistant-{dashboard.file}",
        "title": dashboard.title,
        "tags": ["loan-collateral-check"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # the crosshair stands in all panels at once
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "links": [
            {"title": "Dashboards", "type": "dashboards", "tags": ["loan-collateral-check"], "asDropdown": True,
             "keepTime": True, "includeVars": True}
        ],
        "annotations": {"list": [_firing_alerts()]},
        "panels": list(_placed(dashboard.panels)),
    }  # fmt: skip


def _firing_alerts() -> Json:
    return {
        "name": "Alerts", "datasource": DATASOURCE, "enable": True, "iconColor": RED,
        "expr": 'ALERTS{alertstate="firing"}', "titleFormat": "{{alertname}}", "step": "60s",
    }  # fmt: skip


def _placed(panels: Iterable[Panel]) -> Iterable[Json]:
    """Panels from left to right, row under row; ids count from 1."""
    x = y = bottom = 0
    for number, panel in enumerate(panels, start=1):
        width, height = (4, 4) if panel.kind == "stat" else (8, 8)
        if x + width > COLUMNS:
            x, y = 0, bottom
        bottom = max(bottom, y + height)
        yield _panel(panel, number, {"x": x, "y": y, "w": width, "h": height})
        x += width


def _panel(panel: Panel, number: int, place: Json) -> Json:
    is_stat = panel.kind == "stat"
    steps = _steps(panel)
    custom: Json = {"fillOpacity": 8, "showPoints": "never"}
    if len(steps) > 1:
        custom["thresholdsStyle"] = {"mode": "line"}
    drawn: Json = {
        "unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps},
    }  # fmt: skip
    legend = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi"},
    }
    return {
        "id": number,
        "title": panel.title,
        **({"description": panel.about} if panel.about else {}),
        "type": panel.kind,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": drawn if is_stat else {**drawn, "custom": custom}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"} if is_stat else legend,
        "targets": [_target(panel, n, *query) for n, query in enumerate(panel.queries)],
    }


def _steps(panel: Panel) -> list[Json]:
    """Colours from the lowest value up."""
    warn, bad = panel.warn, panel.bad
    if warn is not None and bad is not None and bad < warn:  # low is bad
        return [{"color": RED, "value": None}, {"color": ORANGE, "value": bad}, {"color": GREEN, "value": warn}]
    raised = [(ORANGE, warn), (RED, bad)]
    return [{"color": GREEN, "value": None}, *({"color": c, "value": v} for c, v in raised if v is not None)]


def _target(panel: Panel, number: int, expression: str, legend: str) -> Json:
    target: Json = {
        "refId": chr(ord("A") + number),
        "datasource": DATASOURCE,
        "expr": expression,
        "legendFormat": legend,
    }
    return target | ({"instant": True} if panel.kind == "stat" else {}) | ({"exemplar": True} if panel.traces else {})


def written(dashboard: Dashboard) -> str:
    """The text of its file: what holds nothing else stands on one line."""
    text = json.dumps(as_json(dashboard), indent=2)
    return (
        re.sub(r"(?<=[{\[])\n\s+([^{}\[\]]+?)\n\s+(?=[}\]])", lambda inner: re.sub(r",\n\s+", ", ", inner[1]), text)
        + "\n"
    )


if __name__ == "__main__":
    for one in DASHBOARDS:
        (FOLDER / f"{one.file}.json").write_text(written(one))

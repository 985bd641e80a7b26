"""An alert of ours fires in a real Prometheus, goes through a real Alertmanager to its webhook, and resolves.

Rules and routing are the project's own files. What is made shorter, so that the test need not wait: `interval`, `for`
and the Alertmanager's waits; what is put in place: addresses, the token's file, and the webhook instead of e-mail.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, push_to_gateway

from tests import servers

pytestmark = pytest.mark.servers

MONITORING = Path(__file__).parents[2] / "infra" / "monitoring"
JOB = "loan-collateral-check"
TOKEN = "metrics-token"

Yaml = dict[str, Any]  # Any: as YAML and JSON give it


class Webhook:
    """Takes the Alertmanager's messages and keeps their alerts."""

    def __init__(self) -> None:
        self.alerts: list[Yaml] = []
        self.credentials: set[str | None] = set()

    def has(self, name: str, status: str) -> list[Yaml]:
        return [one for one in self.alerts if (one["labels"]["alertname"], one["status"]) == (name, status)]


@contextmanager
def listening(answer: Callable[[BaseHTTPRequestHandler], bytes], port: int = 0) -> Iterator[int]:
    """The port of an HTTP server that answers every GET and POST with 200 and what `answer` says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nothing: a test's output is its own."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def webhook() -> Iterator[tuple[Webhook, int]]:
    taken = Webhook()

    def take(request: BaseHTTPRequestHandler) -> bytes:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        taken.credentials.add(request.headers["Authorization"])
        taken.alerts += body["alerts"]
        return b""

    with listening(take) as port:
        yield taken, port


def hurried_rules(folder: Path) -> None:
    for name in ("recordings.yml", "alerts.yml"):
        content = yaml.safe_load((MONITORING / name).read_text())
        for group in content["groups"]:
            group["interval"] = "1s"
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = "1s"
        (folder / name).write_text(yaml.safe_dump(content))


def hurried_prometheus(folder: Path, *, alertmanager: str, gateway: str, function: str) -> str:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [address(alertmanager)]
    functions, pushed = config["scrape_configs"]
    pushed["static_configs"][0]["targets"] = [address(gateway)]
    (folder / "targets").mkdir()
    (folder / "targets" / "functions.yml").write_text(
        yaml.safe_dump([{"targets": [function], "labels": {"function": "query"}}])
    )
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / functions["authorization"]["credentials_file"]).write_text(TOKEN)
    return yaml.safe_dump(config)


def hurried_alertmanager(folder: Path, port: int) -> str:
    config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    on_call = next(one for one in config["receivers"] if one["name"] == "on-call")["webhook_configs"][0]
    on_call["url"] = f"http://127.0.0.1:{port}/alerts"
    for receiver in config["receivers"]:
        receiver.pop("email_configs", None)
        receiver["webhook_configs"] = [on_call]
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets" / "webhook_token").write_text("webhook-token")
    return yaml.safe_dump(config)


def address(url: str) -> str:
    return url.removeprefix("http://")


@pytest.mark.slow
def test_alerts_fire_reach_the_webhook_and_resolve(tmp_path: Path, free_port: int) -> None:
    hurried_rules(tmp_path)
    with (
        webhook() as (taken, port),
        servers.pushgateway() as gateway,
        servers.alertmanager(hurried_alertmanager(tmp_path, port), tmp_path) as alertmanager,
        servers.prometheus(
            hurried_prometheus(tmp_path, alertmanager=alertmanager, gateway=gateway, function=f"127.0.0.1:{free_port}"),
            tmp_path,
        ) as prometheus,
    ):
        database = push_from_one_instance(gateway)

        # Nobody listens where the function should be; the database's health was pushed, and so was a lost log line.
        down = servers.wait_for(lambda: taken.has("FunctionDown", "firing"), "the function down")[0]
        component = servers.wait_for(lambda: taken.has("ComponentDown", "firing"), "the component down")[0]
        lost = servers.wait_for(lambda: taken.has("LogLinesLost", "firing"), "the lost log line")[0]
        assert down["labels"]["severity"] == component["labels"]["severity"] == "critical"
        assert down["annotations"]["summary"] == f"query at 127.0.0.1:{free_port} does not answer"
        assert component["annotations"]["summary"] == "Health: database is down"
        assert lost["annotations"]["runbook"] == "docs/monitoring_guide.md#log-lines-lost"
        assert taken.credentials == {"Bearer webhook-token"}
        assert servers.query_prometheus(prometheus, "reason:assistant_log_failures:increase5m")[0][1] == 1

        asked_with: set[str | None] = set()

        def metrics(request: BaseHTTPRequestHandler) -> bytes:
            asked_with.add(request.headers["Authorization"])
            return b'assistant_build_info{version="1"} 1\n'

        database(True)
        with listening(metrics, free_port):
            servers.wait_for(lambda: taken.has("FunctionDown", "resolved"), "the function is back")
            servers.wait_for(lambda: taken.has("ComponentDown", "resolved"), "the component is back")
        assert asked_with == {f"Bearer {TOKEN}"}


def push_from_one_instance(gateway: str) -> Callable[[bool], None]:
    """Push as an instance that has just started and lost a log line; the answer pushes again, with another database."""
    registry = CollectorRegistry()
    Gauge("assistant_start_time_seconds", "When the process started.", registry=registry).set_to_current_time()
    up = Gauge("assistant_component_up", "1 where well.", ["component"], registry=registry).labels("database")
    lost = Counter("assistant_log_failures", "Log lines that could not be written.", ["reason"], registry=registry)
    lost.labels("closed").inc()

    def push(is_well: bool) -> None:
        up.set(is_well)
        push_to_gateway(gateway, job=JOB, registry=registry, grouping_key={"instance": "instance-1"})

    push(False)
    return push

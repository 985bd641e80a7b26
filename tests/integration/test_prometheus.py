"""A real Prometheus scrapes a running function, and a real Pushgateway receives from it.

The function runs as in the cloud: the Functions Framework under gunicorn, ended by SIGTERM.
"""

import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from tests import servers
from tests.api_keys import bearer, new_key
from tests.emulators import ROOT, environment

pytestmark = pytest.mark.servers

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance of the function `health`; `key` is one that it lets in."""

    url: str
    key: str
    process: "subprocess.Popen[bytes]"
    log: Path
    client: httpx.Client

    def ask(self, path: str = "/live", **headers: str) -> float:
        """Seconds until the answer."""
        begun = time.perf_counter()
        self.client.get(f"{self.url}{path}", headers=headers).raise_for_status()
        return time.perf_counter() - begun

    def metrics(self) -> list[Family]:
        return families_at(f"{self.url}/metrics", **bearer(self.key))

    def end(self) -> None:
        """As Cloud Run ends it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)


@contextmanager
def instance(folder: Path, **settings: str) -> Iterator[Instance]:
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(Path(sys.executable).parent / "functions-framework"),
        "--source", str(ROOT / "functions" / "health" / "main.py"), "--target", "health",
        "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    env = {name: value for name, value in environment(folder, **settings).items() if name != "PORT"}
    log = folder / f"instance-{port}.log"
    key = new_key(folder)
    with (
        servers.running(command, is_ready=lambda: servers.answers(f"{url}/live"), log=log, env=env) as process,
        httpx.Client(timeout=10) as client,
    ):
        yield Instance(url=url, key=key, process=process, log=log, client=client)


def families_at(url: str, **headers: str) -> list[Family]:
    text = httpx.get(url, headers=headers, timeout=10).raise_for_status().text
    return list(text_string_to_metric_families(text))


def values(families: list[Family], name: str, **labels: str) -> list[float]:
    return [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def groups(gateway: str) -> set[str]:
    """The instances that the gateway holds a group of."""
    families = families_at(f"{gateway}/metrics")
    return {
        sample.labels["instance"]
        for family in families
        for sample in family.samples
        if sample.name == "push_time_seconds" and sample.labels["job"] == "loan-collateral-check"
    }


def scraping(url: str, more: str = "") -> str:
    return f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: function
  static_configs: [{{targets: ["{url.removeprefix("http://")}"]}}]
  {more}
"""


def test_prometheus_scrapes_a_running_function_and_gives_its_values_and_traces(tmp_path: Path) -> None:
    keyed = "authorization: {type: Bearer, credentials_file: metrics_token}"
    with ExitStack() as stack:
        running = stack.enter_context(instance(tmp_path))
        (tmp_path / "metrics_token").write_text(f"{running.key}\n")
        prometheus = stack.enter_context(servers.prometheus(scraping(running.url, more=keyed), tmp_path))
        begun = time.time()
        for _ in range(3):
            running.ask("/health/live", traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01")

        counted = 'assistant_http_requests_total{function="health",route="/health/live",status="200"} == 3'
        (found,) = servers.wait_for(lambda: servers.query_prometheus(prometheus, counted), "the requests are counted")
        assert found[0]["method"] == "GET"
        assert [up for _, up in servers.query_prometheus(prometheus, "up")] == [1]
        seconds = servers.query_prometheus(
            prometheus, 'assistant_http_request_duration_seconds_sum{route="/health/live"}'
        )
        assert 0 < seconds[0][1] < 10
        assert servers.query_prometheus(prometheus, "assistant_memory_bytes > 1e6 < assistant_memory_limit_bytes")
        exemplars = httpx.get(
            f"{prometheus}/api/v1/query_exemplars",
            params={"query": "assistant_http_request_duration_seconds_bucket", "start": begun - 60, "end": begun + 600},
            timeout=10,
        ).json()["data"]
        traces = {one["labels"]["trace_id"] for series in exemplars for one in series["exemplars"]}
        assert TRACE_ID in traces


def test_without_a_key_that_may_read_metrics_prometheus_finds_the_function_down(tmp_path: Path) -> None:
    with instance(tmp_path) as running:
        (tmp_path / "metrics_token").write_text(new_key(tmp_path, role="analyst"))
        assert httpx.get(f"{running.url}/metrics", timeout=10).status_code == 401
        keyed = "authorization: {credentials_file: metrics_token}"
        with servers.prometheus(scraping(running.url, more=keyed), tmp_path) as prometheus:
            servers.wait_for(lambda: servers.query_prometheus(prometheus, "up == 0"), "the scrape is refused")
            (target,) = httpx.get(f"{prometheus}/api/v1/targets", timeout=10).json()["data"]["activeTargets"]
    assert target["lastError"] == "server returned HTTP status 403 FORBIDDEN"


def test_two_instances_push_beside_each_other_and_take_their_groups_away_when_they_end(
    tmp_path: Path, pushgateway: str
) -> None:
    settings = {"PUSHGATEWAY_URL": pushgateway, "PUSH_EVERY_SECONDS": "0.2"}
    asked = {"function": "health", "route": "/health/live"}
    honouring = scraping(pushgateway, more="honor_labels: true")
    with ExitStack() as stack:
        one = stack.enter_context(instance(tmp_path, **settings))
        two = stack.enter_context(instance(tmp_path, **settings))
        for running, times in ((one, 2), (two, 5)):
            for _ in range(times):
                running.ask("/health/live")

        def pushed() -> list[float]:
            return sorted(values(families_at(f"{pushgateway}/metrics"), "assistant_http_requests_total", **asked))

        servers.wait_for(lambda: pushed() == [2, 5], "both instances have pushed")
        both = groups(pushgateway)
        assert len(both) == 2

        prometheus = stack.enter_context(servers.prometheus(honouring, tmp_path))
        total = 'sum(assistant_http_requests_total{route="/health/live"}) == 7'
        servers.wait_for(lambda: servers.query_prometheus(prometheus, total), "Prometheus adds both up")

        one.end()
        left = groups(pushgateway)
        assert len(left) == 1
        assert left < both
        assert pushed() == [5]
        two.end()
        assert groups(pushgateway) == set()


def test_a_gateway_that_is_away_or_does_not_answer_costs_a_request_nothing_and_is_counted(tmp_path: Path) -> None:
    with servers.silence() as silent:
        for url, outcome in ((f"http://127.0.0.1:{servers.free_port()}", "failed"), (silent, "timed_out")):
            settings = {"PUSHGATEWAY_URL": url, "PUSH_EVERY_SECONDS": "0.1", "TELEMETRY_TIMEOUT_SECONDS": "0.3"}
            with instance(tmp_path, **settings) as running:

                def counted(running: Instance = running, outcome: str = outcome) -> bool:
                    sends = {"channel": "metrics", "outcome": outcome}
                    return sum(values(running.metrics(), "assistant_telemetry_sends_total", **sends)) >= 2

                servers.wait_for(counted, f"pushes that {outcome}")
                assert statistics.median(running.ask() for _ in range(20)) < 0.1  # a third of one push
                running.end()
                assert running.process.returncode == 0


def test_a_name_that_another_job_pushes_with_another_type_is_refused_and_told_by_its_status(
    tmp_path: Path, pushgateway: str
) -> None:
    foreign = "# TYPE assistant_http_requests_total gauge\nassistant_http_requests_total 1\n"
    httpx.post(f"{pushgateway}/metrics/job/another", content=foreign, timeout=10).raise_for_status()
    with instance(tmp_path, PUSHGATEWAY_URL=pushgateway, PUSH_EVERY_SECONDS="0.1", JSON_LOGS="true") as running:

        def counted() -> bool:
            sends = {"channel": "metrics", "outcome": "failed"}
            return sum(values(running.metrics(), "assistant_telemetry_sends_total", **sends)) >= 2

        servers.wait_for(counted, "pushes that failed")
        running.end()
        assert running.log.read_text().count("metrics.push_refused") == 1
        assert "inconsistent" not in running.log.read_text(), "the gateway's own words stay out"

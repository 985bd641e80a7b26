"""docs/monitoring_guide.md is true: its code runs, its names exist, its listings are what the product says."""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from common.llm import chat
from common.metrics import REGISTRY
from common.pii import PiiKind, mask
from common.security.api_keys import api_keys
from common.settings import SETTINGS, load_settings
from common.telemetry.metric_catalogue import CATALOGUE, Metric
from common.telemetry.semconv import ALLOWED
from tests import servers
from tests.emulators import ROOT, Emulator, emulator, environment
from tests.gemini_server import GeminiServer
from tests.instance import instance
from tests.recorded_spans import recording
from tests.trace_servers import OtlpHttp, Received

GUIDE = (ROOT / "docs" / "monitoring_guide.md").read_text()
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "infra" / "monitoring" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PRODUCT, OWN = "http://127.0.0.1:8000", "http://127.0.0.1:8090"  # as they stand in the guide

# Each block by something that stands in it alone; a test below takes it by that.
BLOCKS = {
    "sh": (f"curl -s {PRODUCT}/health", "functions-framework", f"curl -sf {OWN}/health",
           "assistant_http_requests_total", "prometheus --config.file", "loancheck doctor", "LOAD_KEYS",
           "metrics_token"),
    "python": ("rates.py", "flask.Flask(", "trace_retriever", "ask_all", "mask_value"),
    "json": ("rates.answered", "request.finished"),
    "env": ("JAEGER_HOST", "cloud-trace"),
    "text": ("classify_intent", "fix:"),
    "yaml": ("targets",),
}  # fmt: skip

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROSE = _BLOCK.sub("", GUIDE)
CODES = re.findall(r"`([^`\n]+)`", _PROSE)


def block(language: str, holding: str) -> str:
    (found,) = (text for kind, text in _BLOCK.findall(GUIDE) if kind == language and holding in text)
    return str(found)


def section(heading: str) -> str:
    """The text below a heading of any level, up to the next one of the same."""
    level, _, rest = re.split(rf"^(##+) ({re.escape(heading)})\n", _PROSE, maxsplit=1, flags=re.MULTILINE)[1:]
    return re.split(rf"^#{{2,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(heading: str, header: str) -> list[list[str]]:
    """The cells of the table in a section that begins with `header`."""
    lines = section(heading).splitlines()
    start = lines.index(header) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def run(script: str, cwd: Path = ROOT, **env: str) -> "subprocess.CompletedProcess[str]":
    """`script` as somebody would paste it, with this environment's commands on the PATH."""
    servers.installed("curl", package="curl")
    found = dict(environment(cwd, **env))
    found["PATH"] = f"{Path(sys.executable).parent}:{found['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=cwd, env=found, capture_output=True, text=True, timeout=120
    )


def executed(source: str) -> ModuleType:
    made = ModuleType("of_the_guide")
    exec(compile(source, "docs/monitoring_guide.md", "exec"), made.__dict__)
    return made


def counted(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@dataclass(frozen=True)
class Product:
    """A running emulator with Gemini's stand-in behind it, its spans and its log lines."""

    emulator: Emulator
    receiver: OtlpHttp
    log: Path

    @property
    def url(self) -> str:
        return self.emulator.url


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    log = folder / "log.jsonl"
    with OtlpHttp() as receiver, GeminiServer() as gemini:
        settings = {
            "TRACE_EXPORTER": "otlp", "OTLP_ENDPOINT": receiver.url, "JSON_LOGS": "true", "LOG_FILE": str(log),
            "GEMINI_API_KEY": gemini.api_key, "GEMINI_BASE_URL": gemini.url,
        }  # fmt: skip
        with emulator(folder, **settings) as running:
            yield Product(emulator=running, receiver=receiver, log=log)


def traced(product: Product, question: str, trace_id: str) -> list[Received]:
    """The spans of one question, its own last."""
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
    httpx.post(f"{product.url}/api/query", json={"message": question}, headers=headers, timeout=60).raise_for_status()
    count = 1
    while True:
        spans = [span for span in product.receiver.wait_for(count) if span.trace_id == trace_id]
        if any(span.parent_id == CALLER for span in spans):
            return spans
        count = len(product.receiver.spans) + 1


def listing(spans: list[Received], parent: str = CALLER, depth: int = 0) -> Iterator[str]:
    for span in spans:
        if span.parent_id == parent:
            yield f"{'  ' * depth + span.name:<36} {span.kind:<8} {span.duration_ms:7.1f} ms"
            yield from listing(spans, span.span_id, depth + 1)


def lineages(lines: list[str]) -> set[tuple[str, ...]]:
    """Each span's name after those around it, once; how often one comes depends on the question."""
    found: set[tuple[str, ...]] = set()
    above: list[str] = []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [re.split(r" {2,}", line.strip())[0]]
        found.add(tuple(above))
    return found


def wait_until_healthy(url: str) -> None:
    """A check that comes before anybody asked may time out on a busy machine."""
    servers.wait_for(lambda: httpx.get(f"{url}/health").json()["status"] == "healthy", "it is healthy")


def json_line(log: Path, message: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return next(line for line in reversed(lines) if line["message"] == message)


def shape(line: dict[str, Any]) -> dict[str, Any]:
    """What of a log line is the same each time."""
    request = line.get("httpRequest")
    varying = {"time", "request_id", "trace_id", "logging.googleapis.com/spanId"}
    fixed = {name: value for name, value in line.items() if name not in varying}
    if request is not None:
        fixed["httpRequest"] = {name: "" if name.endswith(("Size", "latency")) else request[name] for name in request}
    return {"names": sorted(line), **fixed}


def test_every_block_is_one_that_is_tested_below() -> None:
    for language, text in _BLOCK.findall(GUIDE):
        assert sum(one in text for one in BLOCKS[language]) >= 1, text
    assert Counter(language for language, _ in _BLOCK.findall(GUIDE)) == {
        language: len(names) for language, names in BLOCKS.items()
    }


# Commands and running code


@pytest.mark.slow
def test_what_is_started_first_exists_and_can_be_looked_at(product: Product) -> None:
    assert "`make run` starts everything" in GUIDE
    assert re.search("^run: ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wait_until_healthy(product.url)
    looked = run(block("sh", f"curl -s {PRODUCT}/health").replace(PRODUCT, product.url))
    assert looked.returncode == 0, looked.stderr
    assert looked.stdout.startswith('{"status":"healthy"')
    assert "assistant_build_info" in looked.stdout


@pytest.mark.slow
def test_a_function_of_ones_own_has_lines_spans_metrics_and_health(product: Product, free_port: int) -> None:
    folder = product.emulator.data  # where its database and its vectors are
    (folder / "rates.py").write_text(block("python", "rates.py"))
    words = shlex.split(block("sh", "functions-framework").replace("8090", str(free_port)))
    url, log = f"http://127.0.0.1:{free_port}", folder / "rates.log"
    with OtlpHttp() as receiver:
        env = dict(environment(folder, TRACE_EXPORTER="otlp", OTLP_ENDPOINT=receiver.url))
        del env["PORT"]
        command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
        with servers.running(command, is_ready=lambda: servers.answers(f"{url}/health/live"), log=log, env=env):
            wait_until_healthy(url)
            asked = run(block("sh", f"curl -sf {OWN}/health").replace(OWN, url))
            server, classified = sorted(receiver.wait_for(2), key=lambda span: span.parent_id)
            metrics = httpx.get(f"{url}/metrics").text
            components = httpx.get(f"{url}/health").json()["components"]
    assert asked.returncode == 0, asked.stderr
    assert '"intent":"question"' in asked.stdout
    assert '"status": "healthy"' in asked.stdout
    assert (components["database"]["status"], components["vector_index"]["status"]) == ("healthy", "healthy")
    assert counted(metrics, "assistant_intents_total", intent="question") == 1
    assert counted(metrics, "assistant_cache_requests_total", cache="rates", outcome="miss") == 1
    assert counted(metrics, "assistant_http_requests_total", function="rates", status="200") == 1
    assert (server.name, server.kind, server.resource["service.name"]) == ("GET", "server", "rates")
    assert (classified.name, classified.parent_id) == ("rates.classify", server.span_id)
    assert json_line(log, "request.finished")["httpRequest"]["status"] == 200
    line = json_line(log, "rates.answered")
    assert line["trace_id"] == server.trace_id
    assert shape(json.loads(block("json", "rates.answered"))) == shape(line)
    assert "jane" not in log.read_text()


def test_an_app_is_watched_by_its_routes() -> None:
    client = executed(block("python", "flask.Flask(")).app.test_client()
    assert client.get("/rates/acme").get_json()["rate_percent"] == "6.25"
    labels = {"function": "rates-api", "route": "/rates/{bank}", "method": "GET", "status": "200"}
    assert REGISTRY.get_sample_value("assistant_http_requests_total", labels) == 1


def test_spans_by_hand_nest_and_go_on_in_headers() -> None:
    with recording() as spans:
        assert executed(block("python", "trace_retriever")).find("rates") == ["traceparent"]
    inner, outer = spans.spans
    assert (inner.name, outer.name) == ("search archive", "retrieval knowledge")
    assert inner.parent is not None
    assert inner.parent == outer.context
    assert dict(inner.attributes or {}) == {"db.operation.name": "search", "assistant.passages": 1}


@pytest.mark.slow
def test_a_hundred_questions_at_once_are_answered_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def queries(url: str) -> float:
        shown = run(block("sh", "assistant_http_requests_total").replace(PRODUCT, url))
        return counted(shown.stdout, "assistant_http_requests_total", function="query", status="200")

    assert "One caller may ask 60 questions a minute, and have 16 answered at a time" in GUIDE
    assert load_settings().max_concurrent_requests == 16
    limits = {"LIMIT_FACTOR": "1", "ADDRESS_LIMIT": "600/minute"}  # as they are by themselves
    quiet = {"LOG_LEVEL": "WARNING"}  # nobody reads its lines, and a full pipe would stop it
    with emulator(tmp_path, **limits, **quiet) as running:
        asked = httpx.post(f"{running.url}/api/query", json={"message": "hello"}, timeout=60).raise_for_status()
        assert '"principal";q=60;w=60' in asked.headers["RateLimit-Policy"]
        made = run(f"{block('sh', 'LOAD_KEYS')}echo $LOAD_KEYS", tmp_path, DATA_DIR=str(running.data))
        assert made.returncode == 0, made.stderr
        monkeypatch.setenv("LOAD_KEYS", made.stdout)
        before = queries(running.url)
        assert executed(block("python", "ask_all").replace(PRODUCT, running.url)).statuses == {200: 100}
        assert queries(running.url) == before + 100


@pytest.mark.slow
def test_the_listing_of_a_trace_is_one(product: Product) -> None:
    spans = traced(product, "When must an adverse action notice be sent?", TRACE)
    made = {one for one in lineages(list(listing(spans))) if one[-2:] != ("chat gemini-3.8-flash", "read sqlite")}
    assert (
        lineages(block("text", "classify_intent").splitlines()) == made
    )  # but for a look at lost calls, once a minute


@pytest.mark.slow
def test_the_shown_line_is_the_last_one_of_a_question(product: Product) -> None:
    traced(product, "Which receivables are not eligible for a borrowing base?", TRACE[:-1] + "d")
    line = json_line(product.log, "request.finished")
    assert shape(json.loads(block("json", "request.finished"))) == shape(line)
    fields = {code for row in table("Logs", "| field | what |") for code in re.findall(r"`([^`]+)`", row[0])}
    assert line.keys() - fields == {"trace_id"}


@pytest.mark.slow
def test_the_doctor_says_what_is_shown(product: Product, tmp_path: Path) -> None:
    away = {"PUSHGATEWAY_URL": "http://127.0.0.1:1", "TRACE_EXPORTER": "otlp", "OTLP_ENDPOINT": "http://127.0.0.1:1"}
    port = product.url.rpartition(":")[2]
    wait_until_healthy(product.url)
    said = run(block("sh", "loancheck doctor"), tmp_path, PORT=port, TELEMETRY_TIMEOUT_SECONDS="0.3", **away)
    assert said.returncode == 1, said.stderr
    assert re.sub(r"\d+ ", "N ", said.stdout) == re.sub(r"\d+ ", "N ", block("text", "fix:"))


# Texts that name things


def test_the_table_of_metrics_is_the_catalogue() -> None:
    rows = table("What is measured", "| group | metrics, each with its type and labels |")
    found = [one for _, cell in rows for one in cell.split("; ")]
    assert sorted(found) == sorted(map(described, CATALOGUE))


def described(metric: Metric) -> str:
    labels = ", ".join(label.name for label in metric.labels)
    return f"`{metric.name}` {metric.kind}" + (f" ({labels})" if labels else "")


def test_every_metric_that_is_named_exists() -> None:
    known = {metric.name + suffix for metric in CATALOGUE for suffix in ("", "_bucket", "_sum", "_count")}
    labels = {label.name for metric in CATALOGUE for label in metric.labels}
    assert set(re.findall(r"\b(?:assistant|gen_ai)_\w+", GUIDE)) <= known | labels


@pytest.mark.servers
def test_prometheus_understands_every_query_of_the_runbooks(tmp_path: Path) -> None:
    queries = [code for code in CODES if re.search(r"\b(?:assistant|gen_ai)_\w+[\[{]", code)]
    assert len(queries) > 5
    rules = [{"record": f"guide:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "guide", "rules": rules}]}))
    checked = subprocess.run(
        [servers.promtool(), "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_every_setting_that_is_named_exists_and_those_of_telemetry_are_all_there() -> None:
    fields = [name.upper() for name in SETTINGS]
    kinds = {row[0].strip("`") for row in table("Personal data", "| kind | for example | becomes |")}
    named = {code.partition("=")[0] for code in CODES if re.fullmatch(r"[A-Z]+(_[A-Z]+)+(=\S*)?", code)}
    assert named - kinds <= set(fields)
    of_telemetry = fields[fields.index("LOG_LEVEL") : fields.index("MIN_FREE_DISK_MB") + 1]
    shown = re.findall(r"`([A-Z_]+)`", str(table("Configuration", "| for | settings |")))
    assert sorted(shown) == sorted(set(of_telemetry) - {"K_SERVICE", "K_REVISION", "FUNCTION_TARGET"})


@pytest.mark.parametrize("holding", BLOCKS["env"])
def test_shown_settings_can_be_used(holding: str) -> None:
    given = dict(line.split("=", 1) for line in block("env", holding).splitlines())
    assert given.keys() <= {name.upper() for name in SETTINGS}
    assert load_settings(**{name.lower(): value for name, value in given.items()}).is_production


def test_personal_data_is_masked_as_shown() -> None:
    rows = table("Personal data", "| kind | for example | becomes |")
    assert [mask(row[1].strip("`")) for row in rows] == [row[2].strip("`") for row in rows]
    assert {row[0].strip("`") for row in rows} == set(PiiKind)
    executed(block("python", "mask_value"))


def test_what_is_left_alone_and_what_is_not_recognised_is_as_shown() -> None:
    (left_alone,) = re.findall(r"^Left alone on purpose.*?\n\n", GUIDE, re.MULTILINE | re.DOTALL)
    rows = table("Personal data", "| what | for example |")
    texts = re.findall(r"`([^`]+)`", left_alone + str([row[1] for row in rows]))
    assert len(texts) >= 10
    assert [mask(text) for text in texts] == texts


def test_the_shown_target_is_one_for_prometheus() -> None:
    assert yaml.safe_load(block("yaml", "targets")) == [
        {"targets": [OWN.removeprefix("http://")], "labels": {"function": "rates"}}
    ]
    (config,) = re.findall(r"--config\.file=(\S+)", block("sh", "prometheus"))
    jobs = yaml.safe_load((ROOT / config).read_text())["scrape_configs"]
    assert jobs[0]["authorization"]["credentials_file"] == "secrets/metrics_token"
    assert [file for job in jobs for one in job.get("file_sd_configs", []) for file in one["files"]] == [
        "targets/functions.yml"
    ]


@pytest.mark.slow
def test_the_key_for_prometheus_is_made_where_it_is_looked_for_and_may_read_metrics_alone(tmp_path: Path) -> None:
    made = run(block("sh", "metrics_token"), tmp_path)
    assert made.returncode == 0, made.stderr
    key = (tmp_path / "infra/monitoring/secrets/metrics_token").read_text().strip()
    with instance(tmp_path):
        principal = api_keys().check(key)
    assert principal is not None
    assert principal.scopes == {"metrics:read"}


def test_every_dashboard_is_named() -> None:
    titles = [json.loads(path.read_text())["title"] for path in (ROOT / "infra/monitoring/grafana").glob("*.json")]
    named = set(re.findall(r"\*([^*]+)\*", " ".join(section("Grafana").split())))
    assert named == {title.rpartition("/")[2].strip() for title in titles}


def test_every_file_module_event_and_error_that_is_named_exists() -> None:
    source = "\n".join(
        path.read_text() for folder in ("common", "functions", "local") for path in (ROOT / folder).rglob("*.py")
    )
    for code in CODES:
        if re.fullmatch(r"(infra|common|functions|tests|docs)/[\w./]+", code) and "/secrets/" not in code:
            assert (ROOT / code).exists(), code
        elif re.fullmatch(r"python -m tests\.\w+\.\w+", code):
            assert find_spec(code.split()[-1]), code
        elif re.fullmatch(r"[a-z]+\.[a-z_]+", code) and not code.endswith((".yml", ".txt", ".py", ".env")):
            assert code in ALLOWED or f'"{code}"' in source, code
        elif re.fullmatch(r"Model[A-Z]\w+", code):
            assert issubclass(getattr(chat, code), chat.ModelError)


# Runbooks


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


RUNBOOKS = {anchor(heading): heading for heading in re.findall(r"^### (.+)$", section("Alerts"), re.MULTILINE)}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alerts_runbook_is_a_section_that_names_it(alert: dict[str, Any]) -> None:
    path, _, name = alert["annotations"]["runbook"].partition("#")
    assert path == "docs/monitoring_guide.md"
    assert f"`{alert['alert']}`" in section(RUNBOOKS[name])


def test_every_runbook_is_of_an_alert() -> None:
    assert RUNBOOKS.keys() == {alert["annotations"]["runbook"].partition("#")[2] for alert in ALERTS}
    names = {alert["alert"] for alert in ALERTS}
    assert {
        code for code in re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", section("Alerts")) if not hasattr(chat, code)
    } == names


def test_every_link_into_this_page_and_into_others_leads_to_a_heading() -> None:
    for page, name in re.findall(r"\]\(([\w./]*)#([\w-]+)\)", GUIDE):
        text = (ROOT / "docs" / page).read_text() if page else GUIDE
        assert name in {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}, name


def test_the_readme_leads_here() -> None:
    assert "(docs/monitoring_guide.md)" in (ROOT / "README.md").read_text()

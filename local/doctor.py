"""`loancheck doctor`: the usual five faults of an installation, each with its fix.

Packages that are missing or of another version than the lock; functions that cannot be imported; health; metrics that
do not arrive; traces that do not arrive. What is not configured is said, and is no fault.
"""

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request

from common.settings import Secret, Settings
from common.settings import settings as current_settings
from local.asking import KEY_FIX, key_header, opened
from local.catalogue import ROOT, FunctionEntry, load_catalogue

TIMEOUT_SECONDS = 5.0
IMPORT_SECONDS = 60.0  # of all functions together, on a slow disk
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)( *;)?", re.MULTILINE)
_SENDS = re.compile(r'^assistant_telemetry_sends_total\{channel="metrics",outcome="(\w+)"\} ([0-9.e+]+)', re.MULTILINE)

Verdict = Literal["ok", "fault", "not configured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was looked at and found; `fix` goes with a fault."""

    subject: str
    verdict: Verdict
    found: str
    fix: str | None = None

    def __str__(self) -> str:
        line = f"{self.verdict:<15} {self.subject}: {self.found}"
        return f"{line}\n{'':<15} fix: {self.fix}" if self.fix else line


def examine(url: str, settings: Settings) -> Iterator[Diagnosis]:
    """Each part in turn; `url` is where the functions listen, one port for all or the health function's own."""
    yield packages(ROOT.joinpath("requirements.txt").read_text(encoding="utf-8"), version)
    yield imports(load_catalogue())
    yield from health(url)
    yield metrics(url, settings)
    yield traces(settings)


def packages(lock: str, version_of: Callable[[str], str]) -> Diagnosis:
    """Whether what is installed is what the lock says. It may pin a package twice, for different Pythons; a package
    that is pinned under a condition may be left out."""
    pins: dict[str, list[str]] = {}
    needed = set()
    for name, pinned, condition in _PINNED.findall(lock):
        pins.setdefault(name, []).append(pinned)
        if not condition:
            needed.add(name)
    wrong = []
    for name, versions in pins.items():
        try:
            installed = version_of(name)
        except PackageNotFoundError:
            if name in needed:
                wrong.append(f"{name} is missing")
            continue
        if installed not in versions:
            wrong.append(f"{name} is {installed}, not {' or '.join(versions)}")
    if not wrong:
        return Diagnosis(subject="packages", verdict="ok", found=f"{len(pins)} as pinned")
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Diagnosis(
        subject="packages",
        verdict="fault",
        found="; ".join(wrong[:3]) + more,
        fix="in an environment of its own: pip install --require-hashes -r requirements.txt (make run does it)",
    )


# In a process of its own: an import may change anything, and a fault in it must not end this one.
_IMPORT = """
import importlib, sys
for path, module, entry_point in zip(*[iter(sys.argv[1:])] * 3):
    sys.path.insert(0, path)
    try:
        getattr(importlib.import_module(module), entry_point)
    except BaseException as error:
        print("not imported:", module, type(error).__name__)
"""
_NOT_IMPORTED = re.compile(r"^not imported: (\S+) (\S+)$", re.MULTILINE)


def imports(functions: Sequence[FunctionEntry], root: Path = ROOT) -> Diagnosis:
    """Whether each function's module below `root` can be imported here, and has its entry point."""
    given = [part for one in functions for part in (str(root), _module(one.source), one.entry_point)]
    try:
        ran = subprocess.run(  # noqa: S603  # our own words and the catalogue's
            [sys.executable, "-c", _IMPORT, *given], capture_output=True, text=True, errors="replace",
            timeout=IMPORT_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return Diagnosis(subject="imports", verdict="fault", found=f"Python ends ({_reason(error)})", fix=IMPORT_FIX)
    wrong = [f"{module} cannot be imported ({error})" for module, error in _NOT_IMPORTED.findall(ran.stdout)]
    if not wrong:
        return Diagnosis(subject="imports", verdict="ok", found=f"{len(functions)} functions")
    return Diagnosis(subject="imports", verdict="fault", found="; ".join(wrong), fix=IMPORT_FIX)


def _module(source: Path) -> str:
    return ".".join(source.with_suffix("").parts)


def health(url: str) -> Iterator[Diagnosis]:
    """The health function's answer, a line for each component that is not healthy."""
    try:
        yield from _of_components(json.loads(_get(f"{url}/health", also=503)))
    except (OSError, HTTPException) as error:
        yield _unreachable("health", url, error)
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Diagnosis(
            subject="health", verdict="fault", found=f"what answers at {url} is not this program", fix=URL_FIX
        )


def _of_components(report: Any) -> Sequence[Diagnosis]:
    """`report` is JSON of any shape: one that is not ours raises what its shape brings with it."""
    components = report["components"].items()
    diagnoses = []
    if report["status"] == "healthy":
        diagnoses.append(Diagnosis(subject="health", verdict="ok", found=f"{len(components)} components"))
    for name, one in components:
        if one["status"] != "healthy":
            found = f"{name} is {one['status']}" + (f" ({one['detail']})" if one.get("detail") else "")
            fix = COMPONENT_FIXES.get(name, LOG_FIX)
            diagnoses.append(Diagnosis(subject="health", verdict="fault", found=found, fix=fix))
    return diagnoses


def metrics(url: str, settings: Settings) -> Diagnosis:
    """Whether `/metrics` gives any, and whether pushes work where there is a gateway."""
    try:
        text = _get(f"{url}/metrics").decode(errors="replace")
    except (OSError, HTTPException) as error:
        return _unreachable("metrics", url, error)
    if "assistant_build_info" not in text:
        return Diagnosis(subject="metrics", verdict="fault", found="/metrics is of another program", fix=URL_FIX)
    if settings.pushgateway_url is None:
        found = f"/metrics gives {sum(line.startswith('assistant_') for line in text.splitlines())} series; none pushed"
        return Diagnosis(subject="metrics", verdict="ok", found=found)
    sends = {outcome: float(count) for outcome, count in _SENDS.findall(text)}
    problem = push_once(settings.pushgateway_url, settings.telemetry_timeout_seconds)
    if problem is None:
        return Diagnosis(subject="metrics", verdict="ok", found=f"a push arrives; sent so far: {_counts(sends)}")
    return Diagnosis(
        subject="metrics",
        verdict="fault",
        found=f"the Pushgateway takes no push ({problem}); sent so far: {_counts(sends)}",
        fix="check PUSHGATEWAY_URL: is the Pushgateway running there, with these credentials? "
        "Or scrape /metrics: infra/monitoring/prometheus.yml",
    )


def push_once(address: Secret, seconds: float) -> str | None:
    """Push a group of one metric and take it away again; the reason where that fails, in our own words."""
    from prometheus_client import CollectorRegistry, Gauge

    from common.telemetry.metrics_push import Gateway, InvalidGateway, Pusher, PushRefused

    registry = CollectorRegistry()
    Gauge("assistant_doctor", "A push by loancheck doctor.", registry=registry).set(1)
    try:
        gateway = Gateway.from_url(address.get_secret_value())
        probe = Pusher(gateway, job="loancheck-doctor", place="doctor", registry=registry, timeout=seconds)
        probe.push()
        probe.delete()
    except InvalidGateway:
        return "it is no address of an HTTP server"
    except PushRefused as refused:
        return f"status {refused.status}"
    except (OSError, HTTPException) as error:
        return _reason(error)
    return None


def traces(settings: Settings) -> Diagnosis:
    """Whether a span that is sent now arrives."""
    from common.telemetry.trace_exporters import is_wanted

    if not is_wanted(settings):
        found = "TRACE_EXPORTER is none; log lines carry the trace id all the same"
        return Diagnosis(subject="traces", verdict="not configured", found=found)
    problem = export_once(settings)
    if problem is None:
        return Diagnosis(subject="traces", verdict="ok", found="a span arrives")
    return Diagnosis(
        subject="traces",
        verdict="fault",
        found=f"the receiver takes no span ({problem})",
        fix="check TRACE_EXPORTER and OTLP_ENDPOINT (http://HOST:4318 or grpc://HOST:4317) or JAEGER_HOST; "
        "Cloud Trace needs credentials (gcloud auth application-default login) and GOOGLE_CLOUD_PROJECT",
    )


def export_once(settings: Settings) -> str | None:
    """Send one span through the configured exporter; the reason where that fails, in our own words."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.trace import SpanContext, TraceFlags

    from common.telemetry.trace_exporters import create_exporter

    identity = SpanContext(
        secrets.randbits(127) + 1, secrets.randbits(63) + 1, is_remote=False, trace_flags=TraceFlags(1)
    )
    span = ReadableSpan("loancheck doctor", context=identity, start_time=0, end_time=1)
    try:
        exporter = create_exporter(settings)
    except Exception as error:  # noqa: BLE001  # libraries for credentials and channels raise what they like
        return type(error).__name__
    try:
        return None if exporter.export([span]) is SpanExportResult.SUCCESS else "not accepted in time"
    finally:
        exporter.shutdown()


URL_FIX = "give --url, or HOST and PORT as the emulator has them"
IMPORT_FIX = (
    "InvalidSettings: loancheck settings lists what each may be; else install the packages anew: "
    "pip install --require-hashes -r requirements.txt"
)
LOG_FIX = "the log tells more: LOG_LEVEL=DEBUG"
COMPONENT_FIXES: Mapping[str, str] = {
    "database": "check DATABASE_URL, or that DATA_DIR can be written to; loancheck migrate renews the schema",
    "vector_index": "check CHROMA_URL and CHROMA_TOKEN, or DATA_DIR/chroma; answers come from full text meanwhile",
    "gemini": "check GEMINI_API_KEY or VERTEX_PROJECT and CHAT_MODEL; answers come from the embedded model meanwhile",
    "disk": "make room on the disk of DATA_DIR, or lower MIN_FREE_DISK_MB",
}


def _counts(sends: Mapping[str, float]) -> str:
    return ", ".join(f"{count:.0f} {outcome}" for outcome, count in sends.items()) or "nothing"


def _get(url: str, *, also: int = 200) -> bytes:
    """The answer there, with API_KEY if that is set; also that of one other status. No redirect is followed."""
    headers = {"Accept": "*/*", **key_header(current_settings().api_key)}
    request = Request(url, headers=headers)  # noqa: S310  # the scheme is checked by the command
    try:
        with opened(request, TIMEOUT_SECONDS) as response:
            content = response.read()
    except HTTPError as error:
        with error:
            if error.code != also:
                raise
            content = error.read()
    return content


def _unreachable(subject: str, url: str, error: Exception) -> Diagnosis:
    if isinstance(error, HTTPError) and error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        found = f"{url}/{subject} does not let us in (status {error.code})"
        return Diagnosis(subject=subject, verdict="fault", found=found, fix=KEY_FIX.format(role="service"))
    found = f"nothing usable at {url}/{subject} ({_reason(error)})"
    return Diagnosis(subject=subject, verdict="fault", found=found, fix=f"make run starts it; or {URL_FIX}")


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        sent_on = "" if error.code >= HTTPStatus.BAD_REQUEST else ", which sends on to another address"
        return f"status {error.code}{sent_on}"
    cause = error.reason if isinstance(error, URLError) else error
    return getattr(cause, "strerror", None) or type(cause).__name__

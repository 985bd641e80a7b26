"""The product's nginx as `infra/nginx/` configures it, with a site of the test's own, in front of functions."""

import itertools
import json
import shutil
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.nginx.generate import upstreams
from infra.nginx.switch import Nginx
from tests import servers
from tests.certificates import make_certificate
from tests.emulators import environment

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "infra" / "nginx"
ECHO = ROOT / "tests" / "integration" / "proxied_function.py"
FUNCTIONS = json.loads((ROOT / "functions" / "functions.json").read_text())["functions"]
BEHIND_BALANCER = f"set_real_ip_from {servers.LOOPBACK};\nreal_ip_header X-Forwarded-For;\n"

_callers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running nginx. `trust` knows its certificate."""

    port: int
    nginx: Nginx
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://{servers.LOOPBACK}:{self.port}"

    @property
    def access_log(self) -> Path:
        return self.nginx.state / "access.log"

    def lines(self) -> list[dict[str, Any]]:
        """The access log so far. A line is written when its request is over, which may be after the answer came."""
        return [json.loads(line) for line in self.access_log.read_text().splitlines()]

    def line(self, request_id: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines() if line["request_id"] == request_id]

        (line,) = servers.wait_for(found, "a line in the access log")
        return line

    @contextmanager
    def client(self, timeout: float = 30) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.url, verify=self.trust, timeout=timeout) as client:
            yield client


@contextmanager
def site(
    folder: Path, instances: Mapping[str, int], *, server: str = "", changes: Mapping[str, str] | None = None
) -> Iterator[Site]:
    """nginx before the functions at these ports of loopback; the others are where nobody listens.

    `server` is added to the site's own configuration; `changes` replace text in the product's.
    """
    config = folder / "nginx"
    shutil.copytree(CONFIGURATION, config, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    certificate = make_certificate(folder)
    port, nobody = servers.free_port(), servers.free_port()
    addresses = {one["name"]: [f"{servers.LOOPBACK}:{instances.get(one['name'], nobody)}"] for one in FUNCTIONS}
    (config / "site" / "upstreams.conf").write_text(upstreams(addresses))
    (config / "site" / "server.conf").write_text(
        f"listen {servers.LOOPBACK}:{port} ssl http2;\nserver_name _;\naccess_log access.log json;\n"
        f"ssl_certificate {certificate};\nssl_certificate_key {certificate};\n{server}"
    )
    for before, after in (changes or {}).items():
        _change(config, before, after)
    with servers.nginx(config / "nginx.conf", port) as state:
        yield Site(
            port=port,
            nginx=Nginx(binary=servers.nginx_binary(), config=config / "nginx.conf", state=state),
            trust=ssl.create_default_context(cafile=certificate),
        )


@contextmanager
def function(source: Path, target: str, data: Path, **settings: str) -> Iterator[int]:
    """The port of a function that runs alone, as the Functions Framework starts it, with one proxy before it."""
    port = servers.free_port()
    command = [str(Path(sys.executable).parent / "functions-framework"), "--source", str(source), "--target", target]
    command += ["--host", servers.LOOPBACK, "--port", str(port)]
    given = environment(data, TRUSTED_PROXIES="1", **settings)
    env = {name: value for name, value in given.items() if name not in {"PORT", "PYTHONPATH"}}
    data.mkdir(exist_ok=True)
    with servers.running(
        command,
        is_ready=lambda: servers.answers(f"http://{servers.LOOPBACK}:{port}/live"),
        log=data / f"{target}-{port}.log",
        env=env,
    ):
        yield port


def another_caller() -> dict[str, str]:
    """The header by which a balancer tells an address; each time another, so that no limit is met."""
    number = next(_callers)
    return {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}


def _change(config: Path, before: str, after: str) -> None:
    files = [path for path in config.rglob("*.conf") if before in path.read_text()]
    assert files, f"{before}: nowhere in the configuration"
    for path in files:
        path.write_text(path.read_text().replace(before, after))

"""Amazon S3 as moto's server speaks it, on this machine."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import servers

BUCKET = "examples"


@contextmanager
def amazon_storage() -> Iterator[str]:
    """The URL of a server of its own."""
    port = servers.free_port()
    url = f"http://{servers.LOOPBACK}:{port}"
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", servers.LOOPBACK, "-p", str(port)]
    with (
        tempfile.TemporaryDirectory(prefix="moto-") as name,
        servers.running(command, is_ready=lambda: servers.answers(f"{url}/moto-api/"), log=Path(name) / "log"),
    ):
        yield url


def empty_bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in the environment, and nothing at `url` but an empty bucket `BUCKET`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    httpx.post(f"{url}/moto-api/reset").raise_for_status()
    httpx.put(f"{url}/{BUCKET}").raise_for_status()

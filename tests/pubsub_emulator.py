"""Google's Pub/Sub emulator, where it is installed; asked over REST, as its client library would take a gRPC stack."""

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers

PROGRAM = Path("/usr/lib/google-cloud-sdk/platform/pubsub-emulator/bin/cloud-pubsub-emulator")
PROJECT = "lending"


@dataclass(frozen=True, slots=True, kw_only=True)
class PubSub:
    """A running emulator. Order is not kept, and what is answered with an error comes again within a second or so."""

    url: str

    def push_to(self, topic: str, endpoint: str) -> None:
        """Make `topic`, and a subscription that posts its messages to `endpoint`."""
        self._put(f"topics/{topic}", {})
        subscription = {"topic": f"projects/{PROJECT}/topics/{topic}", "pushConfig": {"pushEndpoint": endpoint}}
        self._put(f"subscriptions/{topic}-push", subscription)

    def publish(self, topic: str, contents: Sequence[object], attributes: Mapping[str, str]) -> None:
        """Each of `contents` as a message of its own, as JSON."""
        messages = [
            {"data": base64.b64encode(json.dumps(one).encode()).decode(), "attributes": attributes} for one in contents
        ]
        path = f"{self.url}/v1/projects/{PROJECT}/topics/{topic}:publish"
        httpx.post(path, json={"messages": messages}, timeout=30).raise_for_status()

    def _put(self, path: str, body: Mapping[str, Any]) -> None:  # Any: JSON
        httpx.put(f"{self.url}/v1/projects/{PROJECT}/{path}", json=body, timeout=30).raise_for_status()


@contextmanager
def pubsub_emulator() -> Iterator[PubSub]:
    """An emulator that forgets everything at the end of the block.

    Where it is missing its tests are skipped, on CI too: it is in neither Debian nor PyPI but in Google's own archive,
    and the exact HTTP form that it has stands in tests/integration/test_budget_alert.py.
    """
    if not PROGRAM.exists():
        pytest.skip("Google's Pub/Sub emulator is not installed (google-cloud-cli-pubsub-emulator)")
    port = servers.free_port()
    url = f"http://{servers.LOOPBACK}:{port}"
    command = [str(PROGRAM), f"--host={servers.LOOPBACK}", f"--port={port}"]
    with tempfile.TemporaryDirectory(prefix="pubsub-") as name:
        log = Path(name) / "log"
        with servers.running(command, is_ready=lambda: servers.answers(url), log=log):
            yield PubSub(url=url)

"""What a function may use: the secrets that go with a part, and where its traffic goes.

Which secrets a part has stands in infra/terraform/locals.tf, for the cloud and for here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOCALS = Path(__file__).resolve().parents[1] / "terraform" / "locals.tf"

_LIST = r"\[[^\]]*\]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a part is: `ports` of TCP, of a server of one's own (`store`: its name where it is in this namespace) or
    of one on the internet."""

    ports: tuple[int, ...]
    store: str | None = None


HTTPS = 443
WAYS: Mapping[str, Way] = {
    "database": Way(ports=(5432,), store="postgresql"),
    "limits": Way(ports=(6379, 6378), store="redis"),  # 6378: Memorystore over TLS
    "vectors": Way(ports=(8000,), store="chroma"),
    "keys": Way(ports=(HTTPS,)),  # Cloud KMS, and the keys that ID tokens are signed with
    "models": Way(ports=(HTTPS,)),
    "archive": Way(ports=(HTTPS,)),
    "notices": Way(ports=(HTTPS, 465, 587)),
    "bill": Way(ports=(HTTPS,)),
}

# Replicas share what they know through these: without them a pod would keep a database and counters of its own.
SHARED = ("database", "limits")


def _read(text: str) -> tuple[Mapping[str, Sequence[str]], Sequence[str]]:
    """By part, and for all functions: the settings that are secrets.

    Raises:
        ValueError: locals.tf is not of the form that this reads.
    """
    block = re.search(r"^  parts = {\n(.*?)^  }$", text, re.MULTILINE | re.DOTALL)
    for_all = re.search(rf"^  for_all\s+= ({_LIST})$", text, re.MULTILINE)
    if block is None or for_all is None:
        raise ValueError("locals.tf: parts, for_all: are not there, or in another form")
    parts = {
        name: json.loads(names) for name, names in re.findall(rf"^    (\w+)\s+= ({_LIST})$", block[1], re.MULTILINE)
    }
    if len(parts) != len(block[1].strip().splitlines()):
        raise ValueError("locals.tf: parts: each must be on a line of its own, as NAME = [SETTING, ...]")
    if missing := parts.keys() ^ WAYS.keys():
        raise ValueError(f"locals.tf, parts.py: {', '.join(sorted(missing))}: must stand in both")
    return parts, json.loads(for_all[1])


PARTS, FOR_ALL = _read(LOCALS.read_text(encoding="utf-8"))

# Pods are scraped: who pushes as well counts twice (infra/monitoring/prometheus.yml).
_PUSHED = "PUSHGATEWAY_URL"


def secrets_of(uses: Iterable[str], *, is_scraped: bool = True) -> Sequence[str]:
    """The settings that are secrets of a function that uses these parts, in the list's order.

    `is_scraped`: Prometheus reads its metrics at the pods. Where pods come and go it pushes them.
    """
    used = set(uses)
    found = [setting for part, settings in PARTS.items() if part in used for setting in settings]
    return found + [setting for setting in FOR_ALL if setting != _PUSHED or not is_scraped]


def required_of(uses: Iterable[str]) -> frozenset[str]:
    """Those without which no pod may start."""
    return frozenset(setting for part in set(uses) & set(SHARED) for setting in PARTS[part])

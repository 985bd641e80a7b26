"""The locks, as `uv pip compile --generate-hashes` writes them: every package exact, with the hashes of its files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.supply_chain.outcomes import Outcome, judged

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.!+_-]+)(?: ; (?P<marker>[^\\]+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
LOCK_NAME = re.compile(r"requirements[a-z-]*\.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One entry of a lock. `name` is normalised (PEP 503), `marker` is "" where the entry holds everywhere;
    `hashes` are SHA-256 in hex, one for each file that may be installed."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


class LooseRequirement(ValueError):
    """An entry that lets the installer choose: no exact version, no hash, a URL, or an option."""


def pins(text: str) -> Iterator[Pin]:
    """The entries of a lock in their order; a package comes twice where its version depends on the machine.

    Raises:
        LooseRequirement: at the first entry that is not exact.
    """
    for line in text.replace("\\\n", "").splitlines():
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if entry:
            yield _pin(entry)


def _pin(entry: str) -> Pin:
    requirement, *options = re.split(r"\s+(?=--)", entry)
    exact = _PIN.fullmatch(requirement)
    hashes = [_HASH.fullmatch(option.strip()) for option in options]
    if exact is None or not hashes or None in hashes:
        raise LooseRequirement(f"not pinned with SHA-256 hashes: {requirement[:80]}")
    return Pin(
        name=re.sub(r"[-_.]+", "-", exact["name"]).lower(),
        version=exact["version"],
        marker=(exact["marker"] or "").strip(),
        hashes=tuple(found[1] for found in hashes if found is not None),
    )


def check_locks(root: Path, files: list[str]) -> Outcome:
    """Whether every requirements*.txt among `files` (paths from `root`) is a lock."""
    names = [name for name in files if LOCK_NAME.fullmatch(Path(name).name)]
    findings, count = [], 0
    for name in names:
        try:
            count += len(list(pins((root / name).read_text(encoding="utf-8"))))
        except LooseRequirement as loose:
            findings.append(f"{name}: {loose}")
    return judged(findings, f"{len(names)} locks, {count} entries: exact versions with hashes")

"""No secret is in the repository: detect-secrets over every file, offline.

All detectors look at everything but the tests. There only those look that know a key by its form (AWS, GitHub, Slack,
private keys and so on): tests of masking and of sign-in are full of invented passwords, and a list that everybody has
to add to is a list that nobody reads. So it is with what lies in folders `generated`: what it is made of is looked at.

What is found and is none is allowed in one of two ways, both seen in a review: `# pragma: allowlist secret` on the
line, or, where a file cannot hold a comment, an entry with its reason in secrets.toml. An entry that nothing matches
any more fails as well, so that the list says what there is.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.supply_chain.outcomes import Outcome, judged
from infra.supply_chain.tools import HERE, audit_tool, repository_files, run

ALLOWED = HERE / "secrets.toml"
_TESTS = "tests/"
_GENERATED = "/generated/"
_NO_SECRETS = ("IPPublicDetector",)  # an address is none; common/pii.py is about those
_BY_LOOKS = ("KeywordDetector", "BasicAuthDetector", "HexHighEntropyString", "Base64HighEntropyString")
_MIN_REASON_CHARACTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What looks like a secret: where, and `line`, which is `line_hash` of what stands there.

    The line, since detect-secrets' own hash is of less than the secret for some kinds: of `ghp` for a GitHub token,
    so that one allowed token would allow all.
    """

    path: str
    number: int
    kind: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A line of a file that holds no secret, by `reason`."""

    path: str
    line: str
    reason: str

    def covers(self, suspect: Suspect) -> bool:
        return (self.path, self.line) == (suspect.path, suspect.line)


class InvalidAllowed(ValueError):
    """An entry of secrets.toml without a reason, or with an unknown field."""


def read_allowed(text: str) -> list[Allowed]:
    """The entries of secrets.toml.

    Raises:
        InvalidAllowed: naming the entry.
    """
    entries = tomllib.loads(text).get("allowed", [])
    return [_allowed(number, entry) for number, entry in enumerate(entries, start=1)]


def _allowed(number: int, entry: dict[str, object]) -> Allowed:
    match entry:
        case {"path": str(path), "line": str(line), "reason": str(reason)} if (
            len(entry) == 3 and len(reason) >= _MIN_REASON_CHARACTERS
        ):
            return Allowed(path=path, line=line, reason=reason)
    raise InvalidAllowed(f"secrets.toml, entry {number}: wants path, line and a reason in a few words")


def check_secrets(root: Path, allowed: Sequence[Allowed]) -> Outcome:
    """Looks at every file of the repository in `root`, also at those that are not committed yet.

    Raises:
        ToolMissing, ToolFailed: detect-secrets or git.
    """
    files = repository_files(root)
    suspects = list(_suspects(root, files))
    findings = [
        f"{found.path}:{found.number}: {found.kind}, line {found.line}"
        for found in suspects
        if not any(entry.covers(found) for entry in allowed)
    ]
    findings += [
        f"secrets.toml: nothing in {entry.path} matches {entry.line} any more ({entry.reason})"
        for entry in allowed
        if not any(entry.covers(found) for found in suspects)
    ]
    return judged(findings, f"{len(files)} files, {len(suspects)} places reviewed")


def _suspects(root: Path, files: Sequence[str]) -> Iterator[Suspect]:
    by_form = [name for name in files if name.startswith(_TESTS) or _GENERATED in name]
    yield from _scan(root, sorted({*files} - {*by_form}), without=_NO_SECRETS)
    yield from _scan(root, by_form, without=(*_NO_SECRETS, *_BY_LOOKS))


def _scan(root: Path, files: Sequence[str], *, without: Sequence[str]) -> Iterator[Suspect]:
    if not files:
        return  # without names it would look at the whole folder
    options = [part for name in without for part in ("--disable-plugin", name)]
    # --no-verify: what is found is not tried out against its service.
    said = run([audit_tool("detect-secrets"), "scan", "--all-files", "--no-verify", *options, "--", *files], cwd=root)
    for path, places in json.loads(said)["results"].items():
        lines = (root / path).read_text(encoding="utf-8", errors="replace").split("\n")
        for place in places:
            number = place["line_number"]
            yield Suspect(path=path, number=number, kind=place["type"], line=line_hash(lines[number - 1]))


def line_hash(line: str) -> str:
    """What secrets.toml knows a line by."""
    return f"sha256:{hashlib.sha256(line.strip().encode()).hexdigest()}"

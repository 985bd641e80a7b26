"""Known vulnerabilities of what is locked, by pip-audit.

pip-audit ends well also when the service has nothing to say on a package ("could not be audited"), so a mirror
without advisories looks like a clean lock. Hence a question comes first whose answer is known, and each package that
stays unanswered is named: what was not checked has not passed.

Everything that is locked is asked about, for every machine: pip-audit by itself leaves out what the markers of a lock
keep from this one.
"""

import datetime
import json
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.supply_chain.locks import Pin, pins
from infra.supply_chain.outcomes import Outcome, State, judged
from infra.supply_chain.tools import HERE, ToolFailed, audit_tool, run

IGNORED = HERE / "advisories.toml"
KNOWN_BAD = "pyyaml==5.3"  # runs code from what it loads: CVE-2020-1747, fixed in 5.3.1
_MIN_REASON_CHARACTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An advisory that does not bear on us, by `reason`, looked at again from `until` on."""

    id: str
    package: str
    reason: str
    until: datetime.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the service said: `findings` a line each, and the packages that it said nothing about."""

    findings: list[str]
    unanswered: list[str]


class InvalidIgnored(ValueError):
    """An entry of advisories.toml without a reason or a date, or with an unknown field."""


def read_ignored(text: str) -> list[Ignored]:
    """The entries of advisories.toml.

    Raises:
        InvalidIgnored: naming the entry.
    """
    entries = tomllib.loads(text).get("ignored", [])
    return [_ignored(number, entry) for number, entry in enumerate(entries, start=1)]


def _ignored(number: int, entry: dict[str, object]) -> Ignored:
    match entry:
        case {"id": str(id_), "package": str(package), "reason": str(reason), "until": datetime.date() as until} if (
            len(entry) == 4 and len(reason) >= _MIN_REASON_CHARACTERS
        ):
            return Ignored(id=id_, package=package, reason=reason, until=until)
    raise InvalidIgnored(f"advisories.toml, entry {number}: wants id, package, a reason in a sentence, and until")


def check_advisories(locked: Iterable[Pin], ignored: Sequence[Ignored], service: Sequence[str] = ()) -> Outcome:
    """Asks about every version of every package in `locked`, once; `service` are pip-audit's options that choose whom.

    A finding fails; with none, one package that stays unanswered makes it `UNANSWERED`.

    Raises:
        ToolMissing: pip-audit is not installed.
    """
    ids = [entry.id for entry in ignored]
    versions = _by_version_count(locked)
    total = sum(len(layer) for layer in versions)
    answers = Answers(findings=[], unanswered=[])
    try:
        if not _ask([KNOWN_BAD], ["--no-deps", *service]).findings:
            return Outcome(state=State.UNANSWERED, about=f"the advisory service knows nothing, not even of {KNOWN_BAD}")
        for layer in versions:
            said = _ask(layer, ["--require-hashes", *service, *(f"--ignore-vuln={name}" for name in ids)])
            answers.findings.extend(said.findings)
            answers.unanswered.extend(said.unanswered)
    except ToolFailed as failed:
        if not answers.findings:
            return Outcome(state=State.UNANSWERED, about=f"the advisory service cannot be reached; {failed}")
    return _outcome(answers, total)


def _outcome(answers: Answers, total: int) -> Outcome:
    if answers.findings or not answers.unanswered:
        return judged(answers.findings, f"{total} versions of packages asked about")
    names = ", ".join(answers.unanswered[:5]) + (" ..." if len(answers.unanswered) > 5 else "")
    about = f"the advisory service knows nothing about {len(answers.unanswered)} of {total}: {names}"
    return Outcome(state=State.UNANSWERED, about=about)


def _by_version_count(locked: Iterable[Pin]) -> list[list[str]]:
    """Requirements in files' worth: pip-audit takes a package once a file, so its second version goes to the second."""
    layers: list[dict[str, str]] = []
    for pin in sorted({(pin.name, pin.version, pin.hashes) for pin in locked}):
        name, version, hashes = pin
        line = f"{name}=={version} " + " ".join(f"--hash=sha256:{digest}" for digest in hashes)
        if any(layer.get(name, "").startswith(f"{name}=={version} ") for layer in layers):
            continue  # another lock holds the same version, with the hashes of other files of it
        free = next((layer for layer in layers if name not in layer), None)
        if free is None:
            layers.append({name: line})
        else:
            free[name] = line
    return [list(layer.values()) for layer in layers]


def _ask(requirements: list[str], options: Sequence[str]) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        command = [audit_tool("pip-audit"), "--requirement", str(file), "--disable-pip", "--format=json", "--desc=off"]
        said = run([*command, "--progress-spinner=off", *options], answers=(0, 1))
    try:
        packages = json.loads(said)["dependencies"]
    except ValueError:  # it exits with 1 for a finding and for a service that is away alike
        raise ToolFailed("pip-audit gave no answer") from None
    findings = [_finding(package, found) for package in packages for found in package.get("vulns", [])]
    return Answers(findings=findings, unanswered=[package["name"] for package in packages if "vulns" not in package])


def _finding(package: dict[str, str], found: dict[str, list[str]]) -> str:
    fixed = ", ".join(found["fix_versions"]) or "no version yet"
    return f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"


def locked_packages(root: Path, files: Iterable[str]) -> list[Pin]:
    """The entries of all locks among `files` (paths from `root`)."""
    return [pin for name in files for pin in pins((root / name).read_text(encoding="utf-8"))]


def valid_today(ignored: Iterable[Ignored], today: datetime.date) -> list[Ignored]:
    """Those whose date has not come: from `until` on, the advisory counts again."""
    return [entry for entry in ignored if today < entry.until]

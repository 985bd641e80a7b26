"""The locks hold what they are for."""

from pathlib import Path

import pytest

from infra.supply_chain.locks import LOCK_NAME, LooseRequirement, Pin, check_locks, pins
from infra.supply_chain.outcomes import State
from infra.supply_chain.tools import ROOT, repository_files

LOCKS = [name for name in repository_files(ROOT) if LOCK_NAME.fullmatch(Path(name).name)]
ONE, TWO = "a" * 64, "b" * 64


def test_all_locks_are_looked_at() -> None:
    assert {
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-legacy.txt",
        "requirements-audit.txt",
        "infra/embedder/requirements.txt",
        "infra/supply_chain/requirements-uv.txt",
    } <= set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_of_a_lock_is_an_exact_version_with_hashes(name: str) -> None:
    entries = list(pins((ROOT / name).read_text()))
    assert entries
    assert all(entry.version and entry.hashes for entry in entries)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_list_that_it_is_compiled_from_beside_it(name: str) -> None:
    assert (ROOT / name).with_suffix(".in").exists()


def test_what_is_run_is_what_is_tested() -> None:
    run, tested = (
        {(pin.name, pin.version, pin.marker) for pin in pins((ROOT / name).read_text())}
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert {(name, version) for name, version, _ in run - tested} <= {(name, version) for name, version, _ in tested}


def test_an_entry_is_read_with_its_marker_and_all_hashes() -> None:
    lock = f"""
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
    # via
    #   -r requirements.in
Typing_Extensions==4.16.0 \\
    --hash=sha256:{ONE}
"""
    assert list(pins(lock)) == [
        Pin(name="numpy", version="2.4.6", marker="python_full_version < '3.12'", hashes=(ONE, TWO)),
        Pin(name="typing-extensions", version="4.16.0", marker="", hashes=(ONE,)),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        "flask",
        "flask==3.1.3",
        f"flask>=3 --hash=sha256:{ONE}",
        f"flask==3.* --hash=sha256:{ONE}",
        f"flask==3.1.3 --hash=md5:{'a' * 32}",
        f"flask==3.1.3 --hash=sha256:{ONE} --hash=sha1:{'a' * 40}",
        "flask==3.1.3 --no-binary",
        f"flask @ https://example.com/flask.whl --hash=sha256:{ONE}",
        "git+https://example.com/flask",
        "-e .",
        "-r requirements.in",
        "--index-url https://example.com/simple",
    ],
)
def test_an_entry_that_leaves_a_choice_is_refused(entry: str) -> None:
    with pytest.raises(LooseRequirement):
        list(pins(entry))


def test_the_audit_names_the_lock_that_is_loose(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"flask==3.1.3 --hash=sha256:{ONE}\n")
    (tmp_path / "requirements-dev.txt").write_text("pytest>=9\n")
    outcome = check_locks(tmp_path, ["requirements.txt", "requirements-dev.txt", "README.md"])
    assert outcome.state == State.FAILED
    assert outcome.findings == ("requirements-dev.txt: not pinned with SHA-256 hashes: pytest>=9",)

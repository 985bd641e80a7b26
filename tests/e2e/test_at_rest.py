"""A stolen disk: no file below DATA_DIR shows what a person said, was told, or is called."""

import subprocess
import sys
from pathlib import Path

import httpx

from tests.emulators import Emulator, emulator, environment

PERSONAL = ("Roswitha Quillfeather", "roswitha@quillfeather.example", "(415) 555-0123", "078-05-1120")
QUESTION = (
    "Applicant {}, {}, phone {}, SSN {}: how long is a UCC financing statement effective for her zeppelin?"
).format(*PERSONAL)
WORDS = ("Quillfeather", "quillfeather", "555-0123", "4155550123", "078-05-1120", "078051120", "zeppelin")


def ask(running: Emulator, session: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": '"once"'} if session is None else {}
    body = {"message": QUESTION, "agent": "knowledge"} | ({} if session is None else {"session_id": session})
    return httpx.post(f"{running.url}/api/query", json=body, headers=headers, timeout=30)


def found_in(folder: Path, words: tuple[str, ...]) -> dict[str, set[str]]:
    """Which of `words` each file holds, in the encodings that databases keep text in."""
    encodings = ("utf-8", "utf-16-le", "utf-16-be")
    held: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        inside = {word for word in words if any(word.encode(encoding) in content for encoding in encodings)}
        if inside:
            held[str(path.relative_to(folder))] = inside
    return held


def label_a_key(running: Emulator) -> None:
    command = [sys.executable, "-m", "local.loancheck", "keys", "create", "--role", "viewer", "--label", PERSONAL[0]]
    done = subprocess.run(
        command, cwd=running.cwd, env=environment(running.data), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_file_shows_what_was_asked_and_answered_nor_what_a_key_is_called(tmp_path: Path) -> None:
    with emulator(tmp_path) as running:
        first = ask(running)
        assert first.status_code == 200
        assert ask(running).headers["Idempotent-Replayed"] == "true"  # the kept answer opens again
        session = first.json()["session_id"]
        assert ask(running, session).status_code == 200  # and so does the history
        label_a_key(running)
        assert found_in(running.data, WORDS) == {}  # the write-ahead log included
        assert any("loan_collateral.db" in name for name in found_in(running.data, (session,)))
    assert found_in(running.data, WORDS) == {}
    assert any("loan_collateral.db" in name for name in found_in(running.data, (session,)))

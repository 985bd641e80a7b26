import json
import shlex

import pytest

from local.emulator import EXAMPLE_QUESTION, _is_loopback, welcome


def test_the_welcome_holds_one_command_that_a_shell_can_run() -> None:
    commands = [line for line in welcome("http://127.0.0.1:8123").splitlines() if "curl" in line]
    assert len(commands) == 1
    words = shlex.split(commands[0])
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8123/api/query"]
    assert json.loads(words[-1]) == {"message": EXAMPLE_QUESTION}


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_only_loopback_addresses_keep_other_machines_out(host: str, is_loopback: bool) -> None:
    assert _is_loopback(host) is is_loopback

import json
import shlex

from local.emulator import EXAMPLE_QUESTION, welcome


def test_the_welcome_holds_one_command_that_a_shell_can_run() -> None:
    commands = [line for line in welcome("http://127.0.0.1:8123").splitlines() if "curl" in line]
    assert len(commands) == 1
    words = shlex.split(commands[0])
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8123/api/query"]
    assert json.loads(words[-1]) == {"message": EXAMPLE_QUESTION}


def test_where_keys_are_needed_the_welcome_tells_how_to_make_one() -> None:
    said = welcome("http://192.0.2.1:8123", needs_key=True)
    assert "loancheck keys create --role analyst" in said
    command = next(line for line in said.splitlines() if "curl" in line)
    assert "X-API-Key: $LOANCHECK_KEY" in shlex.split(command)

import json

import pytest

from local.printable import on_one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\u001b[2Jb"),
        ("a\x9b31mb", r"a\u009b31mb"),
        ("done\rundone", r"done\rundone"),
        ("a\u202eb", r"a\u202eb"),
        ("\udcff.md", r"\udcff.md"),
        ("é\u00a0\tz\n", "é\u00a0\tz\n"),
    ],
)
def test_what_a_terminal_could_take_for_a_command_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_json_stays_the_same_json() -> None:
    text = json.dumps({"answer": "\x9b31m\u2028\x7f and \x1b"}, ensure_ascii=False)
    assert json.loads(printable(text)) == json.loads(text)


def test_a_title_cannot_make_a_line_of_its_own() -> None:
    assert on_one_line('A\n[2] B (evil): "x"') == 'A [2] B (evil): "x"'

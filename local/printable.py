"""What a terminal may be shown: a title or a file's name is chosen by others, and must not move its cursor."""

import json
import re

# C0 but for line ends and tabs, DEL, C1 (a terminal may take U+009B for ESC [), what sets the direction of writing, and
# halves of surrogate pairs, which stand for bytes of a name that are no UTF-8.
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with such characters written out, as in JSON: \\u001b. JSON stays the same JSON."""
    return _COMMANDS.sub(lambda found: json.dumps(found[0])[1:-1], text)


def on_one_line(text: str) -> str:
    """`printable`, with blanks for line ends: for a title, an id, a name among others."""
    return printable(" ".join(text.split("\n")))

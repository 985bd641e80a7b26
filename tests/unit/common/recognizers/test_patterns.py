import subprocess
import sys

import pytest

from common.recognizers.patterns import pattern


def test_a_pattern_does_what_the_compiled_one_does() -> None:
    words = pattern(r"[a-z]+(?P<digit>\d)")
    assert words.findall("a1 b2") == ["1", "2"]
    match = words.search("- c3")
    assert match is not None
    assert match["digit"] == "3"
    assert words.sub("", "d4!") == "!"
    assert words.groups == 1


def test_a_pattern_is_compiled_once_and_not_before_it_is_used() -> None:
    broken = pattern("(")
    with pytest.raises(Exception, match="missing \\)"):
        broken.search("x")
    whole = pattern("x")
    assert whole.search is whole.search


def test_recognisers_that_no_text_needed_are_not_imported() -> None:
    code = """
import sys
from common.pii import mask
assert mask("2026-03-01 10:15:30 INFO ready") == "2026-03-01 10:15:30 INFO ready"
print(*sorted(name for name in sys.modules if name.startswith("common.recognizers.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {name.rpartition(".")[2] for name in done.stdout.split()} <= {
        "gates", "label_words", "patterns", "secrets", "span"
    }  # fmt: skip

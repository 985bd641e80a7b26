import pytest

from common.pii import PiiKind
from tests.unit.common.recognizers.finding import found


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Write to jane.doe@example.com.", "jane.doe@example.com"),
        ("<jane+loans@mail.example.co.uk>", "jane+loans@mail.example.co.uk"),
        ("mailto:jane@example.com?subject=x", "jane@example.com"),
        ("'o'neil@example.ie'", "o'neil@example.ie"),
        ('Reply to "jane doe"@example.com', '"jane doe"@example.com'),
        ("jane@bücher.example", "jane@bücher.example"),
        ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
        ("пример@почта.рф", "пример@почта.рф"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ("email=jane%2Bx%40example.com&page=2", "jane%2Bx%40example.com"),
        (r'{"to": "jane\u0040example.com"}', r"jane\u0040example.com"),
        ("jane&#64;example.com", "jane&#64;example.com"),
        (r"first line\njane@example.com", "jane@example.com"),
        ("-jane@example.com", "jane@example.com"),
        ("jane [at] example [dot] com", "jane [at] example [dot] com"),
        ("jane(at)example.com", "jane(at)example.com"),
        ("write jane dot doe at example dot com", "jane dot doe at example dot com"),
        ("https://example.com/?email=jane@example.com", "jane@example.com"),
    ],
)
def test_an_address_is_found_without_what_stands_around_it(text: str, address: str) -> None:
    assert found(text, PiiKind.EMAIL) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "root@kernel",
        "lodash@4.17.21",
        "git@github.com:org/repo.git",
        "icon@2x.png",
        "getty@tty1.service",
        "https://user:word@db.example.com/x",
        '"@example.com',
        "@jane.doe said",
        "jane.@example.com",
        "meet me at noon",
        "jane (at) home",
        "\\t@example.com",
        "%@example.com",
    ],
)
def test_what_only_looks_like_an_address_is_left(text: str) -> None:
    assert found(text, PiiKind.EMAIL) == []


def test_a_spelled_name_has_four_words_at_most() -> None:
    assert found("one dot two dot three dot four dot five at example dot com", PiiKind.EMAIL) == [
        "two dot three dot four dot five at example dot com"
    ]


def test_addresses_that_touch_are_found_one_by_one() -> None:
    assert found("a@b.de,c@d.de;e@f.de", PiiKind.EMAIL) == ["a@b.de", "c@d.de", "e@f.de"]

import pytest

from common.notices.notice import MAX_LINES, MAX_SUBJECT, Notice, one_line

GIVEN = {"kind": "budget", "key": "budget:b1:0.9", "subject": "Budget at 90 %", "lines": ("One.", "", "Two.")}


def notice(**other: object) -> Notice:
    return Notice(**{**GIVEN, **other})  # type: ignore[arg-type]  # of any type, that is the test


def test_a_notice_reads_as_lines_and_a_link() -> None:
    assert notice(link="https://reports.example/1").body == "One.\n\nTwo.\n\nhttps://reports.example/1"
    assert notice().body == "One.\n\nTwo."


def test_its_id_goes_by_the_key_alone() -> None:
    assert notice().id == notice(subject="Another").id != notice(key="budget:b1:1.0").id
    assert len(notice().id) == 32


@pytest.mark.parametrize("broken", ["a\r\nBcc: x@example.com", "a\nb", "a\rb", "a\0b", "a\u2028b", "a\u202eb", ""])
@pytest.mark.parametrize("field", ["subject", "key", "kind", "link"])
def test_nothing_that_could_begin_another_line_or_header_gets_in(field: str, broken: str) -> None:
    with pytest.raises(ValueError, match="notice"):
        notice(**{field: broken})


def test_a_line_is_one_line() -> None:
    with pytest.raises(ValueError, match="notice"):
        notice(lines=("a\r\n.\r\nMAIL FROM:<x@example.com>",))


@pytest.mark.parametrize(
    "other",
    [{"subject": "a" * (MAX_SUBJECT + 1)}, {"lines": ("a",) * (MAX_LINES + 1)}, {"link": "javascript:alert(1)"}],
)
def test_what_is_too_long_or_no_address_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="notice"):
        notice(**other)


def test_a_text_from_elsewhere_is_made_fit() -> None:
    assert one_line("  prod\r\nBcc: x\u2029 budget ", 100) == "prod Bcc: x budget"
    assert one_line("abc def", 4) == "abc"

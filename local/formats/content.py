"""What a reader makes of a file, and how it says that it cannot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


class Unreadable(Exception):
    """A file that gives no document. Its message is the reason, in words for the person who named the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file's text with headings as `#` lines, and what the file says about itself; None where it is silent."""

    text: str
    title: str | None = None
    source: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def too_large(limit: int) -> Unreadable:
    return Unreadable(f"too large: more than {limit:,} characters of text")


def one_line(text: str) -> str:
    return " ".join(text.split())


def not_a_heading(text: str) -> str:
    """`text` escaped as Markdown does it, where it would read as a heading: "# of units" is no heading."""
    return re.sub(r"^(?=#{1,6}\s)", r"\\", text, flags=re.MULTILINE)


_FILE_NAME = re.compile(r"\.(docx?|pdf|rtf|odt|txt|indd|tex|dvi|pptx?|xlsx?|html?)$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"(untitled|document|title|word document|powerpoint presentation)[\s\d]*", re.IGNORECASE)


def sensible_title(title: object) -> str | None:
    """A title from a file's properties, or None where a program left a file name or a placeholder there."""
    words = one_line(str(title or "")).removeprefix("Microsoft Word - ")
    if not words or len(words) > 300 or _FILE_NAME.search(words) or _PLACEHOLDER.fullmatch(words):
        return None
    return words

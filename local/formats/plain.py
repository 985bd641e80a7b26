"""Markdown and plain text, kept as they are."""

import codecs
import re
from datetime import date, datetime
from pathlib import Path

from local.formats.content import Content, Unreadable, one_line, too_large

_FENCES = ("```", "~~~")
_MARKED = re.compile(r"#{1,6}[ \t]")
_CLOSING_MARKS = re.compile(r"[ \t]#+[ \t]*$")
_TITLE_CHARACTERS = 500
_UNDERLINE = re.compile(r"(=+|-{3,})[ \t]*")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(?P<yaml>(?:(?!---[ \t]*$)[^\n]*\n){0,60}?)---[ \t]*(?:\n|\Z)", re.MULTILINE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def read_bytes(path: Path, limit: int) -> bytes:
    """The file, of at most `limit` characters: UTF-8 takes up to four bytes for one.

    Raises:
        Unreadable: it is larger.
        OSError: no such file, no permission, a loop of links.
    """
    with path.open("rb") as file:
        raw = file.read(4 * limit + 1)
    if len(raw) > 4 * limit:
        raise too_large(limit)
    return raw


def decode(raw: bytes, encoding: str = "utf-8") -> str:
    """`raw` as text with plain line ends; a byte order mark (UTF-8, UTF-16) decides over `encoding`.

    Raises:
        Unreadable: other bytes than text in that encoding.
    """
    for mark, marked in _BOMS:
        if raw.startswith(mark):
            raw, encoding = raw[len(mark) :], marked
            break
    if b"\0" in raw and not encoding.startswith("utf-16"):
        raise Unreadable("binary, not text")
    try:
        text = raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise Unreadable(f"not {encoding.upper()} text") from None
    if "\0" in text:
        raise Unreadable("binary, not text")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")


def read_plain(path: Path, limit: int) -> Content:
    text = decode(read_bytes(path, limit))
    return Content(text=text, title=first_heading(text))


def read_markdown(path: Path, limit: int) -> Content:
    """Markdown; front matter between `---` lines may give title, source and any other plain value.

    Raises:
        Unreadable: also for front matter that is no YAML.
    """
    text = decode(read_bytes(path, limit))
    front = _FRONT_MATTER.match(text)
    fields = _fields(front["yaml"]) if front else None
    if front is None or fields is None:
        return Content(text=text, title=first_heading(text))
    body = text[front.end() :]
    title = fields.pop("title", None) or first_heading(body)
    return Content(text=body, title=title, source=fields.pop("source", None), metadata=fields)


def first_heading(text: str) -> str | None:
    """The first Markdown heading outside fenced code, without its markup."""
    fence = before = ""
    for line in text.split("\n"):
        if fence or line.startswith(_FENCES):
            fence = "" if fence and line.startswith(fence) else fence or line[:3]
            before = ""
            continue
        found = _heading_in(before, line)
        if found:
            return found
        before = line
    return None


def _heading_in(before: str, line: str) -> str | None:
    """The heading that `line` is, or that it underlines in the line before it."""
    if _MARKED.match(line):
        words = _CLOSING_MARKS.sub("", line.lstrip("#")[:_TITLE_CHARACTERS])
    elif _UNDERLINE.fullmatch(line) and before.strip():
        words = before[:_TITLE_CHARACTERS]
    else:
        return None
    words = re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", words)
    return one_line(re.sub(r"[*_`]+(?=\w)|(?<=[\w.,!?)])[*_`]+", "", words)) or None


def _fields(source: str) -> dict[str, str] | None:
    """Front matter's plain values as text, or None where the lines between the rules are prose."""
    import yaml

    try:
        loaded = yaml.safe_load(source)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        raise Unreadable(f"its front matter is no valid YAML{where}") from None
    if not isinstance(loaded, dict):
        return None
    return {str(name).strip().lower(): _value(str(name), value) for name, value in loaded.items() if value is not None}


def _value(name: str, value: object) -> str:
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value)
    if isinstance(value, str | int | float | date | datetime):
        return one_line(str(value))
    raise Unreadable(f"its front matter's {name[:40]!r} is no plain value")

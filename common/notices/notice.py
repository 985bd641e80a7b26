"""A notice: a few lines to people about something that they asked to be told, such as a budget that is nearly spent."""

from dataclasses import dataclass
from hashlib import sha256

MAX_KEY = 200  # characters, as the table has it
MAX_KIND = 32
MAX_SUBJECT = 160
MAX_LINES = 60
MAX_LINE = 1_000
MAX_LINK = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """`key` names what happened, as in "report:2026-11": a notice whose key was put before is never sent.

    `kind` is a short name from our own code. Subject and lines hold no personal data, and each is one line: what would
    begin another one in a mail's header is refused here, for every channel.

    Raises:
        ValueError: one of them is empty, too long, or holds a line break or another control character.
    """

    kind: str
    key: str
    subject: str
    lines: tuple[str, ...]
    link: str | None = None

    def __post_init__(self) -> None:
        _check("kind", self.kind, MAX_KIND)
        _check("key", self.key, MAX_KEY)
        _check("subject", self.subject, MAX_SUBJECT)
        if len(self.lines) > MAX_LINES:
            raise ValueError(f"a notice has at most {MAX_LINES} lines")
        for line in self.lines:
            if line:  # an empty one sets paragraphs apart
                _check("line", line, MAX_LINE)
        if self.link is not None:
            _check("link", self.link, MAX_LINK)
            if not self.link.startswith(("https://", "http://", "file:///", "gs://", "s3://", "/")):
                raise ValueError("a notice's link is an address or a path")

    @property
    def id(self) -> str:
        """32 hexadecimal digits of the key: the same each time it is sent, so that receivers can tell it again."""
        return sha256(self.key.encode()).hexdigest()[:32]

    @property
    def body(self) -> str:
        """Lines and link as plain text."""
        return "\n".join((*self.lines, *(("", self.link) if self.link is not None else ())))


def one_line(text: str, most: int) -> str:
    """`text` from elsewhere, such as a budget's name, fit for a notice: without control characters, cut to `most`."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:most].rstrip()


def _check(name: str, text: str, most: int) -> None:
    if not 0 < len(text) <= most or not text.isprintable():
        raise ValueError(f"a notice's {name} is 1 to {most} printable characters on one line")

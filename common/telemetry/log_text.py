"""Whatever somebody logs, as text that may go out: masked, bounded, and never raising."""

import re
import traceback
from collections.abc import Callable
from types import TracebackType
from urllib.parse import unquote, unquote_plus

from common.telemetry import log_counts

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

MAX_MESSAGE = 16_384  # characters of a message
MAX_TRACEBACK = 32_768
MAX_FIELD = 4_096  # characters of a text in one of our own fields
# Masking sees this much more than is kept, so that nothing that begins in the kept part is cut before it is known:
# longer than a private key in PEM.
LOOKAHEAD = 8_192

_URL_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_WITHHELD = "[left out: could not be masked]"


class Cleaner:
    """Makes things fit to be logged, with a masking of texts and one of any value, such as those of `common.pii` and
    `common.masking`."""

    def __init__(self, mask: Callable[[str], str], mask_value: Callable[[object], object]) -> None:
        self._mask = mask
        self._mask_value = mask_value

    def text(self, text: str, limit: int) -> str:
        """`text` masked, at most `limit` characters of it; a note says how long it was."""
        size = len(text)
        if size <= limit:
            return self._masked(text)
        window = self._masked(text[: limit + LOOKAHEAD])
        if size > limit + LOOKAHEAD:  # its end may be half of something: not known for what it is, so not shown
            window = window[: max(0, len(window) - LOOKAHEAD)]
        return f"{window[:limit]}... [cut: {size:,} characters]"

    def named(self, name: str, value: object) -> object:
        """`value` masked, read beside its name: nine digits are a Social Security number where `ssn` stands before."""
        try:
            masked = self._mask_value({name: value})
            return next(iter(masked.values())) if isinstance(masked, dict) else masked
        except Exception:  # noqa: BLE001  # what cannot be masked must not go out
            log_counts.failed("masking")
            return _WITHHELD

    def traceback(self, exc_info: ExcInfo) -> str:
        """The traceback with causes, contexts, groups and notes."""
        try:
            lines = traceback.format_exception(*exc_info)
        except Exception:  # noqa: BLE001  # an exception may be made of anything
            log_counts.failed("traceback")
            lines = [f"{exc_info[0].__name__}\n"]
        return self.text("".join(lines).rstrip("\n"), MAX_TRACEBACK)

    def _masked(self, text: str) -> str:
        try:
            if not text.isascii():  # lone surrogates, which no encoding takes, become escapes
                text = text.encode(errors="backslashreplace").decode()
            masked = self._mask(text)
            if _URL_ENCODED.search(masked):
                for decode in (unquote, unquote_plus):  # a plus may be a space, or a part of a secret
                    decoded = decode(masked)
                    again = self._mask(decoded)
                    masked = masked if again == decoded else again
        except Exception:  # noqa: BLE001  # what cannot be masked must not go out
            log_counts.failed("masking")
            return _WITHHELD
        return masked


def text_of(value: object) -> str:
    """`value` as text, whatever it is; never raises."""
    try:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value[: MAX_MESSAGE + LOOKAHEAD]).decode("utf-8", "backslashreplace")
        return str(value)
    except Exception:  # noqa: BLE001  # somebody's own __str__
        log_counts.failed("unprintable")
        return f"<unprintable {type(value).__name__}>"

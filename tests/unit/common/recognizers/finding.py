"""What the tests of recognisers share: the texts that are found, by kind."""

from common.pii import PiiKind, PiiSpan, detect
from common.recognizers import gates, secrets


def found(text: str, kind: PiiKind) -> list[str]:
    """The parts of `text` that are found to be of `kind`."""
    return [text[span.start : span.end] for span in detect(text) if span.kind is kind]


def secrets_in(text: str) -> list[PiiSpan]:
    """What the recogniser of secrets alone finds: overlapping, in no order."""
    return secrets.find(text, gates.lower(text))

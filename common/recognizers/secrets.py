"""Secrets of any form: known keys, private keys, headers, URLs with passwords, `name = value`, commands, code.

Most lines hold none, so each form stands behind a test that most lines fail: a stem of a telling name with a sign
behind it, an `@`, an option, a quoted argument, a run of characters as long as a key.
"""

from common.recognizers import (
    assigned_secrets,
    auth_headers,
    call_secrets,
    command_secrets,
    known_secrets,
    private_keys,
    unnamed_secrets,
    url_credentials,
)
from common.recognizers.span import PiiSpan

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def find(text: str) -> list[PiiSpan]:
    """Values that are secrets, in no order; finds of different forms may overlap. Pure; linear in `text`'s length."""
    lowered = text.lower()
    if len(lowered) != len(text):  # "İ" becomes two characters
        lowered = text.translate(_ASCII_LOWER)
    found: list[PiiSpan] = []
    if assigned_secrets.may_hold(lowered):
        found += assigned_secrets.find(text, lowered)
        found += auth_headers.find(text, lowered)
        if "PRIVATE KEY" in text:
            found += private_keys.find(text)
    if "@" in text or "%40" in text:
        found += url_credentials.find(text)
    if command_secrets.may_hold(text):
        found += command_secrets.find(text)
    if call_secrets.may_call(text):
        found += call_secrets.find(text, lowered)
    runs = known_secrets.long_runs(text)
    if runs:
        found += _in_runs(text, lowered, runs)
    if "$" in text or ":A" in text or "hook" in lowered:
        found += known_secrets.find_joined(text)
    if "identified" in lowered or "securestring" in lowered:
        found += call_secrets.find_worded(text, lowered)
    return found


def _in_runs(text: str, lowered: str, runs: list[str]) -> list[PiiSpan]:
    """What only long words can hold."""
    found = known_secrets.find(text, runs)
    if unnamed_secrets.may_be(runs):
        found += unnamed_secrets.find(text, lowered)
    if "MII" in text or "MHcC" in text or "b3BlbnNz" in text:
        found += private_keys.find_headless(text)
    return found

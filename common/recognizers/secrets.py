"""Secrets of any form: known keys, private keys, headers, URLs with passwords, `name = value`, commands, code.

Most lines hold none, so each form stands behind a test that most lines fail: a stem of a telling name with a sign
behind it, an `@`, an option, a quoted argument, a run of characters as long as a key.
"""

from common.recognizers import gates
from common.recognizers.span import PiiSpan


def find(text: str, lowered: str) -> list[PiiSpan]:
    """Values that are secrets, in no order; finds of different forms may overlap. Pure; linear in `text`'s length.

    `lowered` is `text` in lower case and of the same length.
    """
    found: list[PiiSpan] = []
    if gates.may_hold_names_of_secrets(lowered):
        found += _named(text, lowered)
    if "@" in text or "%40" in text:
        from common.recognizers import url_credentials

        found += url_credentials.find(text)
    if gates.may_hold_options(text):
        from common.recognizers import command_secrets

        found += command_secrets.find(text)
    if gates.may_hold_calls(text):
        from common.recognizers import call_secrets

        found += call_secrets.find(text, lowered)
    runs = gates.long_runs(text)
    if runs:
        found += _in_runs(text, lowered, runs)
    if "$" in text or ":A" in text or "hook" in lowered:
        from common.recognizers import known_secrets

        found += known_secrets.find_joined(text)
    if "identified" in lowered or "securestring" in lowered:
        from common.recognizers import call_secrets

        found += call_secrets.find_worded(text, lowered)
    return found


def _named(text: str, lowered: str) -> list[PiiSpan]:
    """What a name or a header gives away."""
    from common.recognizers import assigned_secrets, auth_headers, private_keys

    found = [*assigned_secrets.find(text, lowered), *auth_headers.find(text, lowered)]
    if "PRIVATE KEY" in text:
        found += private_keys.find(text)
    return found


def _in_runs(text: str, lowered: str, runs: list[str]) -> list[PiiSpan]:
    """What only long words can hold."""
    from common.recognizers import known_secrets, unnamed_secrets

    found = known_secrets.find(text, runs)
    if unnamed_secrets.may_hold(text, runs):
        found += unnamed_secrets.find(text, lowered)
    if "MII" in text or "MHcC" in text or "b3BlbnNz" in text:
        from common.recognizers import private_keys

        found += private_keys.find_headless(text)
    return found

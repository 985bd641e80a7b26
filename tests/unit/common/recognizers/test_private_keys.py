"""Private keys in PEM, whole or cut; certificates and public keys are none. The bodies are made up."""

import pytest

from tests.unit.common.recognizers.finding import secrets_in

DASHES = "-" * 5
BODY = "MIIE" + "vQIBADANBgkqhkiG9w0BAQEFAASC" + "aB3dE5gH" * 4
LINES = "\n".join([BODY] * 4)


def begin(kind: str) -> str:
    return f"{DASHES}BEGIN {kind}{DASHES}"


def end(kind: str) -> str:
    return f"{DASHES}END {kind}{DASHES}"


@pytest.mark.parametrize(
    "kind", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
)
def test_a_whole_block_is_one_secret(kind: str) -> None:
    block = f"{begin(kind)}\nProc-Type: 4,ENCRYPTED\n\n{LINES}\n{end(kind)}"
    spans = [(span.start, span.end) for span in secrets_in(f"a {block} b")]
    assert (2, 2 + len(block)) in spans


def test_a_block_on_one_line_of_json_is_found() -> None:
    block = f"{begin('PRIVATE KEY')}\\n{BODY}\\n{BODY}\\n{end('PRIVATE KEY')}\\n"
    spans = [(span.start, span.end) for span in secrets_in(f'{{"private_key": "{block}"}}')]
    assert any(start <= 17 and stop >= 17 + len(block) - 2 for start, stop in spans)


@pytest.mark.parametrize("line_break", ["\n", "\\n"])
def test_a_block_that_is_cut_off_is_covered_to_its_end(line_break: str) -> None:
    cut = line_break.join([begin("RSA PRIVATE KEY"), BODY, BODY, BODY[:20]])
    text = f"{cut} and more"
    (span,) = [span for span in secrets_in(text) if span.start == 0]
    assert span.end == len(cut)


def test_a_begin_alone_is_covered() -> None:
    text = f"{begin('PRIVATE KEY')} is missing"
    assert [(span.start, span.end) for span in secrets_in(text)] == [(0, len(begin("PRIVATE KEY")))]


def test_a_body_without_its_first_line_is_found() -> None:
    text = f"x\n{LINES}\ny"
    assert [(span.start, span.end) for span in secrets_in(text)] == [(2, len(text) - 2)]


@pytest.mark.parametrize("kind", ["CERTIFICATE", "PUBLIC KEY", "CERTIFICATE REQUEST"])
def test_certificates_and_public_keys_are_left(kind: str) -> None:
    assert secrets_in(f"{begin(kind)}\nMIIDXTCCAkWgAwIBAgIJAJC1HiIAZAiI\n{end(kind)}") == []

"""detect-secrets over a repository: a planted key is found, an invented one in a test can be allowed."""

from pathlib import Path

import pytest

from infra.supply_chain.outcomes import State
from infra.supply_chain.secret_scan import ALLOWED, Allowed, InvalidAllowed, check_secrets, line_hash, read_allowed

# Put together here, so that this file holds none.
AWS_KEY = "AKIA" + "Z7Q4MX2PLKD8W3RV"
GITHUB_TOKEN = "ghp_" + "x7Kp2QmV9sLd4RtY8wBn3ZcF6hJg1TaE5uOi"
PRIVATE_KEY = "-----BEGIN " + "PRIVATE KEY-----"
PASSWORD = 'password = "' + 'correct-horse-battery"'

pytestmark = pytest.mark.usefixtures("audit_tools")


def plant(repository: Path, name: str, line: str) -> None:
    file = repository / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"first line\n{line}\n")


@pytest.mark.parametrize("name", ["common/llm/keys.py", "docs/guide.md", ".env.example", "tests/unit/test_keys.py"])
@pytest.mark.parametrize(("secret", "kind"), [(AWS_KEY, "AWS Access Key"), (GITHUB_TOKEN, "GitHub Token")])
def test_a_planted_key_is_found_in_every_kind_of_file_and_not_shown(
    repository: Path, name: str, secret: str, kind: str
) -> None:
    plant(repository, name, f'KEY = "{secret}"')
    outcome = check_secrets(repository, [])
    assert outcome.state == State.FAILED
    assert any(finding.startswith(f"{name}:2: {kind}, line sha256:") for finding in outcome.findings)
    assert secret not in str(outcome)


def test_a_private_key_is_found_in_a_test_too(repository: Path) -> None:
    plant(repository, "tests/data/server.pem", PRIVATE_KEY)
    assert "Private Key" in str(check_secrets(repository, []).findings)


def test_what_only_looks_like_a_password_is_found_in_the_product_and_not_in_tests(repository: Path) -> None:
    plant(repository, "common/mail.py", PASSWORD)
    plant(repository, "tests/unit/test_mail.py", PASSWORD)
    (finding,) = check_secrets(repository, []).findings
    assert finding.startswith("common/mail.py:2: Secret Keyword")


def test_a_line_can_say_that_it_holds_no_secret(repository: Path) -> None:
    plant(repository, "tests/unit/test_keys.py", f'KEY = "{AWS_KEY}"  # pragma: allowlist secret')
    assert check_secrets(repository, []).state == State.PASSED


def test_an_entry_allows_one_line_of_one_file(repository: Path) -> None:
    plant(repository, "tests/tokens.txt", GITHUB_TOKEN)
    allowed = Allowed(path="tests/tokens.txt", line=line_hash(GITHUB_TOKEN), reason="Made up.")
    assert check_secrets(repository, [allowed]).state == State.PASSED
    plant(repository, "tests/others.txt", GITHUB_TOKEN)
    (finding,) = check_secrets(repository, [allowed]).findings
    assert finding.startswith("tests/others.txt:2: GitHub Token")


def test_an_allowed_token_does_not_allow_another_of_its_kind(repository: Path) -> None:
    plant(repository, "tests/tokens.txt", GITHUB_TOKEN.swapcase().replace("GHP", "ghp"))
    allowed = Allowed(path="tests/tokens.txt", line=line_hash(GITHUB_TOKEN), reason="Made up.")
    assert any("GitHub Token" in finding for finding in check_secrets(repository, [allowed]).findings)


def test_an_entry_that_nothing_matches_any_more_fails(repository: Path) -> None:
    plant(repository, "README.md", "nothing")
    outcome = check_secrets(repository, [Allowed(path="README.md", line="sha256:00", reason="An example.")])
    assert outcome.findings == ("secrets.toml: nothing in README.md matches sha256:00 any more (An example.)",)


def test_what_git_ignores_is_not_looked_at(repository: Path) -> None:
    plant(repository, ".env", AWS_KEY)
    (repository / ".gitignore").write_text(".env\n")
    assert check_secrets(repository, []).state == State.PASSED


def test_every_allowed_line_has_a_reason() -> None:
    assert all(entry.reason for entry in read_allowed(ALLOWED.read_text()))


@pytest.mark.parametrize(
    "entry",
    [
        'path = "README.md"\nline = "sha256:00"',
        'path = "README.md"\nline = "sha256:00"\nreason = "no"',
        'path = "README.md"\nreason = "An example of AWS."',
        'line = "sha256:00"\nreason = "An example of AWS."',
        'path = "README.md"\nline = "sha256:00"\nreason = "An example of AWS."\nforever = true',
    ],
)
def test_an_allowed_line_without_a_reason_is_refused(entry: str) -> None:
    with pytest.raises(InvalidAllowed, match="entry 1"):
        read_allowed(f"[[allowed]]\n{entry}\n")

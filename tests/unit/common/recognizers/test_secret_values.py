"""Which values can be secrets at all."""

import pytest

from common.recognizers import secret_values
from common.recognizers.secret_names import Evidence

RANDOM = "aB3dE5gH" + "7jK9mN1pQ3sT"


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "null",
            "None",
            "<your-key>",
            "${KEY}",
            "$KEY",
            "{{ key }}",
            "%s",
            "%KEY%",
            "xxxxxxxx",
            "********",
            "[SECRET]",
        ),
        *(
            "your-api-key",
            "YOUR_KEY_HERE",
            "{token}",
            "sk-...",
            "changeme",
            "#dcdccc",
            "!vault |",
            "op://vault/x",
            "Password:",
        ),
    ],
)
def test_placeholders(value: str) -> None:
    assert secret_values.is_placeholder(value)
    assert not secret_values.is_secret(value, Evidence.PASSWORD, quoted=True)


@pytest.mark.parametrize("value", ["hunter2", "{SSHA}abcdEFGH", "p@ss,w0rd", "letmein", "$ecret1!"])
def test_literals_are_no_placeholders(value: str) -> None:
    assert secret_values.is_secret(value, Evidence.PASSWORD, quoted=True)


@pytest.mark.parametrize(
    "value", ["self.token", "getpass()", "os.environ[x]", "user_password", "Token{9f4ef63", "a->b"]
)
def test_code_without_quotes_is_a_reference(value: str) -> None:
    assert secret_values.is_reference(value)
    assert not secret_values.is_secret(value, Evidence.PASSWORD, quoted=False)


@pytest.mark.parametrize(
    "value", ["/etc/ssl/key.pem", "~/.aws/credentials.json", "https://x", "com.android.settings", "1.2.3"]
)
def test_paths_and_versions_are_no_secrets(value: str) -> None:
    assert secret_values.is_path(value)


@pytest.mark.parametrize(
    ("value", "is_random"),
    [
        (RANDOM, True),
        ("getUserNameFromTheToken2", False),
        ("1234567890123456789012", False),
        ("2024-01-02T10:11:12Z0a1b", False),
        ("a1a1a1a1a1a1a1a1a1a1a1", False),
        ("0 1a 2B 3c 4D 5e 6F 7g", False),
        ("short1A", False),
        ("v2/models/Bert3/weights7.bin", False),
    ],
)
def test_random_is_what_no_word_date_or_number_is(value: str, is_random: bool) -> None:
    assert secret_values.looks_random(value) is is_random


@pytest.mark.parametrize(
    ("value", "name", "quoted", "is_secret"),
    [
        ("123456", Evidence.PASSWORD, False, True),
        ("ab", Evidence.PASSWORD, True, False),
        ("Enter your password", Evidence.PASSWORD, True, False),
        ("db_password", Evidence.PASSWORD, True, False),
        ("123456", Evidence.DIGITS, False, True),
        ("12", Evidence.DIGITS, False, False),
        ("512", Evidence.TOKEN, False, False),
        ("expired-token", Evidence.TOKEN, True, False),
        ("supersecret", Evidence.SECRET, True, True),
        ("supersecret", Evidence.SECRET, False, False),
        (RANDOM, Evidence.WEAK, False, True),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", Evidence.WEAK, True, False),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", Evidence.SESSION, True, True),
        ("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", Evidence.SESSION, True, False),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", Evidence.TOKEN, True, True),
    ],
)
def test_the_name_says_what_the_value_must_be(value: str, name: Evidence, quoted: bool, is_secret: bool) -> None:
    assert secret_values.is_secret(value, name, quoted=quoted) is is_secret

"""What names say about their values: the last word decides."""

import pytest

from common.recognizers.secret_names import Evidence, evidence, is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "db-password",
            "spring.datasource.password",
            "passwd",
            "pwd",
            "PGPASSWORD",
        ),
        *(
            "userPasswordConfirm",
            "password2",
            "sshpass",
            "db_pass",
            "passphrase",
            "pass_phrase",
            "пароль",
            "パスワード",
        ),
        *(
            "secret",
            "clientSecret",
            "SECRET_KEY",
            "jwt_secret",
            "token",
            "accessToken",
            "authtoken",
            "apiKey",
            "x-api-key",
        ),
        *(
            "AWS_SECRET_ACCESS_KEY",
            "private_key",
            "signingKey",
            "API_KEY_PROD",
            "credentials",
            "Authorization",
            "Cookie",
        ),
        *("secret_id", "pin", "otp", "verification_code"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "tokenizer",
            "token_count",
            "tokenType",
            "next_token",
            "nextPageToken",
            "secretary",
            "passport",
        ),
        *("password_reset_at", "passwordPolicy", "cacheKey", "public_key", "PublicKeyToken", "keyboard"),
        *(
            "compass",
            "author",
            "authority",
            "signal",
            "client_id",
            "key_path",
            "secretName",
            "ssl_session_id",
            "",
            "___",
            "é",
        ),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert evidence(name) is Evidence.NONE


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("key", Evidence.WEAK),
        ("max_tokens", Evidence.WEAK),
        ("primary_key", Evidence.WEAK),
        ("auth", Evidence.WEAK),
        ("maskey", Evidence.WEAK),
        ("session_id", Evidence.SESSION),
        ("JSESSIONID", Evidence.SESSION),
        ("sessionid", Evidence.SESSION),
        ("signature", Evidence.SESSION),
        ("XPass", Evidence.SECRET),
    ],
)
def test_names_that_need_a_random_value(name: str, what: Evidence) -> None:
    assert evidence(name) is what

from pathlib import Path

import pytest

from common.notices.channels import LogChannel, channels_for
from common.notices.targets import EmailTarget, check_targets, email_target, webhook_target
from common.settings import InvalidSettings, Settings, load_settings
from tests.instance import instance

MAIL = {"notice_email_to": "desk@example.com", "smtp_url": "smtp://mail.example.com"}
HOOK = {"notice_webhook_url": "https://hooks.example.com/T0/B1"}
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="  # pragma: allowlist secret


def given(**settings: str) -> Settings:
    return load_settings(**settings)


def email(**settings: str) -> EmailTarget:
    target = email_target(given(**{**MAIL, **settings}))
    assert target is not None
    return target


def test_without_settings_notices_are_log_lines() -> None:
    (channel,) = channels_for(given())
    assert isinstance(channel, LogChannel)


def test_mail_and_webhook_both_get_them_where_both_are_set() -> None:
    assert [channel.name for channel in channels_for(given(**MAIL, **HOOK))] == ["email", "webhook"]


@pytest.mark.parametrize(
    ("url", "host", "port", "protection"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://mail.example.com:2525", "mail.example.com", 2525, "starttls"),
        ("smtps://mail.example.com", "mail.example.com", 465, "implicit"),
        ("smtps://127.0.0.1", "127.0.0.1", 465, "implicit"),
        ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, "plain"),
        ("smtp://[::1]:1025", "::1", 1025, "plain"),
        ("smtp://localhost:1025", "localhost", 1025, "plain"),
        ("smtp://127.0.0.1.example.com", "127.0.0.1.example.com", 587, "starttls"),
    ],
)
def test_the_servers_url_says_how_it_is_reached(url: str, host: str, port: int, protection: str) -> None:
    target = email(smtp_url=url)
    assert (target.host, target.port, target.protection) == (host, port, protection)


def test_user_and_password_may_hold_what_a_url_may_not() -> None:
    target = email(smtp_url="smtps://desk%40example.com:p%3Aw%2F1@mail.example.com")  # pragma: allowlist secret
    assert (target.user, target.password) == ("desk@example.com", "p:w/1")
    assert "p:w/1" not in repr(target)


def test_several_addresses_and_a_sender_of_its_own() -> None:
    target = email(notice_email_to="a@example.com, b@example.com", notice_email_from="bot@example.com")
    assert (target.recipients, target.sender) == (("a@example.com", "b@example.com"), "bot@example.com")
    assert email().sender == "desk@example.com"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("notice_email_to", "desk"),
        ("notice_email_to", "Desk <desk@example.com>"),
        ("notice_email_to", "a@example.com\r\nBcc: b@example.com"),
        ("notice_email_to", "a@example.com b@example.com"),
        ("notice_email_to", ","),
        ("notice_email_to", ",".join(f"a{n}@example.com" for n in range(21))),
        ("notice_email_from", "bot@example.com\nX: y"),
        ("notice_email_from", "bot"),
        ("smtp_url", "mail.example.com:587"),
        ("smtp_url", "http://mail.example.com"),
        ("smtp_url", "smtp://"),
        ("smtp_url", "smtp://mail.example.com:99999"),
        ("smtp_url", "smtp://mail.example.com:0"),
        ("smtp_url", "smtp://mail.example.com/inbox"),
        ("smtp_url", "smtp://user@mail.example.com"),
        ("smtp_url", "smtp://us%0D%0Aer:pw@mail.example.com"),  # pragma: allowlist secret
        ("smtp_url", "smtp://[mail.example.com"),
    ],
)
def test_what_cannot_be_a_mail_setting_is_named_and_its_value_is_not(setting: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^{setting.upper()}: ") as refusal:
        email(**{setting: value})
    assert value == "," or value not in str(refusal.value)


def test_addresses_need_a_server() -> None:
    with pytest.raises(InvalidSettings, match=r"^SMTP_URL: "):
        email_target(given(notice_email_to="desk@example.com"))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/T0",
        "http://127.0.0.1.example.com/T0",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "https://user:pw@hooks.example.com/",  # pragma: allowlist secret
        "https:///T0",
        "https://hooks.example.com:x/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/a\nb",
    ],
)
def test_a_webhook_is_https_and_nothing_else(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^NOTICE_WEBHOOK_URL: ") as refusal:
        webhook_target(given(notice_webhook_url=url))
    assert url not in str(refusal.value)


def test_on_this_machine_it_may_be_http() -> None:
    target = webhook_target(given(notice_webhook_url="http://127.0.0.1:9/hook"))
    assert target is not None
    assert (target.url, target.secret) == ("http://127.0.0.1:9/hook", None)


@pytest.mark.parametrize(("text", "secret"), [(SECRET, b"0123456789abcdef"), ("0123456789abcdef", b"0123456789abcdef")])
def test_a_secret_is_a_text_or_as_standard_webhooks_writes_it(text: str, secret: bytes) -> None:
    target = webhook_target(given(**HOOK, notice_webhook_secret=text))
    assert target is not None
    assert target.secret == secret
    assert "0123456789abcdef" not in repr(target)
    assert "T0" not in repr(target)


@pytest.mark.parametrize("text", ["short", "whsec_c2hvcnQ=", "whsec_%%%"])
def test_a_secret_that_protects_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^NOTICE_WEBHOOK_SECRET: "):
        webhook_target(given(**HOOK, notice_webhook_secret=text))


def test_a_function_names_an_unusable_setting_at_its_start(tmp_path: Path) -> None:
    with instance(tmp_path, NOTICE_WEBHOOK_URL="http://hooks.example.com"), pytest.raises(InvalidSettings):
        check_targets()
    with instance(tmp_path):
        check_targets()

"""The settings: where they come from, how each kind is read, and what is said of those that cannot be used."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Never

import pytest

from common.setting_values import Described, Secret, Setting, setting
from common.settings import SETTINGS, InvalidSettings, Settings, load_settings, settings


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env`, and none of our variables."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.lower() in SETTINGS:
            monkeypatch.delenv(name)


def refused(**given: object) -> str:
    with pytest.raises(InvalidSettings) as refusal:
        load_settings(**given)
    return str(refusal.value)


def test_without_anything_given_every_setting_has_its_default() -> None:
    assert vars(load_settings()) == {name: one.default for name, one in SETTINGS.items()}


def test_an_override_goes_before_the_environment_and_that_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=1\nSERVICE_NAME=file\nCHAT_MODEL=file\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("SERVICE_NAME", "environment")
    found = load_settings(port=3)
    assert (found.port, found.service_name, found.chat_model) == (3, "environment", "file")


def test_what_is_empty_is_as_good_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=1\nHOST=\nLOG_FILE\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "")
    found = load_settings()
    assert (found.port, found.host, found.log_file) == (1, "127.0.0.1", None)


def test_the_file_may_quote_comment_and_refer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "europe-west1")
    Path(".env").write_text(
        "# of this desk\nexport SERVICE_NAME='the desk'\nVERTEX_LOCATION=${REGION}\nCHAT_MODEL=a # cheap\nOTHER=1\n",
        encoding="utf-8",
    )
    found = load_settings()
    assert (found.service_name, found.vertex_location, found.chat_model) == ("the desk", "europe-west1", "a")


def test_a_folder_called_env_is_no_file_of_settings() -> None:
    Path(".env").mkdir()
    assert load_settings().port == 8000


def test_a_file_that_is_no_text_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_bytes(b"GEMINI_API_KEY=hunter2\xff")
    assert refused() == ".env: is no UTF-8 text"


def test_a_file_that_cannot_be_read_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Never:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), ".env")

    Path(".env").write_text("PORT=1", encoding="utf-8")
    monkeypatch.setattr("dotenv.dotenv_values", refuse)
    assert refused() == ".env: cannot be read (Permission denied)"


def test_secrets_may_come_through_a_pipe() -> None:
    os.mkfifo(".env")
    with ThreadPoolExecutor() as threads:
        threads.submit(Path(".env").write_text, "PORT=1\n", encoding="utf-8")
        assert load_settings().port == 1


@pytest.mark.parametrize("name", ["LOG_LEVEL", "log_level", "Log_Level"])
def test_the_case_of_a_variable_does_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "ERROR")
    assert load_settings().log_level == "ERROR"


def test_other_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTINGS", "x")
    assert not hasattr(load_settings(), "SETTINGS")


def test_an_override_that_is_no_setting_is_a_mistake_in_the_code() -> None:
    with pytest.raises(TypeError, match="no settings: colour, prot"):
        load_settings(prot=1, port=2, colour="red")


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("port", "8080", 8080),
        ("port", " 8080 ", 8080),
        ("port", 8080, 8080),
        ("push_every_seconds", "0.5", 0.5),
        ("push_every_seconds", "1e3", 1000.0),
        ("push_every_seconds", 20, 20.0),
        ("data_dir", "/srv/desk", Path("/srv/desk")),
        ("data_dir", Path("desk"), Path("desk")),
        ("service_name", "  desk ", "desk"),
        ("log_level", "ERROR", "ERROR"),
        ("log_level", " ERROR ", "ERROR"),
        ("gemini_api_key", " k ", Secret(" k ")),
        ("gemini_api_key", Secret("k"), Secret("k")),
        ("gemini_api_key", None, None),
        ("otlp_endpoint", None, None),
    ],
)
def test_each_kind_is_read_from_its_text_or_taken_as_it_is(name: str, given: object, value: object) -> None:
    found = getattr(load_settings(**{name: given}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("word", ["1", "true", "True", "T", "yes", "y", "ON", " on ", 1, True])
def test_words_for_yes(word: object) -> None:
    assert load_settings(trace_content=word).trace_content is True


@pytest.mark.parametrize("word", ["0", "false", "FALSE", "f", "no", "N", "off", 0, False])
def test_words_for_no(word: object) -> None:
    assert load_settings(trace_content=word).trace_content is False


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("port", "many", "must be a whole number"),
        ("port", "1.5", "must be a whole number"),
        ("port", 1.5, "must be a whole number"),
        ("port", "nan", "must be a whole number"),
        ("port", float("inf"), "must be a whole number"),
        ("port", "9" * 5000, "must be a whole number"),
        ("port", True, "must be a whole number"),
        ("port", None, "must be a whole number"),
        ("port", "-1", "must be at least 0 and at most 65,535"),
        ("port", "65536", "must be at least 0 and at most 65,535"),
        ("push_every_seconds", "soon", "must be a number"),
        ("push_every_seconds", "nan", "must be a finite number"),
        ("push_every_seconds", "-inf", "must be a finite number"),
        ("push_every_seconds", "1e999", "must be a finite number"),
        ("push_every_seconds", 10**400, "must be a number"),
        ("push_every_seconds", [15.0], "must be a number"),
        ("push_every_seconds", "0", "must be more than 0 and at most 3,600"),
        ("push_every_seconds", "3600.1", "must be more than 0 and at most 3,600"),
        ("log_level", "TRACE", "must be one of DEBUG, INFO, WARNING, ERROR"),
        ("log_level", "info", "must be one of DEBUG, INFO, WARNING, ERROR"),
        ("log_level", 10, "must be a text that is not empty"),
        ("service_name", "  ", "must be a text that is not empty"),
        ("service_name", None, "must be a text that is not empty"),
        ("gemini_api_key", 12345, "must be a text"),
        ("data_dir", 5, "must be a path"),
        ("data_dir", "a\0b", "must be a path"),
        ("json_logs", "maybe", "must be true or false"),
        ("trace_content", None, "must be true or false"),
        ("trace_content", "", "must be true or false"),
        ("trace_content", 2, "must be true or false"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(name: str, given: object, reason: str) -> None:
    assert refused(**{name: given}) == f"{name.upper()}: {reason}"


def test_all_that_cannot_be_used_is_named_at_once_and_no_value_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "hunter2")
    monkeypatch.setenv("LOG_LEVEL", "hunter2")
    with pytest.raises(InvalidSettings) as refusal:
        load_settings(trace_content="hunter2")
    assert sorted(str(refusal.value).split("; ")) == [
        "LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR",
        "PORT: must be a whole number",
        "TRACE_CONTENT: must be true or false",
    ]
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize("name", SETTINGS)
def test_every_default_is_a_value_that_the_setting_may_have(name: str) -> None:
    default: Any = SETTINGS[name].default
    assert SETTINGS[name].value_of(default) == default


def test_what_was_read_is_never_changed() -> None:
    with pytest.raises(AttributeError, match="port: settings are read once"):
        load_settings().port = 1
    with pytest.raises(AttributeError, match="colour"):
        load_settings().colour = 1


def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    found = load_settings(database_url="sqlite:///hunter2.db")
    assert found.database_url is not None
    assert "hunter2" not in f"{found.database_url} {found.database_url!r} {found!r} {found}"
    assert found.database_url.get_secret_value() == found.database_location() == "sqlite:///hunter2.db"


def test_secrets_are_equal_where_their_values_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") not in (Secret("b"), "a")
    assert len({Secret("a"), Secret("a")}) == 1


def test_settings_know_what_follows_from_them() -> None:
    found = load_settings(environment="production", vertex_project="lending", data_dir="/srv")
    assert found.is_production
    assert found.has_gemini
    assert found.database_location() == "sqlite:////srv/database/loan_collateral.db"
    assert load_settings(gemini_api_key="k").has_gemini
    assert not load_settings().has_gemini


def test_settings_are_read_once() -> None:
    settings.cache_clear()
    assert settings() is settings()
    assert isinstance(settings(), Settings)
    settings.cache_clear()


def test_what_is_known_of_a_setting_comes_from_its_annotation() -> None:
    assert SETTINGS["port"].kind is int
    assert SETTINGS["log_file"].kind is Path
    assert [SETTINGS[name].is_optional for name in ("log_file", "data_dir")] == [True, False]
    assert SETTINGS["log_to"].choices == ("stdout", "api")
    assert [SETTINGS[name].kind for name in ("chroma_token", "chroma_url")] == [Secret, str]


def test_others_can_be_described_the_same_way() -> None:
    class Desk(Described):
        seats: int = setting(4, ge=1, description="How many sit there.")
        is_open: bool = True

    assert [*Desk.described()] == ["seats"]
    assert isinstance(Desk.described()["seats"], Setting)
    assert Desk({}).seats == 4
    assert Desk({"seats": 5}).seats == 5

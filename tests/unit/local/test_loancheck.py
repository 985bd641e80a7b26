import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from common.database.engine import DatabaseBehind, DatabaseUnavailable
from common.database.schema import DatabaseTooNew
from common.database.schema_versions import known_versions
from common.problems import Unavailable
from common.settings import settings
from local import catalogue, loancheck


@pytest.fixture(autouse=True)
def fresh_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()


def _caused(error: Exception, *, by: Exception) -> Exception:
    error.__cause__ = by
    return error


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["loancheck", *arguments])
    with pytest.raises(SystemExit) as ended:
        loancheck.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "Missing command. See loancheck --help."),
        (("nonsense",), "No such command 'nonsense'. See loancheck --help."),
        (("ingest",), "Missing argument 'PATH...'. See loancheck --help."),
        (("ingest", "--depth", "2"), "No such option: --depth See loancheck --help."),
        (("ingest", "nowhere"), "nowhere: no such file or folder"),
        (
            ("ask", "Hello", "--url", "127.0.0.1:8000"),
            "127.0.0.1:8000: the address must begin with http:// or https://",
        ),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    assert call(monkeypatch, *arguments) == 2
    assert capsys.readouterr() == ("", f"loancheck: {reason}\n")


def test_a_bad_setting_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "s3cret")
    assert call(monkeypatch, "run") == 2
    assert capsys.readouterr().err == ("loancheck: PORT: must be a whole number\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OperationalError("SELECT 'Jane'", {}, Exception("password")),
            "the database cannot be used (OperationalError): check DATABASE_URL and DATA_DIR",
        ),
        (DatabaseTooNew(found="9", newest_known="1"), str(DatabaseTooNew(found="9", newest_known="1"))),
        (
            _caused(DatabaseUnavailable(), by=OperationalError("SELECT 'Jane'", {}, Exception("password"))),
            "the database cannot be used (OperationalError): check DATABASE_URL and DATA_DIR",
        ),
        (
            DatabaseBehind("0003"),
            "The database's schema is behind this program. It is at version 0003, and needed is "
            f"{known_versions()[-1]}: python -m common.database.migrations upgrade",
        ),
        (Unavailable("Try again."), "A part that this needs is not available: Try again."),
        (Unavailable(), "A part that this needs is not available"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_holds_nobody_s_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, line: str
) -> None:
    monkeypatch.setattr(catalogue, "load_catalogue", _raising(error))
    assert call(monkeypatch, "functions") == 2
    assert capsys.readouterr().err == f"loancheck: {line}\n"


def test_an_unexpected_error_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "load_catalogue", _raising(RuntimeError("Jane Roe")))
    assert call(monkeypatch, "functions") == 2
    line = capsys.readouterr().err
    assert line.startswith("loancheck: unexpected RuntimeError at ")
    assert line.endswith(":raise_it; LOG_LEVEL=DEBUG shows how it came about\n")
    assert line.count("\n") == 1
    assert "Jane" not in line


def test_an_unexpected_error_is_told_even_when_the_settings_are_bad(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setattr(catalogue, "load_catalogue", _raising(RuntimeError()))
    assert call(monkeypatch, "functions") == 2
    assert "unexpected RuntimeError" in capsys.readouterr().err


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setattr(catalogue, "load_catalogue", _raising(RuntimeError("what")))
    assert call(monkeypatch, "functions") == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interruption_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(catalogue, "load_catalogue", _raising(KeyboardInterrupt()))
    assert call(monkeypatch, "functions") == 130
    assert capsys.readouterr().err.strip().endswith("loancheck: stopped")


def test_the_functions_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "functions") == 0
    assert "\nquery " in capsys.readouterr().out


def test_the_settings_are_printed_as_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "settings") == 0
    assert capsys.readouterr().out.endswith("\n")


def test_on_a_terminal_a_bar_moves(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with loancheck._progress(4) as progress:
        progress(3)
    with loancheck._progress(0):
        pass
    assert "Reading" in capsys.readouterr().err


def test_elsewhere_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with loancheck._progress(4) as progress:
        progress(4)
    assert capsys.readouterr() == ("", "")


def _raising(error: BaseException) -> object:
    def raise_it() -> None:
        raise error

    return raise_it

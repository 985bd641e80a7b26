from pathlib import Path

import pytest

from common.settings import SETTINGS, load_settings
from local.env_example import env_example

ROOT = Path(__file__).resolve().parents[3]


def test_the_file_in_the_repository_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), (
        "run: loancheck settings > .env.example"
    )


def test_every_setting_stands_there_with_words_and_its_default() -> None:
    text = env_example()
    for name, one in SETTINGS.items():
        assert one.description, name
        assert f"\n#{name.upper()}=" in text
    assert (
        "\n# Port the local emulator listens on; 0 takes a free one. At least 0 and at most 65,535.\n#PORT=8000\n"
        in text
    )
    assert "\n#DATA_DIR=.\n" in text
    assert "\n#GEMINI_API_KEY=\n" in text
    assert "One of DEBUG, INFO, WARNING, ERROR.\n#LOG_LEVEL=INFO\n" in text


def test_uncommented_as_it_is_the_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = env_example().splitlines()
    values = [line[1:] for line in lines if line.startswith("#") and not line.startswith("# ")]
    (tmp_path / ".env").write_text("\n".join(values), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name.upper(), raising=False)
    assert vars(load_settings()) == {name: one.default for name, one in SETTINGS.items()}
    assert len(values) == len(SETTINGS)


def test_no_line_is_wider_than_the_code() -> None:
    assert max(map(len, env_example().splitlines())) <= 120

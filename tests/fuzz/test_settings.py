"""Settings from the environment: any text for any variable is a value, or a refusal that names it and not the text."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.setting_values import Secret
from common.settings import SETTINGS, InvalidSettings, load_settings
from tests.fuzz.profiles import examples

MARK = "c4n4ry"
names = st.sampled_from(sorted(SETTINGS))
# What an environment can hold: anything but NUL; bytes that are no UTF-8 come as halves of surrogate pairs.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.binary(
    max_size=20
).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
numbers = st.sampled_from(
    [
        "1e999",
        "-0",
        "nan",
        "inf",
        "1_000",
        "٣",
        "0x10",
        "9" * 5_000,
        "1e-400",
        "+1",
        " 1 ",
        "1.0",
        "true",
        "TRUE",
        "none",
    ]
)


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Without anybody's .env."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("settings"))
        yield


def load(variables: Mapping[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name.upper(), text)
        try:
            loaded = load_settings()
        except InvalidSettings as error:
            refused = str(error)
        else:
            for name in variables:
                value = getattr(loaded, name)
                assert value is None or isinstance(value, SETTINGS[name].kind | Secret | Path)
            return
    assert any(name.upper() in refused for name in variables)
    assert MARK not in refused


@examples(1_000)
@given(st.dictionaries(names, texts | numbers, min_size=1, max_size=4))
@example({"port": "9" * 5_000})
@example({"trace_sample_ratio": "nan"})
def test_any_text_is_a_value_or_names_its_variable(variables: dict[str, str]) -> None:
    load(variables)


@examples(200)
@given(names, texts)
def test_a_refusal_never_says_the_text(name: str, text: str) -> None:
    load({name: MARK + text})


@examples(100)
@given(st.binary(max_size=200))
def test_any_env_file_is_read_or_refused(raw: bytes) -> None:
    Path(".env").write_bytes(raw)
    try:
        load_settings()
    except InvalidSettings as error:
        refused = str(error)
        assert ".env" in refused or any(name.upper() in refused for name in SETTINGS)
    finally:
        Path(".env").unlink()

"""What a price file may say, and what is refused."""

from pathlib import Path

import pytest

from common.costs.price_table import load_price_table
from common.settings import InvalidSettings

A_DAY = '{"valid_from": "2026-01-01", "input": "1"}'


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "Invalid JSON"),
        ('{"usd_per_million_tokens": {"m": []}}', "usd_per_million_tokens.m"),
        ('{"usd_per_million_tokens": {"m": [{"input": "1"}]}}', "m.0.valid_from: Field required"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "soon", "input": "1"}]}}', "m.0.valid_from"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "-1"}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "1E-10"}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "1", "x": 1}]}}', "m.0.x"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "cheap"}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": NaN}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "NaN"}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": null}]}}', "m.0.input"),
        ('{"usd_per_million_tokens": {"m": {"input": "1"}}}', "usd_per_million_tokens.m"),
        (f'{{"usd_per_million_tokens": {{"m": [{A_DAY}, {A_DAY}]}}}}', "m: Value error, valid_from 2026-01-01"),
        (f'{{"usd_per_million_tokens": {{"m": [{A_DAY}], "m": [{A_DAY}]}}}}', "m: is there more than once"),
        ('{"usd_per_million_tokens": {"m": [{"valid_from": "2026-01-01", "input": "1", "input": "2"}]}}', "input"),
        ('{"usd_per_thousand_searches": {"serper": [{"valid_from": "2026-01-01", "usd": "-1"}]}}', "serper.0.usd"),
        ('{"usd_per_thousand_searches": {"serper": []}}', "serper"),
        ('{"usd_per_search": {}}', "usd_per_search"),
        ("[]", "PRICE_FILE: "),
        ('{"usd_per_million_tokens": {"models/m": [{"valid_from": "2026-01-01", "input": "1"}]}}', "models/m"),
    ],
)
def test_a_price_file_that_cannot_be_used_is_refused_with_the_field_named(
    tmp_path: Path, content: str, named: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(InvalidSettings, match=r"^PRICE_FILE: ") as refused:
        load_price_table(path)
    assert named in str(refused.value)


def test_a_price_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"PRICE_FILE: cannot be read \(No such file or directory\)"):
        load_price_table(tmp_path / "prices.json")


def test_the_example_in_the_modules_head_can_be_read(tmp_path: Path) -> None:
    from common.costs import price_table as module

    path = tmp_path / "prices.json"
    assert module.__doc__ is not None
    path.write_text(module.__doc__[module.__doc__.index("    {") : module.__doc__.index("A price holds")])
    table = load_price_table(path)
    assert (list(table.usd_per_million_tokens), list(table.usd_per_thousand_searches)) == (
        ["gemini-3.1-pro-preview"],
        ["serper"],
    )


def test_a_file_may_hold_one_part_only(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(f'{{"usd_per_million_tokens": {{"m": [{A_DAY}]}}}}')
    assert load_price_table(path).usd_per_thousand_searches == {}

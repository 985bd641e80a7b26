"""`mask_value`: any value in, a masked copy out; nothing raised, nothing of the caller's changed."""

import copy
import dataclasses
from collections import deque, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr

from common import masking
from common.pii import mask_value


def masked(value: object) -> Any:  # a copy of the same shape, which the types cannot say
    return mask_value(value)


MAIL = "jane.roe@example.com"
CARD = 4111111111111111


def test_nested_containers_are_masked_and_the_callers_stay_as_they_were() -> None:
    value = {"user": {"mails": [MAIL, "x"], "pair": (MAIL, 1), "set": {MAIL}, "frozen": frozenset({MAIL}), "n": 5}}
    before = copy.deepcopy(value)
    assert masked(value) == {
        "user": {
            "mails": ["[EMAIL]", "x"],
            "pair": ("[EMAIL]", 1),
            "set": {"[EMAIL]"},
            "frozen": frozenset({"[EMAIL]"}),
            "n": 5,
        }
    }
    assert value == before


@pytest.mark.parametrize("secret", ["hunter", 1234, b"hunter", ["a"], {"a": 1}, ("a",), 1.5])
@pytest.mark.parametrize("name", ["password", "DB_PASSWORD", "apiKey", "x-api-key", "client_secret", "Authorization"])
def test_whatever_stands_under_a_secret_like_name_is_masked(name: str, secret: object) -> None:
    assert masked({name: secret}) == {name: "[SECRET]"}


@pytest.mark.parametrize("empty", [None, "", b"", [], {}, (), set(), True, False])
def test_under_a_secret_like_name_nothing_stays_nothing(empty: object) -> None:
    assert masked({"password": empty}) == {"password": empty}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 512),
        ("token_count", 12),
        ("tokenizer", "bert"),
        ("primary_key", "a1"),
        ("key", "value1"),
        (7, "x"),
    ],
)
def test_names_that_only_sound_like_secrets_keep_their_values(name: str, value: object) -> None:
    assert masked({name: value}) == {name: value}


def test_a_random_value_under_a_weak_name_is_masked() -> None:
    random = "aB3dE5gH" + "7jK9mN1pQ3sT"
    assert masked({"key": random, "session_id": random}) == {"key": "[SECRET]", "session_id": "[SECRET]"}


def test_a_names_context_counts_for_bare_digits() -> None:
    result = masked({"ssn": 123456780, "social security number": "123456780", "id": 123456780})
    assert result == {"ssn": "[SSN]", "social security number": "[SSN]", "id": 123456780}


def test_a_long_text_is_not_read_again_with_its_name() -> None:
    text = "12 " * 100
    assert masked({"ssn notes": text}) == {"ssn notes": text}


def test_headers_as_pairs_are_masked_by_their_names() -> None:
    headers = [("X-Api-Key", "abc"), (b"authorization", b"Bearer abc"), ("accept", "text/html")]
    assert masked(headers) == [
        ("X-Api-Key", "[SECRET]"),
        ("authorization", "[SECRET]"),
        ("accept", "text/html"),
    ]


def test_keys_are_masked_and_none_gets_lost() -> None:
    result = masked({MAIL: 1, "john@example.com": 2, (MAIL, 1): 3, 5: 6})
    assert result == {"[EMAIL]": 1, "[EMAIL] (1)": 2, "('[EMAIL]', 1)": 3, 5: 6}


@dataclasses.dataclass(frozen=True, slots=True)
class Borrower:
    name: str
    mail: str
    api_key: str = "abc12345"


class Loan(BaseModel):
    model_config = ConfigDict(extra="allow")
    mail: str
    token: SecretStr = SecretStr("x")


Point = namedtuple("Point", "mail password")  # without types, as the oldest are


def test_dataclasses_models_and_named_tuples_become_dicts() -> None:
    assert masked(Borrower("Jane", MAIL)) == {"name": "Jane", "mail": "[EMAIL]", "api_key": "[SECRET]"}
    assert masked(Loan(mail=MAIL, more=MAIL)) == {"mail": "[EMAIL]", "token": "[SECRET]", "more": "[EMAIL]"}
    assert masked(Point(MAIL, "x")) == {"mail": "[EMAIL]", "password": "[SECRET]"}
    assert masked({Borrower("Jane", MAIL)}) == [{"name": "Jane", "mail": "[EMAIL]", "api_key": "[SECRET]"}]


def test_a_class_is_no_container() -> None:
    assert "Borrower" in str(masked(Borrower))


def test_other_mappings_and_sequences_are_masked_too() -> None:
    assert masked(MappingProxyType({"a": MAIL})) == {"a": "[EMAIL]"}
    assert masked(deque([MAIL])) == ["[EMAIL]"]


def test_bytes_are_decoded_leniently_and_masked() -> None:
    assert masked(b"to " + MAIL.encode() + b"\xff") == "to [EMAIL]\\xff"
    assert masked(bytearray(b"x")) == "x"
    assert masked(memoryview(b"x")) == "x"


def test_exceptions_become_their_type_and_masked_words() -> None:
    assert masked(ValueError(f"no {MAIL}")) == "ValueError: no [EMAIL]"


def test_plain_values_stay() -> None:
    now = datetime.now(UTC)
    for value in (None, True, now, 5, 1.5, float("nan"), float("inf"), Decimal("1.5"), Decimal("NaN"), 10**400):
        assert masked(value) is value


@pytest.mark.parametrize("number", [CARD, float(CARD), Decimal(CARD)])
def test_numbers_that_are_cards_are_masked(number: object) -> None:
    assert masked(number) == "[CREDIT_CARD]"


def test_cycles_end() -> None:
    value: dict[str, object] = {"a": 1}
    value["self"] = value
    value["list"] = [value]
    assert masked(value) == {"a": 1, "self": "[cycle]", "list": ["[cycle]"]}


def test_the_same_object_twice_is_no_cycle() -> None:
    part = [1]
    assert masked([part, part]) == [[1], [1]]


def test_depth_is_bounded() -> None:
    value: list[object] = []
    for _ in range(50):
        value = [value]
    assert "[list at depth 8]" in str(masked(value))


def test_breadth_is_bounded_with_a_note() -> None:
    result = masked(list(range(1000)))
    assert result == [*range(masking.MAX_ITEMS), "[left out: too large]"]
    assert masked(list(range(masking.MAX_ITEMS))) == list(range(masking.MAX_ITEMS))
    assert list(masked(dict.fromkeys(range(1000))))[-1] == "[left out: too large]"


def test_the_whole_is_bounded() -> None:
    value = [[list(range(100)) for _ in range(100)] for _ in range(100)]
    assert str(masked(value)).count(",") < 2 * masking.MAX_NODES
    texts = masked(["x " * 30_000] * 50)
    assert texts[-1] == "[left out: too large]"


def test_a_huge_text_is_cut_with_a_note() -> None:
    result = masked("word " * 2_000_000)
    assert len(result) < masking.MAX_TEXT + 100
    assert result.endswith(f"[{10_000_000 - masking.MAX_TEXT} more characters]")
    assert masked(b"word " * 2_000_000).endswith("more bytes]")


@pytest.mark.parametrize("shift", range(0, 40, 3))
def test_what_the_cut_halves_does_not_escape(shift: int) -> None:
    text = "x" * (masking.MAX_TEXT - shift) + " " + MAIL + " tail" * 5000
    assert "jane" not in masked(text)


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError(MAIL)


class BrokenDict(dict[str, str]):
    def items(self) -> Any:
        raise KeyError(MAIL)


class BrokenText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError(MAIL)


def test_what_cannot_be_printed_says_so() -> None:
    assert masked(Broken()) == "[unprintable Broken]"
    assert masked({"a": Broken()}) == {"a": "[unprintable Broken]"}
    assert masked(BrokenDict()) == "[unprintable BrokenDict]"
    assert masked(BrokenText(MAIL)) == "[EMAIL]"


class Speaking:
    __slots__ = ()

    def __repr__(self) -> str:
        return f"<user {MAIL}>"


def test_other_objects_are_their_masked_repr() -> None:
    assert masked(Speaking()) == "<user [EMAIL]>"
    assert masked({Speaking(): 1}) == {"<user [EMAIL]>": 1}


def test_iterators_are_not_consumed() -> None:
    numbers = iter([1, 2])
    masked(numbers)
    assert list(numbers) == [1, 2]


def test_lone_surrogates_become_printable() -> None:
    assert masked("a\ud800é") == "a\\ud800é"
    assert masked({"é": "ü"}) == {"é": "ü"}


def test_a_dataclass_as_a_key_becomes_text() -> None:
    (key,) = masked({Borrower("Jane", MAIL): 1})
    assert key == "Borrower(name='Jane', mail='[EMAIL]', api_key='[SECRET]')"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(VALUES)
def test_nothing_raises_and_everything_can_be_written(value: object) -> None:
    str(masked(value)).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"ssn": ["078051120"]}}, {"a": {"ssn": ["[SSN]"]}}),
        ({"a": {"x": {"ssn": {"value": "078051120"}}}}, {"a": {"x": {"ssn": {"value": "[SSN]"}}}}),
        ({"routing_number": ["021000021"]}, {"routing_number": ["[US_BANK]"]}),
        ({"phones": ["2125550123"]}, {"phones": ["[PHONE]"]}),
        ({"phones": ["2125550123", "2125550124"]}, {"phones": ["[PHONE]", "[PHONE]"]}),
        ({"phones": {"home": "2125550123", 3: 2125550124}}, {"phones": {"home": "[PHONE]", 3: "[PHONE]"}}),
        ({"account_number": [{"value": "12345678"}]}, {"account_number": [{"value": "[US_BANK]"}]}),
        ({"account_number": ({12345678},)}, {"account_number": ({"[US_BANK]"},)}),
        ({"account": {"number": "12345678", "id": "12345678"}}, {"account": {"number": "[US_BANK]", "id": "12345678"}}),
        ({"case": {"text": "2125550123"}}, {"case": {"text": "[PHONE]"}}),
        ({"headers": [["X-Api-Key", "Zx81kd92mQ"]]}, {"headers": [["X-Api-Key", "[SECRET]"]]}),
        (["ssn", "078051120"], ["ssn", "[SSN]"]),
        ([{"name": "ssn", "value": "078051120"}], [{"name": "ssn", "value": "[SSN]"}]),
        ({"loan": [{"value": "12345678"}]}, {"loan": [{"value": "12345678"}]}),
    ],
)
def test_names_explain_what_stands_below_them(value: object, expected: object) -> None:
    assert masked(value) == expected

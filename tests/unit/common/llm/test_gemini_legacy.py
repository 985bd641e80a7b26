"""What needs no legacy client; the adapter itself is tested in its own environment (test_chat_contract.py)."""

from enum import StrEnum

import pytest
from pydantic import BaseModel, Field

from common.llm.draft import Draft
from common.llm.gemini_legacy import gemini_schema


class Kind(StrEnum):
    LAND = "land"
    FARM = "farm"


class Collateral(BaseModel):
    kind: Kind = Field(description="What it is.")
    value_usd: float | None = None
    liens: list[int] = []


def test_a_schema_is_written_out_in_geminis_dialect() -> None:
    assert gemini_schema(Collateral.model_json_schema()) == {
        "type_": "OBJECT",
        "required": ["kind"],
        "properties": {
            "kind": {"type_": "STRING", "enum": ["land", "farm"], "description": "What it is."},
            "value_usd": {"type_": "NUMBER", "nullable": True},
            "liens": {"type_": "ARRAY", "items": {"type_": "INTEGER"}},
        },
    }


def test_the_draft_that_models_write_can_be_asked_for() -> None:
    schema = gemini_schema(Draft.model_json_schema())
    assert schema["properties"]["citations"]["items"]["properties"]["passage"]["type_"] == "INTEGER"


def test_a_choice_between_types_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="too many values"):
        gemini_schema({"anyOf": [{"type": "string"}, {"type": "integer"}]})

"""What `/api/documents` takes and answers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints
from pydantic.config import JsonDict

from common.knowledge.rules import (
    ATTRIBUTE_NAME_PATTERN,
    ID_PATTERN,
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ATTRIBUTES,
    MAX_ID_CHARACTERS,
    MAX_SOURCE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    RESERVED_ATTRIBUTES,
)
from common.settings import settings

AttributeName = Annotated[str, StringConstraints(pattern=ATTRIBUTE_NAME_PATTERN)]
AttributeText = Annotated[StrictStr, StringConstraints(max_length=MAX_ATTRIBUTE_CHARACTERS)]
AttributeNumber = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Attribute = StrictBool | StrictInt | AttributeNumber | AttributeText

# Python's, pydantic's and JSON schema's \w are three different classes; this is Python's, in words of the others.
_ID_PATTERN = ID_PATTERN.replace(r"\w", r"\p{L}\p{N}_")
_NO_DOTS: JsonDict = {"not": {"pattern": r"(^|/)\.\.?(/|$)"}}
# What `common.knowledge.rules` checks in its own words stands here for the description alone.
_CONTROL = r"\x00-\x08\x0e-\x1f\x7f"
_DIRECTION = r"\u202a-\u202e\u2066-\u2069"
_LINE: JsonDict = {"pattern": rf"^[^{_CONTROL}{_DIRECTION}]*[\p{{L}}\p{{N}}][^{_CONTROL}{_DIRECTION}]*$"}
_TEXT: JsonDict = {"pattern": rf"^[^{_CONTROL}]*[\p{{L}}\p{{N}}][^{_CONTROL}]*$"}


def _text_schema(schema: dict[str, Any]) -> None:  # Any: a JSON schema
    schema |= _TEXT | {"maxLength": settings().max_document_characters}


def _source_schema(schema: dict[str, Any]) -> None:
    schema["anyOf"][0] |= _LINE


def _metadata_schema(schema: dict[str, Any]) -> None:
    ((_, attribute),) = schema.pop("patternProperties").items()
    attribute["anyOf"][-1]["pattern"] = rf"^[^{_CONTROL}]*$"
    names = {"pattern": ATTRIBUTE_NAME_PATTERN, "not": {"enum": sorted(RESERVED_ATTRIBUTES)}}
    schema |= {"additionalProperties": attribute, "propertyNames": names}


def _documents_schema(schema: dict[str, Any]) -> None:
    schema["maxItems"] = settings().max_documents


class DocumentIn(BaseModel):
    """A document to store under its id, over whatever was there before."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(
        min_length=1,
        max_length=MAX_ID_CHARACTERS,
        pattern=_ID_PATTERN,
        description="Chosen by the caller; may hold slashes, as in 12-cfr-1002/1002.2.",
        json_schema_extra=_NO_DOTS,
    )
    title: str = Field(min_length=1, max_length=MAX_TITLE_CHARACTERS, json_schema_extra=_LINE)
    text: str = Field(
        min_length=1,
        description="Plain text or Markdown; headings and numbered paragraphs are kept.",
        json_schema_extra=_text_schema,
    )
    source: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_SOURCE_CHARACTERS,
        description="Where it comes from, such as a URL.",
        json_schema_extra=_source_schema,
    )
    metadata: dict[AttributeName, Attribute] = Field(
        default_factory=dict,
        max_length=MAX_ATTRIBUTES,
        description="Values that searches can filter by.",
        json_schema_extra=_metadata_schema,
    )


class DocumentsRequest(BaseModel):
    """Documents to store; all are checked before any is written."""

    model_config = ConfigDict(extra="forbid")

    documents: list[DocumentIn] = Field(min_length=1, json_schema_extra=_documents_schema)


class DocumentsAnswer(BaseModel):
    """How many documents the request held, of how many chunks they are now, and how many were there already."""

    model_config = ConfigDict(extra="forbid")

    documents: int
    chunks: int
    unchanged: int


class DocumentAnswer(BaseModel):
    """A stored document, as it was handed in; `updated_at` is when its content last changed."""

    model_config = ConfigDict(extra="forbid")

    id: str
    title: str
    text: str
    source: str | None
    metadata: dict[str, Attribute]
    chunks: int
    updated_at: datetime

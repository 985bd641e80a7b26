"""What `/api/documents` takes and answers."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints

from common.knowledge.rules import (
    ATTRIBUTE_NAME_PATTERN,
    ID_PATTERN,
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ATTRIBUTES,
    MAX_ID_CHARACTERS,
    MAX_SOURCE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
)

AttributeName = Annotated[str, StringConstraints(pattern=ATTRIBUTE_NAME_PATTERN)]
AttributeText = Annotated[StrictStr, StringConstraints(max_length=MAX_ATTRIBUTE_CHARACTERS)]
AttributeNumber = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Attribute = StrictBool | StrictInt | AttributeNumber | AttributeText


class DocumentIn(BaseModel):
    """A document to store under its id, over whatever was there before."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(
        min_length=1,
        max_length=MAX_ID_CHARACTERS,
        pattern=ID_PATTERN,
        description="Chosen by the caller; may hold slashes, as in 12-cfr-1002/1002.2.",
    )
    title: str = Field(min_length=1, max_length=MAX_TITLE_CHARACTERS)
    text: str = Field(min_length=1, description="Plain text or Markdown; headings and numbered paragraphs are kept.")
    source: str | None = Field(
        None, min_length=1, max_length=MAX_SOURCE_CHARACTERS, description="Where it comes from, such as a URL."
    )
    metadata: dict[AttributeName, Attribute] = Field(
        default_factory=dict, max_length=MAX_ATTRIBUTES, description="Values that searches can filter by."
    )


class DocumentsRequest(BaseModel):
    """Documents to store; all are checked before any is written."""

    model_config = ConfigDict(extra="forbid")

    documents: list[DocumentIn] = Field(min_length=1)


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

"""The shape in which every model drafts an answer, so that one set of checks holds for all of them."""

from pydantic import BaseModel, ConfigDict, Field


class DraftCitation(BaseModel):
    """A claim that `quote` stands verbatim in passage number `passage`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passage: int = Field(description="Number of the passage that is quoted, from 1.")
    quote: str = Field(description="The words of the passage that bear the statement, copied character by character.")


class Draft(BaseModel):
    """A drafted answer; `answer` marks its sources as [1], [2], by the number of the passage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answered: bool = Field(description="false when the passages do not answer the question.")
    answer: str = Field(description="The answer, each statement followed by the number of its passage, as in [1].")
    citations: list[DraftCitation] = Field(description="One entry for each passage that the answer marks.")

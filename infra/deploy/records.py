"""What a deploy writes on each service that it changes: which revisions served before, and how far it got.

So another process can put everything back, whatever became of the one that began.
"""

import datetime
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.deploy.cloud import CloudFailed, Service, Share

ANNOTATION = "loancheck-deploy/state"


class Before(BaseModel):
    """A revision that served before, and its share in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    percent: int = Field(ge=1, le=100)


class Record(BaseModel):
    """One deploy of one function. `moving`: it was begun, and has neither ended nor been taken back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deploy: str
    holder: str
    since: datetime.datetime
    previous: tuple[Before, ...] = Field(min_length=1)
    candidate: str
    percent: int = Field(ge=0, le=100)
    stage: Literal["moving", "promoted", "rolled-back"]

    @property
    def shares(self) -> tuple[Share, ...]:
        """What served before."""
        return tuple(Share(revision=one.revision, percent=one.percent) for one in self.previous)


def record_of(service: Service) -> Record | None:
    """What the last deploy wrote on `service`; None where there was none.

    Raises:
        CloudFailed: it is not as a deploy writes it.
    """
    text = service.annotations.get(ANNOTATION)
    if text is None:
        return None
    try:
        return Record.model_validate_json(text)
    except ValidationError:
        raise CloudFailed(
            f"{service.name}: its annotation {ANNOTATION} is not as a deploy writes it; remove it by hand"
        ) from None


def unfinished(service: Service) -> Record | None:
    """The record of a deploy that has come to no end."""
    record = record_of(service)
    return record if record is not None and record.stage == "moving" else None


def open_records(services: Mapping[str, Service]) -> Mapping[str, Record]:
    """The records of deploys that have come to no end on one of `services`, by their keys.

    Such a deploy may have ended on some of them already, which belong to it all the same.
    """
    found = {key: record for key, one in services.items() if (record := record_of(one)) is not None}
    deploys = {record.deploy for record in found.values() if record.stage == "moving"}
    return {key: one for key, one in found.items() if one.deploy in deploys and one.stage != "rolled-back"}


def annotated(annotations: Mapping[str, str], record: Record) -> Mapping[str, str]:
    """`annotations` with `record` among them."""
    return {**annotations, ANNOTATION: record.model_dump_json()}

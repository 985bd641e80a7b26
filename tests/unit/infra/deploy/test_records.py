"""What a deploy writes on services, and reads there again."""

import datetime
from dataclasses import replace

import pytest

from infra.deploy.cloud import CloudFailed, Service, Share
from infra.deploy.lease import ANNOTATION as LEASE
from infra.deploy.lease import lease_on
from infra.deploy.records import ANNOTATION, Before, Record, annotated, open_records, record_of

SERVICE = Service(
    name="lcc-dev-query",
    urls=(),
    is_open=True,
    annotations={"team": "lending"},
    traffic=(Share(revision="old", percent=100),),
    tag_urls={},
    latest_created="new",
    latest_ready="new",
)
RECORD = Record(
    deploy="1",
    holder="ann",
    since=datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC),
    previous=(Before(revision="old", percent=100),),
    candidate="new",
    percent=50,
    stage="moving",
)


def with_record(**changes: object) -> Service:
    record = RECORD.model_copy(update=changes)
    return replace(SERVICE, annotations=annotated(SERVICE.annotations, record))


def test_a_record_is_read_as_it_was_written_beside_what_others_wrote() -> None:
    found = with_record()
    assert record_of(found) == RECORD
    assert found.annotations["team"] == "lending"
    assert record_of(SERVICE) is None


def test_a_deploy_that_ended_on_one_service_alone_is_open_there_too() -> None:
    services = {
        "query": with_record(stage="promoted"),
        "documents": with_record(),
        "health": with_record(deploy="0", stage="promoted"),
        "cost_report": with_record(stage="rolled-back"),
        "retention": SERVICE,
    }
    assert list(open_records(services)) == ["query", "documents"]


@pytest.mark.parametrize("text", ["", "{}", '{"deploy": 1}', "nonsense"])
def test_an_annotation_that_no_deploy_wrote_is_named(text: str) -> None:
    with pytest.raises(CloudFailed, match=f"lcc-dev-query: its annotation {ANNOTATION} is not"):
        record_of(replace(SERVICE, annotations={ANNOTATION: text}))
    with pytest.raises(CloudFailed, match=f"lcc-dev-query: its annotation {LEASE} is not"):
        lease_on(replace(SERVICE, annotations={LEASE: text}))

"""Which settings changed is in the audit, once for all instances, and never to what."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common.database.engine import engine, read
from common.database.tables import audit_events
from common.security.keyring import key_ring
from common.security.settings_record import WATCHED, record_settings, settings_recorded
from common.settings import SETTINGS, load_settings
from tests.instance import instance


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[None]:
    with instance(tmp_path):
        yield


def events() -> list[dict[str, Any]]:
    query = select(audit_events.c.facts).where(audit_events.c.action == "settings.changed")
    with read(engine()) as connection:
        return [json.loads(facts) for facts in connection.execute(query.order_by(audit_events.c.number)).scalars()]


def test_what_is_watched_are_settings() -> None:
    assert set(WATCHED) <= SETTINGS.keys()


def test_the_first_instance_records_all_and_the_next_nothing() -> None:
    assert record_settings(load_settings(), key_ring())
    assert not record_settings(load_settings(), key_ring())
    (event,) = events()
    assert event["changed"] == list(WATCHED)


def test_a_change_is_told_by_its_name_and_not_by_its_value() -> None:
    record_settings(load_settings(gemini_api_key="one secret", daily_usd=10.0), key_ring())
    assert record_settings(load_settings(gemini_api_key="another secret", daily_usd=10.0), key_ring())
    assert events()[1]["changed"] == ["gemini_api_key"]
    assert record_settings(load_settings(gemini_api_key="another secret", daily_usd=1e6), key_ring())
    assert events()[2]["changed"] == ["daily_usd"]
    assert "secret" not in json.dumps(events())
    assert "1000000" not in json.dumps(events())


def test_a_setting_that_does_not_decide_about_access_may_change() -> None:
    record_settings(load_settings(), key_ring())
    assert not record_settings(load_settings(port=8123, log_level="DEBUG"), key_ring())


def test_where_the_platform_names_no_service_the_image_names_the_function() -> None:
    query = load_settings(function_target="query", gemini_api_key="one secret")
    retention = load_settings(function_target="retention")
    assert [record_settings(one, key_ring()) for one in (query, retention, query, retention)] == [
        True, True, False, False,
    ]  # fmt: skip


def test_functions_of_one_deployment_that_differ_record_themselves_once_each() -> None:
    query = load_settings(k_service="query", google_audiences="https://query.example")
    documents = load_settings(k_service="documents", google_audiences="https://documents.example")
    assert [record_settings(one, key_ring()) for one in (query, documents, query, documents)] == [
        True,
        True,
        False,
        False,
    ]
    assert record_settings(load_settings(k_service="query", google_audiences="https://new.example"), key_ring())
    assert events()[-1]["changed"] == ["google_audiences"]


def test_another_instance_that_was_faster_has_recorded_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from common.security import settings_record as module

    record_settings(load_settings(), key_ring())
    last = module._last
    found: list[dict[str, str]] = [{"environment": "other"}]
    monkeypatch.setattr(module, "_last", lambda *asked: found.pop() if found else last(*asked))
    assert not record_settings(load_settings(), key_ring())
    assert len(events()) == 1


def test_an_instance_looks_once() -> None:
    assert settings_recorded() is settings_recorded() is True
    assert len(events()) == 1

"""A document that holds personal data is told of, by counts alone."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from common.knowledge.personal_data import warn_of_personal_data
from common.knowledge.vectors import MemoryVectors
from tests.knowledge_fakes import DIMENSIONS, TENANT, document, store_over
from tests.log_lines import log_lines

PERSONAL = "Write to ana@example.com or bob@example.com; SSN 219-47-1120."


def test_identifiers_are_counted_by_kind_and_none_of_them_is_said() -> None:
    with log_lines() as lines:
        warn_of_personal_data([PERSONAL, "Raw land: 65 percent.", "Or ask eve@example.com."])
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("document.holds_personal_data", "warning")
    assert (line["documents"], line["count"], line["kinds"]) == (2, 4, ["EMAIL 3", "SSN 1"])
    assert not any(word in str(line) for word in ("ana", "bob", "219"))


@pytest.mark.parametrize("text", ["Raw land: 65 percent.", "The server is 10.0.0.1.", ""])
def test_what_points_to_no_person_is_not_told(text: str) -> None:
    with log_lines() as lines:
        warn_of_personal_data([text])
    assert lines == []


def test_a_document_is_told_of_when_it_is_stored_and_not_again(sqlite_database: Engine) -> None:
    store = store_over(sqlite_database, MemoryVectors(DIMENSIONS))
    with log_lines() as lines:
        store.put([replace(document(), text=PERSONAL)], tenant=TENANT)
        store.put([replace(document(), text=PERSONAL)], tenant=TENANT)
    assert [line["event"] for line in lines].count("document.holds_personal_data") == 1

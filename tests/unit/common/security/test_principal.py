"""Roles, scopes and tenants."""

import pytest

from common.security.principal import ANONYMOUS, NOBODY, ROLES, SCOPES, Principal, is_tenant


def test_a_principal_may_what_its_scopes_say_and_what_is_public() -> None:
    viewer = Principal(id="key:a", tenant="default", scopes=ROLES["viewer"])
    assert viewer.may("documents:read")
    assert viewer.may("public")
    assert not viewer.may("documents:write")
    assert not NOBODY.may("query:ask")
    assert all(map(ANONYMOUS.may, SCOPES))


def test_an_admin_may_all_that_is_its_tenants_and_only_those_who_ingest_may_write() -> None:
    assert SCOPES - ROLES["admin"] == {"costs:all"}
    assert {role for role, scopes in ROLES.items() if "costs:all" in scopes} == {"service"}
    assert {role for role, scopes in ROLES.items() if "documents:write" in scopes} == {"admin", "service"}
    assert "query:ask" not in ROLES["service"]
    assert ROLES["viewer"] < ROLES["analyst"] < ROLES["admin"]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("default", True), ("bank-a_2", True), ("0", True), ("a" * 64, True), ("a" * 65, False), ("", False),
     ("Bank", False), ("-a", False), ("a b", False), ("a/b", False), ("ä", False), ("a\n", False)],
)  # fmt: skip
def test_a_tenant_is_a_short_plain_word(name: str, is_one: bool) -> None:
    assert is_tenant(name) is is_one

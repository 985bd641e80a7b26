"""Whose budgets a report shows to whom."""

from pathlib import Path

from common.costs import ledger
from common.database.engine import read, write
from functions.cost_report.budget_states import budget_states
from tests.budget_files import budget, budget_file
from tests.instance import instance
from tests.ledgers import NOW, entry


def test_what_a_principal_of_several_tenants_spends_is_told_to_none_of_them(tmp_path: Path) -> None:
    each = budget(id="each", scope="principal", of="*", period="day")
    with instance(tmp_path, BUDGET_FILE=str(budget_file(tmp_path, each))):
        from common.database.engine import engine

        with write(engine()) as connection:
            of_command_line = [entry(principal="cli", tenant=tenant) for tenant in ("acme", "other")]
            ledger.add(connection, [entry(), *of_command_line])
        with read(engine()) as connection:
            assert [one.scope for one in budget_states(connection, NOW, "acme")] == ["principal key:acme"]
            assert len(budget_states(connection, NOW, None)) == 2

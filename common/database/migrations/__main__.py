"""The schema's versions, for deploys and for who writes migrations: `python -m common.database.migrations upgrade`.

upgrade: to this program's newest version; once for each deploy, before traffic. downgrade VERSION: down, while the
newer program is still at hand. status: what goes with what. draft "MESSAGE": a new migration from the tables.

A release expands and never contracts what the one before it needs. Expanding is to add: tables, indexes, columns that
may be null; then the revision that still runs, and the one that is rolled back to, go on on the new schema. Dropping,
renaming and NOT NULL come in a later release, from when on no revision that needs or writes the old form is rolled back
to, and such a migration states so (`oldest_program`). No trigger or constraint refuses what a program that the schema
takes writes. See docs/decisions/0032-expand-then-contract.md.

One line on stdout; what goes wrong is one line on stderr. Exit code 0: done. 1: it could not be done. 2: it was asked
for in a way that cannot be.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from common.database import moving
from common.database.engine import DatabaseUnavailable, create_engine_for
from common.database.schema import DatabaseTooNew
from common.problems import AssistantError
from common.settings import InvalidSettings, settings

FAILED = 1
CANNOT = 2
_LOCK_NOT_AVAILABLE = "55P03"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _end(f"{message}; --help tells more", CANNOT)


def main(arguments: Sequence[str]) -> None:
    chosen = _parser().parse_args(arguments)
    try:
        done = _do(chosen)
    except (InvalidSettings, moving.CannotMove) as error:
        _end(str(error), CANNOT)
    except Exception as error:  # noqa: BLE001  # told in one line, for deploys' logs
        if settings().log_level == "DEBUG":
            traceback.print_exc()
        _end(_in_words(error), FAILED)
    sys.stdout.write(f"{done}\n")


def _do(chosen: argparse.Namespace) -> str:
    if chosen.command == "draft":
        from common.database.migrations.drafting import draft

        draft(chosen.message)
        return "Drafted: read and complete it."
    engine = create_engine_for(settings().database_location())
    try:
        if chosen.command == "upgrade":
            return str(moving.upgrade(engine))
        if chosen.command == "downgrade":
            return str(moving.move(engine, chosen.version, may_lose=chosen.yes))
        return moving.status(engine)
    finally:
        engine.dispose()


def _in_words(error: Exception) -> str:
    if isinstance(error, DatabaseTooNew):
        return str(error)
    if isinstance(error, DatabaseUnavailable) and _is_held(error):
        return "others hold a table that is to be changed; nothing is changed: run it again"
    if isinstance(error, DatabaseUnavailable):
        return f"{error.title} ({type(error.__cause__).__name__}): check DATABASE_URL, and whether it answers"
    if isinstance(error, SQLAlchemyError):  # its words may hold what is stored
        return f"a migration failed and changed nothing ({type(error).__name__}); LOG_LEVEL=DEBUG shows where"
    if isinstance(error, AssistantError):
        return ": ".join(filter(None, [error.title, error.detail]))
    return f"unexpected {type(error).__name__}; LOG_LEVEL=DEBUG shows where"


def _is_held(error: DatabaseUnavailable) -> bool:
    driver = getattr(error.__cause__, "orig", None)
    return getattr(driver, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="migrations", description="The schema's versions. See the module's own words.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="to this program's newest version")
    down = commands.add_parser("downgrade", help="to an older version")
    down.add_argument("version", metavar="VERSION")
    down.add_argument("--yes", action="store_true", help="also where that deletes what is stored")
    commands.add_parser("status", help="the schema's version, and this program's")
    new = commands.add_parser("draft", help="a new migration, from common/database/tables.py")
    new.add_argument("message", metavar="MESSAGE")
    return parser


def _end(words: str, code: int) -> NoReturn:
    sys.stderr.write(f"migrations: {words}\n")
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

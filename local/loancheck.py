"""The command line: `loancheck run | migrate | ingest | ask | doctor | keys | audit | data | cost | deploy | ...`."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from common.logging import frames_of, setup_logging
from common.problems import AssistantError
from common.security.principal import DEFAULT_TENANT
from common.settings import InvalidSettings, settings
from local import auditing, backups, costing, data_rights, deploying, keys, saving
from local.printable import on_one_line, printable
from local.refusal import Refused

if TYPE_CHECKING:
    from local.ingest import Failure, Progress

COULD_NOT_READ_ALL = 1
FAULTS_FOUND = 1
CANNOT = 2
INTERRUPTED = 130

app = typer.Typer(
    name="loancheck",
    help="Run and fill the lending assistant on this machine.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")
app.add_typer(auditing.app, name="audit")
app.add_typer(data_rights.app, name="data")
app.add_typer(costing.app, name="cost")
app.add_typer(deploying.app, name="deploy")
app.command("backup")(backups.backup_command)
app.command("restore")(backups.restore_command)
costing.app.command("savings")(saving.savings_command)
app.command("savings", hidden=True)(saving.savings_command)  # the same, for whoever looks for it here


@app.command()
def run() -> None:
    """Run all functions on HOST:PORT, with the sample knowledge base loaded."""
    from local import emulator

    emulator.run(settings(), _say)


@app.command()
def migrate(
    to: Annotated[str | None, typer.Option(help="Version to go to, up or down; else the newest.", metavar="N")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Also where that deletes what is stored.")] = False,
) -> None:
    """Bring the database to the newest schema, or to a version by its number.

    Exit code 0: it is there. 2: it cannot be brought there, or only with --yes.
    """
    from common.database import moving
    from common.database.engine import create_engine_for
    from local.state import check_writable

    check_writable(settings().data_dir)
    engine = create_engine_for(settings().database_location())
    try:
        _say(str(moving.upgrade(engine) if to is None else moving.move(engine, to, may_lose=yes)))
    except moving.CannotMove as error:
        raise Refused(str(error)) from None
    finally:
        engine.dispose()


@app.command()
def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders and files: .md .txt .html .pdf .docx .csv", metavar="PATH...")
    ],
    base: Annotated[Path | None, typer.Option(help="Folder that document ids begin below.", metavar="DIR")] = None,
    tenant: Annotated[str, typer.Option(help="Whose documents these are.")] = DEFAULT_TENANT,
) -> None:
    """Store documents in the knowledge base. What is unchanged is left alone.

    Exit code 0: all read. 1: some could not be read. 2: a path is not there.
    """
    from local.ingest import find
    from local.ingest import ingest as store
    from local.state import CLI, audited, prepare

    found = find(paths, base)
    put = prepare(settings(), tenant, actor=CLI)
    with _progress(len(found.sources)) as progress:
        outcome = audited(
            found,
            tenant,
            lambda: store(found, put, max_characters=settings().max_document_characters, progress=progress),
        )
    for failure in outcome.failures:
        _complain(_could_not_read(failure))
    _say(str(outcome))
    if outcome.failures:
        raise typer.Exit(COULD_NOT_READ_ALL)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, in plain words.")],
    url: Annotated[str | None, typer.Option(help="Where the emulator listens; without it HOST and PORT.")] = None,
) -> None:
    """Ask the running emulator, and print the answer with its citations."""
    from local.asking import ask as answer
    from local.asking import in_words

    where = url or f"http://{settings().host}:{settings().port}"
    _say(in_words(answer(where, question, settings().api_key)))


@app.command()
def doctor(
    url: Annotated[str | None, typer.Option(help="Where the functions listen; without it HOST and PORT.")] = None,
) -> None:
    """Look for the usual faults: packages, imports, health, metrics and traces that do not arrive; and say the fix.

    Exit code 0: none found. 1: some are.
    """
    from local.asking import checked
    from local.doctor import examine

    setup_logging(log_level="CRITICAL")  # libraries would tell each failed attempt between the lines
    where = checked(url or f"http://{settings().host}:{settings().port}")
    has_faults = False
    for diagnosis in examine(where, settings()):
        _say(str(diagnosis))
        has_faults |= diagnosis.verdict == "fault"
    if has_faults:
        raise typer.Exit(FAULTS_FOUND)


@app.command("settings")
def print_settings() -> None:
    """Print every setting with its default, as .env.example."""
    from local.env_example import env_example

    sys.stdout.write(env_example())


@app.command("functions")
def print_functions() -> None:
    """List the functions that are deployed and that `run` serves."""
    from local.catalogue import load_catalogue, table

    _say(table(load_catalogue()))


def main() -> None:
    """The way in: whatever goes wrong is one line on stderr and an exit code."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        _end(f"{error.format_message()} See loancheck --help.")
    except Exception as error:  # noqa: BLE001  # told in one line below, never as a traceback
        if _is_debugging():
            traceback.print_exc()
        _end(_in_one_line(error))
    if code == INTERRUPTED:
        _complain("stopped")
    sys.exit(code if isinstance(code, int) else 0)


def _in_one_line(error: Exception) -> str:
    """What went wrong: errors meant for people in their own words, any other by its type and place."""
    if isinstance(error, (Refused, InvalidSettings)):
        return str(error)
    from sqlalchemy.exc import SQLAlchemyError

    from common.database.engine import DatabaseBehind, DatabaseUnavailable
    from common.database.schema import DatabaseTooNew

    if isinstance(error, DatabaseTooNew):
        return str(error)
    if isinstance(error, DatabaseBehind):
        return f"{error.title}. {error.detail}"
    if isinstance(error, SQLAlchemyError):  # its words may hold the address and the statement
        reason = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
        return f"the database cannot be used ({type(reason).__name__}): check DATABASE_URL and DATA_DIR"
    if isinstance(error, AssistantError):
        return ": ".join(filter(None, [error.title, error.detail]))
    place = (frames_of(error) or ["?"])[-1]
    return f"unexpected {type(error).__name__} at {place}; LOG_LEVEL=DEBUG shows how it came about"


def _is_debugging() -> bool:
    try:
        return settings().log_level == "DEBUG"
    except InvalidSettings:
        return False


def _could_not_read(failure: "Failure") -> str:
    return f"could not read {failure.path}: {failure.reason}"


@contextmanager
def _progress(files: int) -> "Iterator[Progress]":
    """A bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _files: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=files)
        yield lambda done: bar.advance(task, done)


def _say(words: str) -> None:
    typer.echo(printable(words))
    sys.stdout.flush()


def _complain(words: str) -> None:
    typer.echo("loancheck: " + on_one_line(words), err=True)  # there may be a file's name in it


def _end(words: str) -> NoReturn:
    _complain(words)
    sys.exit(CANNOT)


if __name__ == "__main__":
    main()

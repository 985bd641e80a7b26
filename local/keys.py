"""`loancheck keys create | list | rotate | revoke | rotate-data`: who may call this installation, and what seals it.

A key is printed once, alone on the last line of stdout, where a script can take it; it cannot be shown again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from common.security.principal import DEFAULT_TENANT, ROLES
from common.settings import settings
from local.refusal import Refused

if TYPE_CHECKING:  # the database comes with the command that needs it, not with `loancheck --help`
    from common.security.api_keys import ApiKeys, KnownKey, NewKey

MAX_DAYS = 3_650

UNREADABLE = 1

app = typer.Typer(help="Give out API keys, and take them back; rotate the data key.", rich_markup_mode=None)

KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id, the part between lcc_ and the secret.")]
TenantOption = Annotated[str | None, typer.Option(help="Only the keys of this tenant.")]


@app.command()
def create(
    role: Annotated[str, typer.Option(help=f"What the key may do: {', '.join(ROLES)}.")],
    tenant: Annotated[str, typer.Option(help="Whose sessions and documents it reaches.")] = DEFAULT_TENANT,
    scope: Annotated[
        list[str] | None, typer.Option(help="One of the role's scopes, and no others; may be given again.")
    ] = None,
    label: Annotated[str, typer.Option(help="What the key is for, for the list; stored encrypted.")] = "",
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=MAX_DAYS, help="Days until it ends; without it, it does not end by itself.")
    ] = None,
) -> None:
    """Make a key and print it, this once."""
    ends = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with _keys() as keys:
        made = keys.create(role=role, tenant=tenant, scopes=scope or None, label=label, expires_at=ends)
    _show(made)


@app.command("list")
def list_keys(tenant: TenantOption = None) -> None:
    """List all keys, newest first; their secrets are not kept."""
    with _keys() as keys:
        typer.echo(table(keys.known(tenant)))


@app.command()
def rotate(
    key_id: KeyArgument,
    overlap_hours: Annotated[float, typer.Option(help="How long the old key is still let in, in hours.")] = 24.0,
) -> None:
    """Make a key in place of another, and print it, this once; for a while both are let in."""
    with _keys() as keys:
        made = keys.rotate(key_id, overlap_hours=overlap_hours)
    typer.echo(f"The key {key_id} ends in {overlap_hours:g} hours, or when it was to end anyway, if that is sooner.")
    _show(made)


@app.command()
def revoke(key_id: KeyArgument) -> None:
    """End a key now. Functions that have it in memory notice within AUTH_CACHE_SECONDS."""
    with _keys() as keys:
        was_let_in = keys.revoke(key_id)
    after = "let in no more" if was_let_in else "let in no more; it was not before, either"
    typer.echo(f"The key {key_id} is {after}.")


@app.command("rotate-data")
def rotate_data() -> None:
    """Make a new data key, and encrypt all that is stored about persons anew by it, while everything runs on.

    May be stopped at any time and run again. Exit code 0: all is sealed by the new key. 1: some cannot be opened.
    """
    from local import rotating
    from local.state import check_writable

    check_writable(settings().data_dir)
    done = rotating.rotate_data(lambda words: typer.echo(words, err=True))
    for line in rotating.in_words(done):
        typer.echo(line)
    if done.unreadable:
        raise typer.Exit(UNREADABLE)


def table(keys: "Sequence[KnownKey]") -> str:
    """The keys as aligned columns, one line each; times in UTC."""
    rows = [("ID", "TENANT", "ROLE", "STATE", "CREATED", "EXPIRES", "LAST USED", "SCOPES", "LABEL")]
    rows += [
        (
            key.id, key.tenant, key.role, key.state, _minute(key.created_at), _minute(key.expires_at),
            _minute(key.last_used_at), ",".join(key.scopes), key.label,
        )
        for key in keys
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


@contextmanager
def _keys() -> "Iterator[ApiKeys]":
    """The keys of this installation's database; what they refuse is told in one line."""
    from common.security.api_keys import KeyRefused, api_keys
    from local.state import check_writable

    check_writable(settings().data_dir)
    try:
        yield api_keys()
    except KeyRefused as error:
        raise Refused(str(error)) from None


def _show(made: "NewKey") -> None:
    ends = "does not end by itself" if made.expires_at is None else f"ends at {_minute(made.expires_at)} UTC"
    typer.echo(f"The key {made.id} {ends}. It is shown this once: keep it as you keep passwords.")
    typer.echo(made.text)


def _minute(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}"

"""Tables for a terminal."""

import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from local.printable import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 160  # columns, where it is not told how wide the reader's window is


def table_of(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """A head that begins with > is of a column of amounts: those end at the right."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, pad_edge=False)
    for head in heads:
        table.add_column(Text(head.removeprefix(">")), justify="right" if head.startswith(">") else "left")
    for row in rows:
        table.add_row(*(Text(on_one_line(str(cell))) for cell in row))
    return table


def printed(*tables: "Table") -> str:
    """`tables` as text, one below the other."""
    from rich.console import Console

    text = StringIO()
    console = Console(file=text, width=None if sys.stdout.isatty() else WIDE, color_system=None, highlight=False)
    for table in tables:
        console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"

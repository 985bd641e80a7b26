"""What SQLite's errors are told by. Without SQLAlchemy: whoever only checks a database asks here too."""

import sqlite3


def primary_code(error: sqlite3.Error) -> int:
    """The result code without what is added to it; 0 for an error of Python's own, as of text that is no UTF-8.

    Source: https://www.sqlite.org/rescode.html
    """
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF

"""Wait until the database's schema is one that this program runs on; for an init container, by `python -c`.

A new pod that did not wait would be ready, take an old one's place, and answer that the database is behind.
"""

import sys
import time

from common.database.engine import DatabaseUnavailable, engine
from common.database.schema import DatabaseTooNew
from common.settings import InvalidSettings

_POLL_SECONDS = 2.0


def wait() -> None:
    """Says on stderr what it waits for, each time that is something else.

    Raises:
        InvalidSettings: waiting would not help.
    """
    said = ""
    while True:
        try:
            engine()
        except (DatabaseUnavailable, DatabaseTooNew) as error:
            words = f"{type(error).__name__}: {getattr(error, 'detail', None) or error}"
            if words != said:
                print(words, file=sys.stderr, flush=True)  # noqa: T201  # for the pod's log
                said = words
            time.sleep(_POLL_SECONDS)
        else:
            return


if __name__ == "__main__":
    try:
        wait()
    except InvalidSettings as error:
        sys.exit(str(error))

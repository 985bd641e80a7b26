"""Key rings for tests, over any database."""

from sqlalchemy import Engine

from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing


def ring_over(database: Engine) -> KeyRing:
    """Keys wrapped by the same key each time, so that two rings over one database open each other's."""
    ring = KeyRing.over(database, [FileKey(bytes(range(32)))])
    ring.complete()
    return ring

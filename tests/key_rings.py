"""Key rings for tests, each with a key-encryption key of its own."""

import os

from sqlalchemy import Engine

from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing


def ring_over(database: Engine) -> KeyRing:
    """A complete key ring over `database`."""
    ring = KeyRing.over(database, [FileKey(os.urandom(32))])
    ring.complete()
    return ring

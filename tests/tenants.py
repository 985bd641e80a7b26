"""Two tenants with a principal each, and a key ring over any database, for tests of what belongs to whom."""

from sqlalchemy import Engine

from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing
from common.security.principal import SCOPES, Principal

ACME = Principal(id="key-acme", tenant="acme", scopes=SCOPES)
OTHER = Principal(id="key-other", tenant="other", scopes=SCOPES)


def ring_over(database: Engine) -> KeyRing:
    """Keys wrapped by the same key each time, so that two rings over one database open each other's."""
    ring = KeyRing.over(database, [FileKey(bytes(range(32)))])
    ring.complete()
    return ring

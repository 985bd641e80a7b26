"""What is stored about persons is sealed: AES-256-GCM under a data key, bound to its column, its tenant and its row.

A sealed value is these bytes, one after the other:

    1 byte     1, the version of this form
    4 bytes    the number of the data key, big endian
    12 bytes   a random nonce
    the rest   the encrypted content, and 16 bytes by which any change is noticed

The first five bytes, the column and the row are authenticated along with it, so a value that is moved to another row
or column cannot be opened there. A row is named by `row_of` with its tenant: given to another one, it cannot be opened
either. With random nonces one key may seal 2**32 values before two of them are the same
with a chance worth mentioning (NIST SP 800-38D, 8.3): at a hundred a second that takes 16 months. Rotate yearly.
"""

import os
from typing import TYPE_CHECKING

from common.once import once
from common.security.key_encryption import NONCE_BYTES, CannotOpen

if TYPE_CHECKING:
    from common.security.keyring import KeyRing

__all__ = ["API_KEY_LABEL", "IDEMPOTENT_BODY", "TURN_CONTENT", "CannotOpen", "Sealer", "prefix_of", "row_of", "sealer"]

TURN_CONTENT = "turns.content"
API_KEY_LABEL = "api_keys.label"
IDEMPOTENT_BODY = "idempotent_answers.body"

VERSION = b"\x01"
PREFIX_BYTES = 5  # version and key
_TAG_BYTES = 16
_LEAST_BYTES = PREFIX_BYTES + NONCE_BYTES + _TAG_BYTES


class Sealer:
    """Seals and opens with the keys of one ring. Safe to share between threads."""

    def __init__(self, ring: "KeyRing") -> None:
        self._ring = ring

    def seal(self, content: bytes, column: str, row: str) -> bytes:
        """`content`, 33 bytes longer, to be opened only with the same `column` ("turns.content") and `row` (`row_of`).

        Sealing the same twice gives two different values.

        Raises:
            InvalidSettings, DatabaseUnavailable, KeysUnavailable, CannotOpen: as `KeyRing.sealing`.
        """
        key = self._ring.sealing()
        prefix = prefix_of(key.id)
        nonce = os.urandom(NONCE_BYTES)
        return prefix + nonce + key.aead.encrypt(nonce, content, _bound_to(prefix, column, row))

    def open(self, sealed: bytes, column: str, row: str) -> bytes:
        """What was sealed for `column` and `row`.

        Raises:
            CannotOpen: it was not sealed for them, was changed, or its key is gone.
            InvalidSettings, DatabaseUnavailable, KeysUnavailable: as `KeyRing.opening`.
        """
        from cryptography.exceptions import InvalidTag

        if len(sealed) < _LEAST_BYTES or not sealed.startswith(VERSION):
            raise CannotOpen
        prefix, nonce = sealed[:PREFIX_BYTES], sealed[PREFIX_BYTES : PREFIX_BYTES + NONCE_BYTES]
        key = self._ring.opening(int.from_bytes(prefix[1:]))
        try:
            return key.aead.decrypt(nonce, sealed[PREFIX_BYTES + NONCE_BYTES :], _bound_to(prefix, column, row))
        except InvalidTag:
            raise CannotOpen from None


@once
def sealer() -> Sealer:
    """This instance's sealer. What `key_ring` says of its first call holds for this one's too."""
    from common.security.keyring import key_ring

    return Sealer(key_ring())


def row_of(tenant: str, uid: str) -> str:
    """The row `uid` of `tenant`, by the name that sealed values are bound to; no other two have the same."""
    return f"{len(tenant)}:{tenant}:{uid}"


def prefix_of(key_id: int) -> bytes:
    """What every value that the key `key_id` seals begins with."""
    return VERSION + key_id.to_bytes(4)


def _bound_to(prefix: bytes, column: str, row: str) -> bytes:
    """Each part with its length before it, so that no other column and row come out as the same bytes."""
    parts = (column.encode(), row.encode())
    return prefix + b"".join(len(part).to_bytes(4) + part for part in parts)

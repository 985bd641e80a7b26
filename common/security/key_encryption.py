"""The key-encryption key: it wraps the data keys, so that whoever has the database alone can open nothing.

It never lies in the database. On one machine it is a file; in production Cloud KMS, which never gives it away, or a
file that the platform mounts.
"""

import os
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from common.problems import AssistantError, Unavailable
from common.settings import InvalidSettings, Settings

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12
DEFAULT_FILE = Path("keys") / "key-encryption-key"


class CannotOpen(AssistantError):
    """What was sealed or wrapped cannot be opened: it was changed, cut, moved to another place, or its key is gone.

    Which of these it was, and what or which key it was about, is not said.
    """

    type = "/problems/cannot-open"
    title = "What is stored cannot be opened"
    status = HTTPStatus.INTERNAL_SERVER_ERROR


class KeysUnavailable(Unavailable):
    """Cloud KMS, which unwraps the data keys, cannot be reached, refuses, or does not answer as it should."""

    type = "/problems/keys-unavailable"
    title = "The keys that open what is stored are not available"


class KeyEncryptionKey(Protocol):
    """Wraps data keys. Safe to share between threads.

    `name` tells it from every other key-encryption key, in up to 256 characters, and may be shown. `context` is not
    secret; what was wrapped with one context cannot be unwrapped with another.
    """

    @property
    def name(self) -> str: ...

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Raises KeysUnavailable."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Raises CannotOpen, KeysUnavailable."""
        ...


class FileKey:
    """32 random bytes in a file that nobody but its owner may read; they are used as a key of AES-256-GCM."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(key)
        self._name = f"file:{_fingerprint(key)}"

    @classmethod
    def at(cls, path: Path, *, made_where_missing: bool) -> "FileKey":
        """The key in the file at `path`.

        Raises:
            InvalidSettings: it is missing and not to be made, it or its folder cannot be read or made, others than
                its owner may read or write it, or it does not hold 32 bytes.
        """
        try:
            if made_where_missing and not path.exists():
                _make(path)
            return cls(_read(path))
        except FileNotFoundError:
            raise InvalidSettings("KEY_FILE: there is no such file, and in its place none is made here") from None
        except OSError as error:
            raise InvalidSettings(f"KEY_FILE: cannot be read or made ({error.strerror})") from None

    @property
    def name(self) -> str:
        return self._name

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):  # ValueError: it is too short to hold a nonce
            raise CannotOpen from None


def key_encryption_keys(settings: Settings, *, is_new: Callable[[], bool] = lambda: True) -> Sequence[KeyEncryptionKey]:
    """The key that wraps, and after it the one that only unwraps what it wrapped before.

    A file that is missing is made where the database `is_new`: without data keys that another one has wrapped, none of
    which a key that is made now could open.

    There are two where both KMS_KEY and KEY_FILE are set: a move from the file to Cloud KMS, which
    `loancheck keys rotate-data` completes.

    Raises:
        InvalidSettings: none can be used; or in production none is named, or a file that is missing.
    """
    if settings.kms_key is not None:
        from common.security.cloud_kms import CloudKmsKey

        kms = CloudKmsKey(settings.kms_key, settings.kms_endpoint)
        if settings.key_file is None:
            return (kms,)
        return kms, FileKey.at(settings.key_file, made_where_missing=False)
    if settings.key_file is None and settings.is_production:
        raise InvalidSettings(
            "KMS_KEY, KEY_FILE: in production one of them must be set, for each instance would make a key of its own"
        )
    # A secret that was to be mounted and is not there must not be replaced by a new one, which opens nothing.
    path = settings.key_file or settings.data_dir / DEFAULT_FILE
    may_be_made = not settings.is_production and (path.exists() or is_new())
    return (FileKey.at(path, made_where_missing=may_be_made),)


def _fingerprint(key: bytes) -> str:
    """Tells two keys apart; of 256 random bits it gives nothing away."""
    import hmac

    return hmac.digest(key, b"the name of this key-encryption key", "sha256")[:16].hex()


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        # By what was opened, not by the path: what is checked is what is read, whatever is put in its place.
        if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidSettings("KEY_FILE: others than its owner may read or write it; its mode must be 0600 or 0400")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise InvalidSettings(f"KEY_FILE: does not hold a key of {KEY_BYTES} bytes")
    return key


def _make(path: Path) -> None:
    """A new key at `path`, whole or not at all; where another process makes one at the same time, its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  by its descriptor
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename, it never takes the place of a key that is there
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Without this a power failure could take the key away, and leave what it has wrapped."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

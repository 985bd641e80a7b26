"""What an instance makes once, made anew: a test that changes the settings begins and ends with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from common.database.engine import engine
from common.once import Once
from common.security.key_encryption import FileKey
from common.security.keyring import KeyRing, key_ring
from common.settings import settings


def ring_over(database: Engine) -> KeyRing:
    """A key ring over `database` with a key-encryption key of its own, complete."""
    ring = KeyRing.over(database, [FileKey(os.urandom(32))])
    ring.complete()
    return ring


@contextmanager
def fresh_instance(folder: Path, *made_once: Once[Any], **environment: str) -> Iterator[None]:
    """Inside, this process is an instance that has just begun, with its state in `folder`; `environment` is set.

    `made_once`: further factories that forget what they made, before and after.
    """
    factories: tuple[Once[Any], ...] = (*made_once, key_ring, engine, settings)  # Any: made of whatever

    def forget() -> None:
        for one in factories:
            one.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"DATA_DIR": str(folder), **environment}.items():
            patch.setenv(name, value)
        forget()
        yield
        engine().dispose()
    forget()

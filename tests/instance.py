"""An instance of the product within a test's own process: settings from the environment, everything else made anew."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.once import Once
from tests.databases import database_in

OURS = ("common.", "functions.", "local.")


@contextmanager
def instance(folder: Path, **settings: str) -> Iterator[Path]:
    """State below `folder`, settings by their names in capitals; what was made is closed and forgotten at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # without anybody's .env
        patch.setenv("DATA_DIR", str(folder))
        for name, value in settings.items():
            patch.setenv(name, value)
        if "DATABASE_URL" not in os.environ:
            database_in(folder)
        _forget()
        try:
            yield folder
        finally:
            _close()
            _forget()


def _forget() -> None:
    for module in [module for name, module in sys.modules.items() if name.startswith(OURS)]:
        for value in list(vars(module).values()):
            if isinstance(value, Once):
                value.cache_clear()


def _close() -> None:
    engine = sys.modules.get("common.database.engine")
    if engine is not None and engine.engine._made:
        engine.engine().dispose()

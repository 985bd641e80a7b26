"""An SQLite database with all migrations: made once for each process of tests, and copied from then on."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from common.database.engine import create_engine_for, migrate

_FILE = Path("database") / "loan_collateral.db"  # below DATA_DIR


@functools.cache
def migrated_sqlite() -> Path:
    """To be copied, not opened."""
    folder = Path(tempfile.mkdtemp(prefix="loancheck-migrated-"))
    atexit.register(shutil.rmtree, folder)
    engine = create_engine_for(f"sqlite:///{folder / 'template.db'}")
    migrate(engine)
    engine.dispose()  # the last connection to close moves the write-ahead log into the file
    return folder / "template.db"


def database_in(data: Path) -> Path:
    """The database's file below the DATA_DIR `data`: a fresh, migrated one, where there was none."""
    file = data / _FILE
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(migrated_sqlite(), file)  # with its permissions
    return file

"""What the cloud costs, by day, out of an export of its bill in FOCUS columns: CSV files, or a BigQuery table.

The cost that counts is EffectiveCost: what was used that day, with the share of anything that was paid ahead. It
stands on the day (UTC) that its charge period begins. Rows of services that the ledger has already (the models', in
BILLING_EXPORT_EXCLUDES) are left out, so that nothing counts twice. Costs are added up in USD and never converted: with
a row in another currency there are no cloud costs at all, rather than a part of them.
"""

import functools
import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Literal, Protocol, TextIO, cast

from common.settings import Settings, settings
from functions.cost_report.billing_rows import BillingExportUnusable, Wanted, add_up

__all__ = ["BillingExportUnusable", "cloud_costs"]

MAX_ROWS = 5_000_000  # some twenty seconds of reading; more belongs in BigQuery

_Scheme = Literal["gs", "s3"]
_BUCKETS: Mapping[str, _Scheme] = {"gs": "gs", "s3": "s3"}
_BUCKET_PATH = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/[^\0]+")
_LOCATIONS = "a file or folder, gs://BUCKET/PATH, s3://BUCKET/PATH or bigquery://PROJECT.DATASET.TABLE"


class _Store(Protocol):
    """What is used of fsspec's file systems, which have no types. Paths are BUCKET/KEY."""

    def find(self, path: str) -> list[str]: ...
    def open(self, path: str, mode: str) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    is_compressed: bool
    open: Callable[[], IO[bytes]]


def cloud_costs(location: str, start: date, end: date, *, chosen: Settings | None = None) -> Mapping[date, Decimal]:
    """Costs in USD by day, from `start` to before `end`, of the export at `location` (as in BILLING_EXPORT).

    A day that the export has nothing of is not there: it may not have come yet. `chosen` are the settings for all
    else, this instance's unless given.

    Raises:
        BillingExportUnusable: it cannot be read, is too large or in another currency; names the line and the column
            where it is a file's.
    """
    chosen = chosen or settings()
    wanted = Wanted(start=start, end=end, excluded=_excluded(chosen.billing_export_excludes))
    scheme, separator, rest = location.partition("://")
    if separator and scheme == "bigquery":
        from functions.cost_report.billing_table import costs_of_table

        return costs_of_table(rest, wanted, chosen)
    if separator and scheme in _BUCKETS:
        return _from_files(functools.partial(_bucket_files, _BUCKETS[scheme], rest, chosen), wanted)
    if separator and not (scheme == "file" and rest.startswith("/")):
        raise BillingExportUnusable(f"must be {_LOCATIONS}")
    return _from_files(functools.partial(_local_files, Path(rest if separator else location)), wanted)


def _excluded(text: str) -> frozenset[str]:
    names = {name.strip().lower() for name in text.split(",")}
    return frozenset(names - {"", "none"})


def _from_files(find: Callable[[], Sequence[_File]], wanted: Wanted) -> Mapping[date, Decimal]:
    costs: dict[date, Decimal] = {}
    with _told(""):
        files = find()
    if not files:
        raise BillingExportUnusable("there is no .csv or .csv.gz file")
    rows_left = MAX_ROWS
    for number, file in enumerate(files, start=1):
        where = f"file {number}, in the order of names: " if len(files) > 1 else ""
        with _told(where), _text(file) as text:
            rows_left -= add_up(text, wanted, costs, where=where, most_rows=rows_left)
    return costs


def _local_files(path: Path) -> Sequence[_File]:
    paths = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [_local_file(one) for one in paths if _is_csv(one.name)]


def _local_file(path: Path) -> _File:
    return _File(is_compressed=path.suffix == ".gz", open=lambda: path.open("rb"))


def _bucket_files(scheme: _Scheme, path: str, chosen: Settings) -> Sequence[_File]:
    from common.archive import bucket_files

    if not _BUCKET_PATH.fullmatch(path):
        raise BillingExportUnusable(f"must be {_LOCATIONS}")
    is_archives = (chosen.archive_url or "").startswith(f"{scheme}://")
    store = cast("_Store", bucket_files(scheme, chosen.archive_endpoint if is_archives else None))
    paths = [path] if _is_csv(path) else sorted(filter(_is_csv, store.find(path)))
    return [_File(is_compressed=one.endswith(".gz"), open=functools.partial(store.open, one, "rb")) for one in paths]


def _is_csv(name: str) -> bool:
    return name.endswith((".csv", ".csv.gz"))


@contextmanager
def _text(file: _File) -> Iterator[TextIO]:
    """The file's text as it is read, never the whole of it."""
    with file.open() as raw:
        plain = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if file.is_compressed else raw
        with TextIOWrapper(plain, encoding="utf-8-sig", newline="") as text:
            yield text


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except BillingExportUnusable:
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BillingExportUnusable(f"{where}is no whole gzip file") from error
    except UnicodeDecodeError as error:
        raise BillingExportUnusable(f"{where}is no UTF-8 text") from error
    except FileNotFoundError as error:
        raise BillingExportUnusable(f"{where}is not there") from error
    except Exception as error:  # OSError, botocore, aiohttp, google.auth, gcsfs: each store has its own
        raise BillingExportUnusable(f"{where}cannot be read now") from error

"""The cloud's bill out of files, on this machine and in buckets: what counts, what does not, what cannot be used."""

import csv
import gzip
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.settings import Settings, load_settings
from functions.cost_report import billing_export
from functions.cost_report.billing_export import BillingExportUnusable, cloud_costs
from functions.cost_report.focus import Account, LedgerDayRow, focus_csv
from tests import servers
from tests.google_storage_server import google_storage

HEADER = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargePeriodStart", "ServiceName")
START, END = date(2026, 11, 1), date(2026, 12, 1)
FIRST = "2026-11-01T00:00:00Z"


def line(cost: str, *, starts: str = FIRST, service: str = "Cloud Run", currency: str = "USD") -> tuple[str, ...]:
    return ("999", cost, currency, starts, service)


def content(*rows: Sequence[str], header: Sequence[str] = HEADER) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


def costs(path: Path, *, chosen: Settings | None = None) -> dict[date, Decimal]:
    return dict(cloud_costs(str(path), START, END, chosen=chosen or load_settings()))


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    return tmp_path / "bill.csv"


def unusable(path: Path, reason: str) -> None:
    with pytest.raises(BillingExportUnusable) as told:
        costs(path)
    assert str(told.value) == f"BILLING_EXPORT: {reason}"


def test_costs_are_added_up_by_day(bill: Path) -> None:
    second = "2026-11-02T23:00:00Z"
    bill.write_bytes(content(line("0.1"), line("0.2"), line("1.000000000000001", starts=second), line("-0.5")))
    assert costs(bill) == {date(2026, 11, 1): Decimal("-0.2"), date(2026, 11, 2): Decimal("1.000000000000001")}


def test_only_days_from_the_start_to_before_the_end_count(bill: Path) -> None:
    days = ("2026-10-31T23:59:59Z", FIRST, "2026-11-30T23:00:00Z", "2026-12-01T00:00:00Z")
    bill.write_bytes(content(*(line("1", starts=day) for day in days)))
    assert costs(bill) == {date(2026, 11, 1): 1, date(2026, 11, 30): 1}


@pytest.mark.parametrize(
    "starts",
    [FIRST, "2026-11-01T00:00Z", "2026-11-01T00:00:00.000Z", "2026-11-01 00:00:00 UTC", "2026-11-01 00:00:00+00:00",
     "2026-10-31T17:00:00-07:00", "2026-11-01", " 2026-11-01T12:30:00Z "],
)  # fmt: skip
def test_a_day_is_that_of_utc_in_every_writing(bill: Path, starts: str) -> None:
    bill.write_bytes(content(line("1", starts=starts)))
    assert costs(bill) == {date(2026, 11, 1): 1}


def test_what_the_ledger_has_already_is_left_out(bill: Path) -> None:
    services = (
        "Gemini API",
        "vertex ai",
        "Generative Language API",
        " Vertex AI ",
        "Cloud Run",
        "Vertex AI Search",
        "",
    )
    bill.write_bytes(content(*(line("1", service=service) for service in services)))
    assert costs(bill) == {date(2026, 11, 1): 3}
    everything = load_settings(billing_export_excludes="none")
    assert costs(bill, chosen=everything) == {date(2026, 11, 1): 7}
    other = load_settings(billing_export_excludes="Cloud Run, Cloud SQL")
    assert costs(bill, chosen=other) == {date(2026, 11, 1): 6}


def test_our_own_rows_are_read_and_left_out_as_the_models(bill: Path) -> None:
    row = LedgerDayRow(
        day=START, tenant="acme", principal="k", agent="", step="draft", route="", provider="gcp.gemini",
        model="gemini-3.8-flash", calls=1, unpriced_calls=0, cost_usd=Decimal("0.5"),
    )  # fmt: skip
    bill.write_bytes(focus_csv([row], Account(id="lending")))
    assert costs(bill) == {}
    assert costs(bill, chosen=load_settings(billing_export_excludes="none")) == {START: Decimal("0.5")}


def test_a_compressed_file_and_one_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + content(line("1"))))
    assert costs(path) == {START: 1}
    assert dict(cloud_costs(f"file://{path}", START, END, chosen=load_settings())) == {START: 1}


def test_all_files_of_a_folder_count_and_others_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.csv").write_bytes(content(line("1")))
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(content(line("2"))))
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    assert costs(tmp_path) == {START: 3}


def test_a_file_without_rows_has_no_costs(bill: Path) -> None:
    bill.write_bytes(content())
    assert costs(bill) == {}


def test_empty_lines_are_passed_over(bill: Path) -> None:
    bill.write_bytes(content(line("1")) + b"\r\n\n")
    assert costs(bill) == {START: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (line("much"), "line 3: EffectiveCost is not a number"),
        (line(""), "line 3: EffectiveCost is not a number"),
        (line("nan"), "line 3: EffectiveCost is not an amount"),
        (line("1e999"), "line 3: EffectiveCost is not an amount"),
        (line("1", starts="yesterday"), "line 3: ChargePeriodStart is not a time, as 2026-11-29T00:00:00Z is"),
        (line("1", starts=""), "line 3: ChargePeriodStart is not a time, as 2026-11-29T00:00:00Z is"),
        (
            line("1", starts="0001-01-01T00:00:00+14:00"),
            "line 3: ChargePeriodStart is not a time, as 2026-11-29T00:00:00Z is",
        ),
        (
            line("1", currency="EUR"),
            "line 3: BillingCurrency is EUR, and costs are added up in USD only: nothing is converted",
        ),
        (line("1", currency="hunter2"), "line 3: BillingCurrency is no currency's code"),
        (("1", "2"), "line 3: has 2 columns, and the first line 5"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_line_and_column(bill: Path, row: Sequence[str], reason: str) -> None:
    bill.write_bytes(content(line("1"), row, line("1")))
    unusable(bill, reason)


def test_free_rows_and_other_days_may_be_in_another_currency(bill: Path) -> None:
    bill.write_bytes(
        content(line("0", currency="EUR"), line("5", currency="EUR", starts="2026-10-01T00:00:00Z"), line("1"))
    )
    assert costs(bill) == {START: 1}


def test_a_missing_column_is_named(bill: Path) -> None:
    bill.write_bytes(content(header=("EffectiveCost", "ServiceName", "cost")))
    unusable(bill, "line 1: there is no column ChargePeriodStart, BillingCurrency, as FOCUS has")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bill.csv", b"", "line 1: there is no column ChargePeriodStart, EffectiveCost, BillingCurrency, ServiceName, "
                          "as FOCUS has"),
        ("bill.csv", content() + b'"a\n', "line 2: is no CSV"),
        ("bill.csv", content() + b"\xff,1,USD,,\r\n", "is no UTF-8 text"),
        ("bill.csv.gz", content(), "is no whole gzip file"),
        ("bill.csv.gz", gzip.compress(content(line("1")))[:-9], "is no whole gzip file"),
        ("bill.parquet", b"PAR1", "there is no .csv or .csv.gz file"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_these_is_said_so(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    unusable(tmp_path / name, reason)


def test_of_several_files_the_bad_one_is_named_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content(line("1")))
    (tmp_path / "b.csv").write_bytes(content(line("x")))
    unusable(tmp_path, "file 2, in the order of names: line 2: EffectiveCost is not a number")


def test_what_is_not_there_or_may_not_be_read_is_said_without_its_name(tmp_path: Path) -> None:
    unusable(tmp_path / "secret.csv", "is not there")
    unusable(tmp_path / "none", "there is no .csv or .csv.gz file")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.csv" / "deep.csv").symlink_to(tmp_path / "gone")
    unusable(tmp_path / "folder.csv", "there is no .csv or .csv.gz file")


def test_too_many_rows_belong_into_bigquery(bill: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing_export, "MAX_ROWS", 2)
    bill.write_bytes(content(line("1"), line("1")))
    assert costs(bill) == {START: 2}
    bill.write_bytes(content(line("1"), line("1"), line("1")))
    unusable(bill, "line 4: the export has too many rows: put it into BigQuery")


@pytest.mark.parametrize(
    "location", ["ftp://host/bill.csv", "file://host/bill.csv", "gs://", "gs://bucket", "s3://../x", "gs://a/b\0c"]
)
def test_a_location_that_is_none_is_told_which_there_are(location: str) -> None:
    with pytest.raises(BillingExportUnusable, match="must be a file or folder, gs://BUCKET/PATH, s3://BUCKET/PATH or"):
        cloud_costs(location, START, END, chosen=load_settings())


CENTS = st.integers(-(10**12), 10**12).map(lambda units: Decimal(units).scaleb(-12))


@given(st.lists(st.tuples(CENTS, st.integers(-3, 33)), max_size=20))
def test_the_sum_is_exact_whatever_the_rows(rows: list[tuple[Decimal, int]]) -> None:
    moments = [(cost, datetime(2026, 11, 1, 5, tzinfo=UTC) + timedelta(days=days)) for cost, days in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bill.csv"
        path.write_bytes(content(*(line(f"{cost:f}", starts=moment.isoformat()) for cost, moment in moments)))
        found = costs(path)
    assert sum(found.values()) == sum(cost for cost, moment in moments if START <= moment.date() < END)
    assert found.keys() == {moment.date() for _, moment in moments if START <= moment.date() < END}


def test_files_in_a_bucket_of_googles_are_read() -> None:
    with google_storage("bills") as storage:
        storage.buckets["bills"] |= {
            "focus/BILLING_PERIOD=2026-11/Part 1.csv": content(line("1")),
            "focus/BILLING_PERIOD=2026-11/Part 2.csv.gz": gzip.compress(content(line("2"))),
            "focus/manifest.json": b"{}",
        }
        chosen = load_settings(archive_url="gs://examples/archive", archive_endpoint=storage.url)
        one = cloud_costs("gs://bills/focus/BILLING_PERIOD=2026-11/Part 1.csv", START, END, chosen=chosen)
        every = cloud_costs("gs://bills/focus", START, END, chosen=chosen)
        with pytest.raises(BillingExportUnusable, match="BILLING_EXPORT: is not there"):
            cloud_costs("gs://bills/focus/none.csv", START, END, chosen=chosen)
    assert (dict(one), dict(every)) == ({START: Decimal(1)}, {START: Decimal(3)})


@pytest.fixture
def amazon_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.usefixtures("amazon_credentials")
def test_a_bucket_that_cannot_be_reached_is_said_so(free_port: int) -> None:
    chosen = load_settings(archive_url="s3://examples", archive_endpoint=f"http://{servers.LOOPBACK}:{free_port}")
    with pytest.raises(BillingExportUnusable, match="BILLING_EXPORT: cannot be read now"):
        cloud_costs("s3://bills/bill.csv", START, END, chosen=chosen)


@pytest.fixture
def amazon(amazon_credentials: None) -> Iterator[str]:
    """The URL of moto's server with the empty bucket `bills`."""
    import httpx

    url = f"http://{servers.LOOPBACK}:{servers.free_port()}"
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", servers.LOOPBACK, "-p", url.rpartition(":")[2]]
    with (
        tempfile.TemporaryDirectory(prefix="moto-") as name,
        servers.running(command, is_ready=lambda: servers.answers(f"{url}/moto-api/"), log=Path(name) / "log"),
    ):
        httpx.put(f"{url}/bills").raise_for_status()
        yield url


@pytest.mark.servers
def test_files_in_a_bucket_of_amazons_are_read(amazon: str) -> None:
    import httpx

    httpx.put(f"{amazon}/bills/focus/Part-1.csv", content=content(line("1"))).raise_for_status()
    httpx.put(f"{amazon}/bills/focus/Part-2.csv.gz", content=gzip.compress(content(line("2")))).raise_for_status()
    chosen = load_settings(archive_url="s3://bills/archive", archive_endpoint=amazon)
    assert dict(cloud_costs("s3://bills/focus", START, END, chosen=chosen)) == {START: 3}
    with pytest.raises(BillingExportUnusable, match="BILLING_EXPORT: is not there"):
        cloud_costs("s3://bills/focus/none.csv", START, END, chosen=chosen)

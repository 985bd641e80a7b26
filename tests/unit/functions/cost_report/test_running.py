"""The scheduled run: once a period, whatever happens in between, and nothing is lost where it fails."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from common.archive import Archive, ArchiveUnavailable, FolderArchive
from common.costs import days, ledger
from common.costs.governor import CallToMake, open_call
from common.database.engine import read, write
from common.database.tables import ledger_entries, notices, report_runs
from common.function import Call
from common.problems import InvalidRequest
from common.request_head import Correlation
from common.security.principal import ROLES, Principal
from functions.cost_report import runs
from functions.cost_report.asked import RunAnswer, RunRequest
from functions.cost_report.models import Report
from functions.cost_report.periods import period_of
from functions.cost_report.running import ReportNotArchived, before, due, run
from functions.cost_report.runs import Claim, RunInProgress
from tests.amazon_storage import amazon_storage, empty_bucket
from tests.instance import instance
from tests.ledgers import NOW, entry
from tests.mail_server import mail_server
from tests.webhook_receiver import receiving

SCHEDULER = Principal(id="account:1", tenant="default", scopes=ROLES["service"])
ADMIN = Principal(id="key:admin", tenant="acme", scopes=ROLES["admin"])
YESTERDAY = NOW - timedelta(days=1)
LEASE = timedelta(minutes=5)
FILES = ["2026-11-28.csv", "2026-11-28.html", "2026-11-28.json"]


class Desk:
    """An instance with a ledger of two days; `waits` are the seconds that runs have waited for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waits: list[float] = []
        of_other = {"tenant": "other", "principal": "key:other", "agent": "collateral"}
        self.add(entry(YESTERDAY, "3"), entry(YESTERDAY, "1", **of_other), entry(YESTERDAY - timedelta(days=1), "0.5"))

    def add(self, *entries: ledger.LedgerEntry) -> None:
        from common.database.engine import engine

        with write(engine()) as connection:
            ledger.add(connection, entries)

    def run(self, period: str | None = None, *, who: Principal = SCHEDULER, now: datetime = NOW) -> RunAnswer:
        call = Call(
            correlation=Correlation(request_id="r1", trace_id="0" * 32),
            principal=who,
            body=RunRequest(period=period),
            path={},
            deadline=time.monotonic() + 300,
        )
        return run(call, clock=lambda: now, sleep=self.waits.append)

    def files(self, below: str = "all") -> list[str]:
        folder = self.folder / "archive" / "reports" / below
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def report(self, name: str = "all/2026-11-28") -> Report:
        return Report.model_validate_json((self.folder / "archive" / "reports" / f"{name}.json").read_bytes())

    def notices(self) -> list[dict[str, object]]:
        from common.database.engine import engine

        with read(engine()) as connection:
            rows = connection.execute(select(notices).order_by(notices.c.created_at)).all()
        return [{"key": row.key, "is_sent": row.sent_at is not None, **json.loads(row.payload)} for row in rows]

    def audited(self) -> list[tuple[str, str, str]]:
        from common.database.engine import engine
        from common.security.audit_chain import newest

        with read(engine()) as connection:
            return [(one.action, one.target, one.outcome) for one in newest(connection, 100)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with instance(tmp_path):
        yield Desk(tmp_path)


@pytest.mark.parametrize(
    ("asked", "now", "labels"),
    [
        (None, datetime(2026, 11, 29, 0, 5, tzinfo=UTC), ["2026-11-28"]),
        (None, datetime(2026, 12, 1, 4, tzinfo=UTC), ["2026-11-30", "2026-11"]),
        (None, datetime.fromisoformat("2026-12-01T01:00:00+02:00"), ["2026-11-29"]),
        ("2026-10", NOW, ["2026-10"]),
        ("2026-02-28", NOW, ["2026-02-28"]),
    ],
)
def test_yesterday_is_due_and_on_the_first_the_month_too(asked: str | None, now: datetime, labels: list[str]) -> None:
    assert [one.label for one in due(asked, now)] == labels


@pytest.mark.parametrize("asked", ["2026-11", "2026-11-29", "2026-12", "2026-13", "2026-02-30"])
def test_a_period_that_is_not_over_or_is_none_is_not_archived(asked: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        due(asked, NOW)
    assert refused.value.errors[0].pointer == "/period"


@pytest.mark.parametrize(
    ("label", "begins"), [("2026-11-01", "2026-10-31"), ("2026-10", "2026-09-01"), ("2026-01", "2025-12-01")]
)
def test_the_period_before_is_the_day_or_the_month_before(label: str, begins: str) -> None:
    period = period_of(label, NOW)
    assert before(period) == (datetime.fromisoformat(f"{begins}T00:00:00+00:00"), period.start)


def test_a_report_is_archived_in_three_formats_and_people_are_told(desk: Desk) -> None:
    answer = desk.run()
    (archived,) = answer.reports
    assert (archived.period, archived.is_new, answer.notices_waiting) == ("2026-11-28", True, 0)
    assert desk.files() == FILES
    assert sorted(archived.files.values()) == [str(desk.folder / "archive/reports/all" / name) for name in FILES]
    assert f"{desk.report().totals.cost_usd:f}" == "4"
    assert desk.report().savings.found_at == NOW
    (notice,) = desk.notices()
    assert (notice["key"], notice["is_sent"]) == ("report:2026-11-28", True)
    assert notice["subject"] == "Cost report 2026-11-28: 4.00 USD"
    assert notice["link"] == str(desk.folder / "archive/reports/all/2026-11-28.html")
    assert notice["lines"] == [
        "4.00 USD for 2 calls and 0 answers; 0.50 USD in the period before.",
        "What changed most:",
        "- model gemini-3.8-flash: 3.50 USD more, 4.00 USD after 0.50 USD",
        "- agent knowledge: 2.50 USD more, 3.00 USD after 0.50 USD",
        "- principal key:acme: 2.50 USD more, 3.00 USD after 0.50 USD",
    ]
    assert ("report.run", "all tenants", "done") in desk.audited()


def test_a_period_is_reported_once(desk: Desk) -> None:
    first = desk.run()
    desk.add(entry(YESTERDAY, "100"))
    again = desk.run()
    assert [one.is_new for one in again.reports] == [False]
    assert again.reports[0].files == first.reports[0].files
    assert (f"{desk.report().totals.cost_usd:f}", len(desk.notices())) == ("4", 1)


def test_of_several_calls_at_once_one_does_the_work(desk: Desk) -> None:
    def attempt(_number: int) -> str:
        try:
            return "new" if desk.run().reports[0].is_new else "done"
        except RunInProgress as busy:
            return f"busy for {busy.headers['Retry-After']} s"

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    assert outcomes.count("new") == 1
    assert (desk.files(), len(desk.notices())) == (FILES, 1)


def test_on_the_first_of_a_month_the_month_is_reported_too(desk: Desk) -> None:
    answer = desk.run(now=datetime(2026, 12, 1, 4, tzinfo=UTC))
    assert [(one.period, one.is_new) for one in answer.reports] == [("2026-11-30", True), ("2026-11", True)]
    assert f"{desk.report('all/2026-11').totals.cost_usd:f}" == "4.5"
    assert len(desk.notices()) == 2


def test_a_tenants_admin_archives_the_tenants_own_report(desk: Desk) -> None:
    answer = desk.run(who=ADMIN)
    assert (answer.lost_calls, answer.notices_waiting) == (None, None)  # they are of all tenants
    assert desk.files("tenants/acme") == FILES
    assert f"{desk.report('tenants/acme/2026-11-28').totals.cost_usd:f}" == "3"
    assert desk.files() == []
    assert desk.notices()[0]["key"] == "report:2026-11-28 acme"
    assert [one.is_new for one in desk.run().reports] == [True]


def test_a_run_that_was_killed_is_done_again_after_its_time(desk: Desk) -> None:
    from common.database.engine import engine

    assert isinstance(runs.claim(engine(), "2026-11-28", "the dead", NOW, LEASE), Claim)
    with pytest.raises(RunInProgress):
        desk.run(now=NOW + timedelta(minutes=2))
    assert [one.is_new for one in desk.run(now=NOW + timedelta(minutes=6)).reports] == [True]


def test_files_of_a_run_that_was_cut_short_stay_and_are_completed(desk: Desk) -> None:
    desk.run()
    (desk.folder / "archive/reports/all/2026-11-28.html").unlink()
    from common.database.engine import engine

    with write(engine()) as connection:  # as if it had ended before its end
        connection.execute(update(report_runs).values(finished_at=None, started_at=NOW - timedelta(days=1)))
    desk.add(entry(YESTERDAY, "100"))
    assert [one.is_new for one in desk.run(now=NOW + timedelta(hours=1)).reports] == [True]
    assert desk.files() == FILES
    assert f"{desk.report().totals.cost_usd:f}" == "4"
    assert "104" not in (desk.folder / "archive/reports/all/2026-11-28.html").read_text()
    assert len(desk.notices()) == 1


def test_a_report_that_an_older_version_archived_stays_and_is_completed(desk: Desk) -> None:
    folder = desk.folder / "archive/reports/all"
    folder.mkdir(parents=True)
    (folder / "2026-11-28.json").write_text('{"schema_version": "0.9", "cost": "4"}')
    assert [one.is_new for one in desk.run().reports] == [True]
    assert desk.files() == FILES
    assert (folder / "2026-11-28.json").read_text() == '{"schema_version": "0.9", "cost": "4"}'
    assert len(desk.notices()) == 1


def test_a_report_that_another_request_makes_keeps_no_other_waiting(desk: Desk) -> None:
    from common.database.engine import engine

    first = datetime(2026, 12, 1, 4, tzinfo=UTC)
    assert isinstance(runs.claim(engine(), "2026-11-30", "another", first, LEASE), Claim)
    with pytest.raises(RunInProgress):
        desk.run(now=first)
    assert desk.files() == ["2026-11.csv", "2026-11.html", "2026-11.json"]


def refusing(desk: Desk) -> Path:
    """Put a file where the archive's folder would be, so that nothing can be written below it."""
    archive = desk.folder / "archive"
    archive.write_text("")
    return archive


def test_an_archive_that_refuses_is_tried_again_and_then_reported_and_nothing_is_lost(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = refusing(desk)
    with pytest.raises(ReportNotArchived) as failed:
        desk.run()
    assert (failed.value.status, failed.value.type) == (503, "/problems/report-not-archived")
    assert "not lost" in str(failed.value.detail)
    assert desk.waits == [1, 2, 4]
    assert desk.notices() == []
    assert ("report.run", "all tenants", "failed") in desk.audited()
    assert "report.not_archived" in capsys.readouterr().out
    in_the_way.unlink()
    assert [one.is_new for one in desk.run().reports] == [True]
    assert (desk.files(), len(desk.notices())) == (FILES, 1)


def test_what_was_left_undone_is_made_up_for_by_a_later_run(desk: Desk) -> None:
    from common.database.engine import engine

    runs.claim(engine(), "2026-11-26", "the dead", NOW - timedelta(days=2), LEASE)
    runs.claim(engine(), "2026-11-25 acme", "another's", NOW - timedelta(days=3), LEASE)
    in_the_way = refusing(desk)
    with pytest.raises(ReportNotArchived):
        desk.run("2026-11-27")
    in_the_way.unlink()
    answer = desk.run()
    assert [(one.period, one.is_new) for one in answer.reports] == [
        ("2026-11-28", True), ("2026-11-27", True), ("2026-11-26", True),
    ]  # fmt: skip
    assert [one.period for one in desk.run().reports] == ["2026-11-28"]
    assert [one.period for one in desk.run(who=ADMIN).reports] == ["2026-11-28", "2026-11-25"]


def test_a_months_report_is_made_later_where_the_days_failed_before_it(desk: Desk) -> None:
    first = datetime(2026, 12, 1, 4, tzinfo=UTC)
    in_the_way = refusing(desk)
    with pytest.raises(ReportNotArchived):
        desk.run(now=first)
    in_the_way.unlink()
    answer = desk.run(now=first + timedelta(days=1))
    assert [one.period for one in answer.reports] == ["2026-12-01", "2026-11-30", "2026-11"]


class Failing(FolderArchive):
    """Refuses so many writes; `too_late` ones are done all the same, and only their answer is lost."""

    def __init__(self, root: Path, refusals: int, *, too_late: bool) -> None:
        super().__init__(root)
        self.refusals = refusals
        self.too_late = too_late

    def write_new(self, name: str, content: bytes) -> str:
        if self.refusals:
            self.refusals -= 1
            if self.too_late:
                super().write_new(name, content)
            raise ArchiveUnavailable
        return super().write_new(name, content)


@pytest.mark.parametrize("too_late", [False, True])
def test_an_archive_that_is_away_for_a_moment_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, too_late: bool
) -> None:
    kept: Archive = Failing(desk.folder / "archive", 1, too_late=too_late)
    monkeypatch.setattr("functions.cost_report.running.archive", lambda: kept)
    assert [one.is_new for one in desk.run().reports] == [True]
    assert (desk.waits, desk.files()) == ([1], FILES)


def test_calls_that_were_never_heard_of_again_are_entered_as_lost(desk: Desk) -> None:
    from common.database.engine import engine

    call = CallToMake(
        id="0" * 32, request_id="r9", trace_id="0" * 32, tenant="acme", principal="key:acme", session_id=None,
        agent=None, step="draft", route="POST /api/query", lane="default", provider="gemini",
        model_asked="gemini-3.8-flash", bound_usd=None,
    )  # fmt: skip
    open_call(engine(), call, NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    assert desk.run().lost_calls == 1
    with read(engine()) as connection:
        outcomes = connection.scalars(select(ledger_entries.c.outcome)).all()
    assert outcomes.count(days.LOST) == 1


def test_people_get_the_notice_by_mail_and_webhook_and_later_where_a_server_is_away(tmp_path: Path) -> None:
    with mail_server() as mail, receiving() as hook:
        settings = {
            "NOTICE_EMAIL_TO": "desk@lender.example", "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "NOTICE_WEBHOOK_URL": hook.url,
        }  # fmt: skip
        with instance(tmp_path, **settings):
            desk = Desk(tmp_path)
            hook.status = 503
            assert desk.run().notices_waiting == 1
            hook.status = 204
            assert (desk.run().reports[0].is_new, desk.run().notices_waiting) == (False, 0)
            page = str(desk.folder / "archive/reports/all/2026-11-28.html")
        (message,) = mail.messages
        assert message["Subject"] == "Cost report 2026-11-28: 4.00 USD"
        assert "- agent knowledge: 2.50 USD more" in message.get_content()
        assert page in message.get_content()
        told = json.loads(hook.requests[-1][1])
        assert (told["type"], told["data"]["link"]) == ("report", page)
        assert sum(line.startswith("- ") for line in told["data"]["lines"]) == 3


@pytest.mark.servers
def test_a_bucket_of_amazons_keeps_the_reports_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with amazon_storage() as url:
        empty_bucket(url, monkeypatch)
        with instance(tmp_path, ARCHIVE_URL="s3://examples/costs", ARCHIVE_ENDPOINT=url):
            desk = Desk(tmp_path)
            files = desk.run().reports[0].files
            from common.archive import archive

            assert archive().names("reports") == [f"reports/all/{name}" for name in FILES]
            found = Report.model_validate_json(archive().read("reports/all/2026-11-28.json"))
            assert f"{found.totals.cost_usd:f}" == "4"
            assert files["reports/all/2026-11-28.html"] == "s3://examples/costs/reports/all/2026-11-28.html"
            assert desk.notices()[0]["link"] == files["reports/all/2026-11-28.html"]
        with (
            instance(tmp_path, ARCHIVE_URL="s3://missing", ARCHIVE_ENDPOINT=url),
            pytest.raises(ReportNotArchived),
        ):
            desk.run("2026-11-27")


@pytest.mark.parametrize("is_expected", [False, True])
def test_a_claim_is_given_to_one_at_a_time(database: Engine, is_expected: bool) -> None:
    if is_expected:
        runs.expect(database, ["2026-11", "2026-11-28"])
        runs.expect(database, ["2026-11"])

    def attempt(number: int) -> bool:
        try:
            return isinstance(runs.claim(database, "2026-11", f"owner-{number}", NOW, LEASE), Claim)
        except RunInProgress:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, range(8))).count(True) == 1


def test_a_claim_that_was_taken_over_can_neither_finish_nor_be_given_back(database: Engine) -> None:
    slow = runs.claim(database, "2026-11", "slow", NOW, LEASE)
    fast = runs.claim(database, "2026-11", "fast", NOW + LEASE, LEASE)
    assert isinstance(slow, Claim)
    assert isinstance(fast, Claim)
    runs.give_back(database, slow)
    with pytest.raises(RunInProgress), write(database) as connection:
        runs.finish(connection, slow, {}, NOW)
    with write(database) as connection:
        runs.finish(connection, fast, {"a": "b"}, NOW + LEASE)
    assert runs.claim(database, "2026-11", "late", NOW + 2 * LEASE, LEASE) == {"a": "b"}

"""`loancheck deploy status | promote | rollback | migrate`: new revisions on Cloud Run, step by step, and back."""

import datetime
import getpass
import itertools
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from common.settings import settings
from local.printable import printable
from local.refusal import Refused

if TYPE_CHECKING:  # Google's clients come with the command that needs them, not with `loancheck --help`
    from infra.deploy.callers import Headers
    from infra.deploy.cloud import Cloud
    from infra.deploy.environment import Environment
    from infra.deploy.google_run import Patience
    from infra.deploy.lease import Holder
    from infra.deploy.outcomes import Outcome
    from infra.deploy.status import Status

EXIT_CODES = (
    "Exit code 0: done. 1: failed, and rolled back. 2: refused, nothing is changed. 3: left in a state that "
    "`loancheck deploy rollback --take-over` mends."
)

_GITHUB_JOB = ("GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB")

app = typer.Typer(help="Deploy new revisions to Cloud Run without downtime, and take them back.", rich_markup_mode=None)

ProjectOption = Annotated[str | None, typer.Option(help="Google Cloud project; without it GOOGLE_CLOUD_PROJECT.")]
RegionOption = Annotated[str, typer.Option(help="Region of the functions, as in Terraform.")]
PrefixOption = Annotated[str, typer.Option(help="Terraform's name and environment, as in lcc-prod.")]
FunctionOption = Annotated[
    list[str] | None, typer.Option("--function", help="One function; may be given again. Without it all.")
]
TakeOverOption = Annotated[
    bool,
    typer.Option("--take-over", help="Also where another deploy holds the lease, which then changes nothing more."),
]
# For a local server that speaks as the cloud does; and so that tests need not wait as people do.
RunOption = Annotated[str | None, typer.Option(hidden=True)]
MonitoringOption = Annotated[str | None, typer.Option(hidden=True)]
WaitOption = Annotated[float | None, typer.Option(hidden=True)]
LeaseOption = Annotated[float | None, typer.Option(hidden=True)]


@app.command()
def status(
    prefix: PrefixOption,
    project: ProjectOption = None,
    region: RegionOption = "us-central1",
    function: FunctionOption = None,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="table or json.")] = "table",
    run_endpoint: RunOption = None,
    wait_seconds: WaitOption = None,
) -> None:
    """Show which revisions serve, which wait to be deployed, and whether a deploy is at work."""
    with _told():
        from infra.deploy.factories import google_run
        from infra.deploy.status import status as read

        where = _environment(project, region, prefix)
        cloud = google_run(where, run_endpoint, _patience(wait_seconds))
        found = read(cloud, where, where.selected(function or ()), _now())
    typer.echo(_as_json(found) if output == "json" else _as_table(found))


@app.command(epilog=EXIT_CODES)
def promote(
    prefix: PrefixOption,
    project: ProjectOption = None,
    region: RegionOption = "us-central1",
    function: FunctionOption = None,
    step: Annotated[
        list[int] | None,
        typer.Option(help="Percent of the requests; again for each step, up to 100.", metavar="PERCENT"),
    ] = None,
    watch_seconds: Annotated[
        float, typer.Option(min=0, max=86_400, help="How long each step is watched. Figures come minutes late.")
    ] = 300.0,
    poll_seconds: Annotated[float, typer.Option(min=0.01, max=300, help="Time between two looks.")] = 30.0,
    max_error_percent: Annotated[float, typer.Option(min=0, max=100, help="Failed requests that are allowed.")] = 5.0,
    max_error_points: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of failed requests above the former revision's.")
    ] = 2.0,
    max_latency_factor: Annotated[
        float, typer.Option(min=1, max=100, help="p95 and p99, as a multiple of the former revision's.")
    ] = 1.5,
    latency_slack_ms: Annotated[float, typer.Option(min=0, help="And so many milliseconds more.")] = 500.0,
    min_requests: Annotated[int, typer.Option(min=1, help="With less in a step nothing is judged by figures.")] = 50,
    golden: Annotated[
        Path | None,
        typer.Option(help="Questions of one's own, as JSON Lines; without it the sample's.", metavar="FILE"),
    ] = None,
    operator: Annotated[
        str | None, typer.Option(help="Account that the questions are asked as, where API_KEY is not set.")
    ] = None,
    inside: Annotated[
        bool, typer.Option("--inside", help="This machine is in the network that internal functions let in.")
    ] = False,
    migrations: Annotated[bool, typer.Option(help="Run the database's migrations before.")] = True,
    take_over: TakeOverOption = False,
    run_endpoint: RunOption = None,
    monitoring_endpoint: MonitoringOption = None,
    wait_seconds: WaitOption = None,
    lease_seconds: LeaseOption = None,
    routed_seconds: WaitOption = None,
) -> None:
    """Test the newest revisions at addresses of their own, then give them 10, 50, 100 % of the requests.

    Whatever fails on the way, everything goes back to the revisions that served before. SIGINT and SIGTERM do that too.
    """
    steps = _steps(step)
    with _told():
        from infra.deploy.factories import google_monitoring, google_run
        from infra.deploy.golden import SAMPLE, read_questions
        from infra.deploy.promotion import Plan, Promotion
        from infra.deploy.smoke import ROUTED_SECONDS
        from infra.deploy.watching import Limits

        where = _environment(project, region, prefix)
        functions = where.selected(function or ())
        plan = Plan(
            steps=steps,
            watch_seconds=watch_seconds,
            poll_seconds=poll_seconds,
            routed_seconds=ROUTED_SECONDS if routed_seconds is None else routed_seconds,
            limits=Limits(
                error_percent=max_error_percent,
                error_points=max_error_points,
                latency_factor=max_latency_factor,
                latency_slack_ms=latency_slack_ms,
                min_requests=min_requests,
            ),
            questions=read_questions(golden or SAMPLE),
            migrates=migrations,
            is_inside=inside,
        )
        patience = _patience(wait_seconds)
        cloud = google_run(where, run_endpoint, patience)
        promotion = Promotion(
            cloud,
            google_monitoring(where, monitoring_endpoint, patience),
            where,
            _holder(cloud, where, lease_seconds),
            plan,
            _caller(where, operator),
            _say,
        )
        outcome = promotion.run(functions, from_others=take_over)
    _end(where, outcome)


@app.command(epilog=EXIT_CODES)
def rollback(
    prefix: PrefixOption,
    project: ProjectOption = None,
    region: RegionOption = "us-central1",
    function: FunctionOption = None,
    to: Annotated[
        str | None, typer.Option(help="A revision, for the one function that is named.", metavar="REVISION")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only what a deploy left in between; nothing to do is fine.")
    ] = False,
    take_over: TakeOverOption = False,
    run_endpoint: RunOption = None,
    wait_seconds: WaitOption = None,
    lease_seconds: LeaseOption = None,
) -> None:
    """Give all requests back to the revisions that served before the last deploy, at once.

    Where nothing was deployed since, that is refused.
    """
    if to is not None and (unfinished or len(function or ()) != 1):
        raise Refused("to: goes with exactly one --function, and not with --unfinished")
    with _told():
        from infra.deploy.factories import google_run
        from infra.deploy.rollback import Rollback

        where = _environment(project, region, prefix)
        functions = where.selected(function or ())
        cloud = google_run(where, run_endpoint, _patience(wait_seconds))
        back = Rollback(cloud, where, _holder(cloud, where, lease_seconds), _say)
        if to is not None:
            outcome = back.to_revision(functions[0], to, from_others=take_over)
        else:
            outcome = back.run(functions, from_others=take_over, only_unfinished=unfinished)
    _end(where, outcome)


@app.command(epilog=EXIT_CODES)
def migrate(
    prefix: PrefixOption,
    project: ProjectOption = None,
    region: RegionOption = "us-central1",
    run_endpoint: RunOption = None,
    wait_seconds: WaitOption = None,
    lease_seconds: LeaseOption = None,
) -> None:
    """Run the migrations of the revisions that serve, as after the first `terraform apply`; promote runs its own."""
    with _told():
        from infra.deploy.factories import google_run
        from infra.deploy.migration import migrate as run_migrations

        where = _environment(project, region, prefix)
        cloud = google_run(where, run_endpoint, _patience(wait_seconds))
        outcome = run_migrations(cloud, where, _holder(cloud, where, lease_seconds), _say)
    _end(where, outcome)


@contextmanager
def _told() -> Iterator[None]:
    """What is refused, and what the cloud does not do before anything is changed, in one line."""
    try:
        import google.cloud.monitoring_v3
        import google.cloud.run_v2  # noqa: F401  # looked for here, so that no other missing import is taken for it
    except ImportError:
        raise Refused("deploying needs more packages: pip install -r requirements-deploy.txt") from None
    from infra.deploy import cloud, environment

    try:
        yield
    except (environment.Refused, cloud.CloudFailed) as error:
        raise Refused(str(error)) from None


def _environment(project: str | None, region: str, prefix: str) -> "Environment":
    from infra.deploy.environment import environment

    named = project or settings().google_cloud_project
    if not named:
        raise Refused("project: must be given by --project or GOOGLE_CLOUD_PROJECT")
    return environment(project=named, region=region, prefix=prefix)


def _holder(cloud: "Cloud", where: "Environment", seconds: float | None) -> "Holder":
    from infra.deploy.lease import SECONDS, Holder

    job = [os.environ.get(name, "") for name in _GITHUB_JOB]  # who it is, is told to the next one that comes
    is_job = all(job)
    holder = "{} run {}.{} {}".format(*job) if is_job else f"{getpass.getuser()}@{socket.gethostname()}"
    return Holder(
        cloud, where.lease_service, deploy=uuid.uuid4().hex[:12], holder=holder, now=_now,
        seconds=SECONDS if seconds is None else seconds, is_sequential=is_job,
    )  # fmt: skip


def _caller(where: "Environment", operator: str | None) -> "Headers":
    from infra.deploy.callers import by_account, by_key

    key = settings().api_key
    if key is not None:
        return by_key(key)
    return by_account(operator or f"{where.prefix}-operator@{where.project}.iam.gserviceaccount.com")


def _patience(seconds: float | None) -> "Patience":
    from infra.deploy.google_run import Patience

    if seconds is None:
        return Patience()
    return Patience(first_seconds=seconds, longest_seconds=seconds * 4, attempts_seconds=seconds * 40)


def _steps(given: list[int] | None) -> tuple[int, ...]:
    steps = tuple(given or (10, 50, 100))
    if steps[-1] != 100 or steps[0] < 1 or any(one >= other for one, other in itertools.pairwise(steps)):
        raise Refused(f"step: {', '.join(map(str, steps))}: percents must rise from 1 at least, and end with 100")
    return steps


def _as_table(found: "Status") -> str:
    from local.tables import printed, table_of

    rows = [
        (
            one.function,
            ", ".join(f"{share.revision} {share.percent} %" for share in one.serving) or "none",
            "-" if one.candidate is None else f"{one.candidate}{'' if one.candidate_is_ready else ' (not ready)'}",
            "-" if one.last is None else f"{one.last.stage} at {one.last.percent} %, {one.last.since:%Y-%m-%d %H:%M}",
        )
        for one in found.functions
    ]
    lease = "No deploy is at work." if found.lease is None else f"A deploy is at work: {found.lease}."
    return printed(table_of(("FUNCTION", "SERVING", "CANDIDATE", "LAST DEPLOY"), rows)) + lease


def _as_json(found: "Status") -> str:
    functions = [
        {
            **asdict(one),
            "serving": [{"revision": share.revision, "percent": share.percent} for share in one.serving],
            "last": None if one.last is None else one.last.model_dump(mode="json"),
        }
        for one in found.functions
    ]
    lease = None if found.lease is None else found.lease.model_dump(mode="json")
    return json.dumps({"functions": functions, "lease": lease}, indent=2)


def _end(where: "Environment", outcome: "Outcome") -> None:
    _say(f"{where.prefix}: {outcome.value}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _say(words: str) -> None:
    typer.echo(printable(words))
    sys.stdout.flush()  # a log is read while it grows


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

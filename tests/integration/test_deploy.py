"""`loancheck deploy` on a local Cloud Run and Cloud Monitoring, through Google's own clients: how deploys can end."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests import servers
from tests.cloud_monitoring_server import NOTHING, Figures
from tests.cloud_run_server import Fault
from tests.deploys import (
    DOCUMENTS,
    JOB,
    KEY,
    LEASE,
    NEW,
    OLD,
    QUERY,
    RECORD,
    SERVICES,
    Deployed,
    deployed,
)  # fmt: skip

GITHUB = {"GITHUB_REPOSITORY": "desk/lending", "GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": "deploy"}
PATCH_DOCUMENTS = f"services/{DOCUMENTS}"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Deployed]:
    with deployed(tmp_path) as found:
        yield found


def test_candidates_get_10_then_50_then_100_percent_and_serve(cloud: Deployed) -> None:
    seen: list[dict[str, int]] = []
    cloud.monitoring.on_read = lambda _revision: seen.append(cloud.serving()[QUERY])

    ended = cloud.deploy("promote")

    assert ended.code == 0, ended.said
    steps = [shares for at, shares in enumerate(seen) if shares != seen[at - 1]]
    assert steps == [{OLD: 90, NEW: 10}, {OLD: 50, NEW: 50}, {NEW: 100}]
    assert cloud.is_promoted()
    assert ended.said.splitlines()[-1] == "lcc-dev: promoted: the candidates get all requests"
    assert "Golden questions: 2 of 2 answered as they should be." in ended.said
    assert "retention: not reachable from here: only its readiness was checked" in ended.said
    assert all(cloud.run.generation_of_template(name) == 2 for name in SERVICES.values())  # no revision was made


def test_migrations_run_once_with_the_candidates_image_before_the_first_request(cloud: Deployed) -> None:
    served: list[dict[str, int]] = []
    asked: list[int] = []

    def job(_image: str) -> None:
        served.append(cloud.serving()[QUERY])
        asked.append(len(cloud.new.asked))

    cloud.run.job = job
    assert cloud.deploy("promote").code == 0
    assert cloud.run.images == [f"us-central1-docker.pkg.dev/example-lending/images/{QUERY}:2"]
    assert served == [{OLD: 100}]
    assert asked == [0]


def test_no_secret_is_said_and_the_key_goes_with_questions_alone(cloud: Deployed) -> None:
    ended = cloud.deploy("promote")
    assert KEY not in ended.said
    assert {key for path, key in cloud.new.asked if path == "/api/query"} == {KEY}
    assert {key for path, key in cloud.new.asked if path != "/api/query"} == {None}
    assert not [path for path, _ in cloud.old.asked]


def test_where_every_newest_revision_serves_there_is_nothing_to_deploy_and_nothing_is_changed(tmp_path: Path) -> None:
    with deployed(tmp_path, with_candidates=False) as cloud:
        ended = cloud.deploy("promote")
        assert (ended.code, "nothing to deploy" in ended.said) == (0, True)
        assert cloud.run.count("PATCH", "") == 0


def test_a_candidate_that_is_not_ready_is_refused_with_its_reason(cloud: Deployed) -> None:
    cloud.run.add_revision(DOCUMENTS, why_not_ready="The user-provided container failed to start.")
    ended = cloud.deploy("promote")
    assert ended.code == 2
    assert f"documents: {DOCUMENTS}-00003-abc is not ready: The user-provided container failed to start." in ended.said
    assert cloud.is_untouched()


def test_a_service_whose_requests_follow_the_newest_revision_has_nothing_to_deploy(cloud: Deployed) -> None:
    health = SERVICES["health"]
    cloud.run.follow_latest(health)
    ended = cloud.deploy("promote")
    assert ended.code == 0, ended.said
    assert "\nhealth: " not in ended.said
    assert cloud.run.annotation(health, RECORD) is None
    assert cloud.serving()[QUERY] == {NEW: 100}


@pytest.mark.parametrize("command", ["promote", "migrate"])
def test_after_the_first_apply_the_next_revision_gets_no_requests_by_being_made(tmp_path: Path, command: str) -> None:
    with deployed(tmp_path, with_candidates=False) as cloud:
        for name in SERVICES.values():
            cloud.run.follow_latest(name)
        ended = cloud.deploy(command)
        assert ended.code == 0, ended.said
        assert f"{QUERY}: requests stay with {QUERY}-{OLD} 100 %, whatever is made next" in ended.said
        for name in SERVICES.values():
            cloud.run.add_revision(name, url=cloud.new.url)
        assert cloud.is_untouched()
        assert cloud.deploy("promote").code == 0
        assert cloud.is_promoted()


def test_who_may_not_change_services_is_refused_before_anything_is_changed(cloud: Deployed) -> None:
    cloud.run.faults.append(Fault(method="PATCH", path="services/", status=403, times=float("inf")))
    ended = cloud.deploy("promote")
    assert ended.code == 2
    assert f"change service {QUERY}: 403 scripted by the test; nothing is changed" in ended.said
    assert cloud.is_untouched()


def test_one_function_alone_can_be_promoted(cloud: Deployed) -> None:
    assert cloud.deploy("promote", "--function", "health").code == 0
    assert cloud.serving()[SERVICES["health"]] == {NEW: 100}
    assert cloud.serving()[QUERY] == {OLD: 100}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/live", 503, "/live: status 503"),
        ("/openapi.json", 500, "/openapi.json: status 500"),
        ("/health", 503, "health: /health: status 503, not healthy: database"),
        ("/api/query", 503, 'golden question "What is the limit for raw land?": status 503 (Broken)'),
    ],
)
def test_failing_smoke_keeps_requests_where_they_were(cloud: Deployed, path: str, status: int, said: str) -> None:
    cloud.new.statuses[path] = status
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert said in ended.said
    assert ended.said.splitlines()[-1] == "lcc-dev: failed and rolled back: what served before gets all requests"
    assert cloud.is_back()
    assert cloud.monitoring.requests == []  # it came to no step


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"answered": True, "answer": "It is 75%.", "citations": []}, 'the answer does not hold "65"'),
        ({"answered": True, "answer": "65%", "citations": [{"document_id": "x"}]}, "none of limits is cited"),
        ({"answered": False, "answer": "65%", "citations": []}, "not answered"),
    ],
)
def test_a_failing_golden_question_keeps_requests_where_they_were(
    cloud: Deployed, answer: dict[str, object], said: str
) -> None:
    cloud.new.answers["What is the limit for raw land?"] = answer
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert f'query: golden question "What is the limit for raw land?": {said}' in ended.said.replace(
        "FAILED: golden", "FAILED: query: golden"
    )
    assert cloud.is_back()


def test_an_answer_to_what_no_document_holds_keeps_requests_where_they_were(cloud: Deployed) -> None:
    cloud.new.answers["What is the capital of Australia?"] = {"answered": True, "answer": "Canberra", "citations": []}
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert '"What is the capital of Australia?": answered, and should not be' in ended.said
    assert cloud.is_back()


def test_failing_migrations_stop_the_deploy_before_any_request(cloud: Deployed) -> None:
    cloud.run.job = lambda _image: "The container exited with an error."
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert f"FAILED: run job {JOB}: The container exited with an error." in ended.said
    assert cloud.is_back()
    assert cloud.new.asked == []


def test_a_missing_migration_job_is_named(cloud: Deployed) -> None:
    cloud.run.faults.append(Fault(method="GET", path=f"jobs/{JOB}", status=404))
    ended = cloud.deploy("promote")
    assert (ended.code, f"give job {JOB} its image: there is none of that name" in ended.said) == (1, True)
    assert cloud.is_back()


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (Figures(server_errors=12), "6.0 % of 200 requests failed, 2.0 % are allowed"),
        (Figures(p95_ms=700), "p95 of 200 requests was 700 ms, 650 ms are allowed"),
        (Figures(requests=1000, p99_ms=900), "p99 of 1000 requests was 900 ms, 800 ms are allowed"),
    ],
)
def test_failing_at_10_percent_gives_everything_back(cloud: Deployed, figures: Figures, said: str) -> None:
    cloud.monitoring.otherwise = Figures(requests=1000) if figures.requests == 1000 else Figures()
    cloud.monitoring.figures[f"{DOCUMENTS}-{NEW}"] = figures
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert f"FAILED: documents: {said}" in ended.said
    assert "Candidates get 10 %" in ended.said
    assert "Candidates get 50 %" not in ended.said
    assert cloud.is_back()


def test_errors_that_begin_at_50_percent_are_seen_before_the_step_is_over(cloud: Deployed) -> None:
    def read(_revision: str) -> None:
        if cloud.serving()[QUERY].get(NEW) == 50:
            cloud.monitoring.figures[f"{QUERY}-{NEW}"] = Figures(server_errors=100)

    cloud.monitoring.on_read = read
    ended = cloud.deploy("promote", "--watch-seconds", "0.1", "--step", "10", "--step", "50", "--step", "100")
    assert ended.code == 1
    assert "50.0 % of 200 requests failed" in ended.said
    assert cloud.is_back()


def test_with_too_few_requests_the_candidates_are_asked_instead_and_it_says_so(cloud: Deployed) -> None:
    cloud.monitoring.otherwise = NOTHING
    ended = cloud.deploy("promote")
    assert ended.code == 0
    assert "Too few requests to judge by (query, documents, " in ended.said
    assert ended.said.count("Golden questions: 2 of 2") == 4  # before, and after each step
    assert cloud.is_promoted()


def test_figures_that_cannot_be_had_give_everything_back(cloud: Deployed) -> None:
    cloud.monitoring.status = grpc.StatusCode.PERMISSION_DENIED
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert "FAILED: read the figures of" in ended.said
    assert cloud.is_back()


@pytest.mark.parametrize("status", [429, 500, 503, 504])
@pytest.mark.parametrize("skip", [0, 4])
def test_api_errors_that_pass_are_not_noticed(cloud: Deployed, status: int, skip: int) -> None:
    cloud.run.faults += [
        Fault(method="PATCH", path="services/", status=status, times=2, skip=skip),
        Fault(method="GET", path="operations/", status=status, times=2, skip=skip),
        Fault(method="GET", path="services/", status=status, times=1, skip=skip),
        Fault(method="POST", path=f"jobs/{JOB}:run", status=status, times=1),
    ]
    ended = cloud.deploy("promote")
    assert ended.code == 0, ended.said
    assert cloud.is_promoted()


def test_a_change_by_somebody_else_in_between_is_kept(cloud: Deployed) -> None:
    note = {"written": "meanwhile"}

    def other() -> None:
        cloud.run.annotate(DOCUMENTS, "team/note", json.dumps(note))

    cloud.run.faults.append(Fault(method="PATCH", path=PATCH_DOCUMENTS, before=other))
    assert cloud.deploy("promote").code == 0
    assert cloud.is_promoted()
    assert cloud.run.annotation(DOCUMENTS, "team/note") == note


def test_an_api_error_that_stays_at_one_service_gives_everything_back(cloud: Deployed) -> None:
    def is_going_back() -> bool:
        return cloud.serving()[QUERY] == {OLD: 100} and cloud.monitoring.requests != []

    stays = Fault(method="PATCH", path=PATCH_DOCUMENTS, times=float("inf"), skip=2, until=is_going_back)
    cloud.run.faults.append(stays)
    ended = cloud.deploy("promote")
    assert ended.code == 1, ended.said
    assert f"FAILED: change service {DOCUMENTS}: still 503 scripted by the test after many attempts" in ended.said
    assert cloud.is_back()


def test_a_service_that_somebody_wrote_anew_gets_back_what_served_before(cloud: Deployed) -> None:
    cloud.run.faults.append(
        Fault(method="PATCH", path=PATCH_DOCUMENTS, skip=2, before=lambda: cloud.run.wipe(DOCUMENTS))
    )
    ended = cloud.deploy("promote")
    assert ended.code == 1, ended.said
    assert f"FAILED: {DOCUMENTS} was changed by somebody else" in ended.said
    assert f"{DOCUMENTS}: requests go to {DOCUMENTS}-{OLD} 100 % again" in ended.said
    assert cloud.is_back()


def test_an_operation_that_fails_gives_everything_back(cloud: Deployed) -> None:
    cloud.run.faults.append(Fault(method="PATCH", path=PATCH_DOCUMENTS, skip=2, operation="Revision was deleted."))
    ended = cloud.deploy("promote")
    assert ended.code == 1
    assert f"FAILED: change service {DOCUMENTS}: 500 Revision was deleted." in ended.said
    assert cloud.is_back()


def test_a_rollback_that_fails_too_says_exactly_who_serves_and_is_mended_by_another(cloud: Deployed) -> None:
    cloud.run.faults.append(Fault(method="PATCH", path=PATCH_DOCUMENTS, status=403, times=2, skip=2))

    ended = cloud.deploy("promote")

    assert ended.code == 3
    assert f"{QUERY}: requests go to {QUERY}-{OLD} 100 % again" in ended.said
    assert f"{DOCUMENTS}: NOT put back: change service {DOCUMENTS}: 403 scripted by the test" in ended.said
    assert f"{DOCUMENTS}: serving {DOCUMENTS}-{NEW} 10 %" in ended.said or (
        f"{DOCUMENTS}: serving {DOCUMENTS}-{OLD} 90 %, {DOCUMENTS}-{NEW} 10 %" in ended.said
    )
    assert "left in between: loancheck deploy rollback --take-over mends it" in ended.said

    mended = cloud.deploy("rollback")
    assert mended.code == 0, mended.said
    assert cloud.is_back()


def test_a_second_deploy_at_the_same_time_ends_at_once_and_changes_nothing(cloud: Deployed) -> None:
    seconds: list[tuple[int, str]] = []

    def read(_revision: str) -> None:
        if not seconds:
            changes = cloud.run.count("PATCH", "")
            second = cloud.deploy("promote", "--function", "health")
            assert cloud.run.count("PATCH", "") == changes
            seconds.append((second.code, second.said))

    cloud.monitoring.on_read = read
    ended = cloud.deploy("promote", **GITHUB)

    assert ended.code == 0
    assert cloud.is_promoted()
    ((code, said),) = seconds
    assert code == 2
    assert "another deploy is at work: desk/lending run 42.1 deploy holds it since" in said
    assert " until " in said


def test_of_two_that_take_the_lease_at_once_one_is_refused(cloud: Deployed) -> None:
    lease = {"deploy": "other", "holder": "ann", "since": "2026-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z"}

    def other() -> None:
        cloud.run.annotate(QUERY, LEASE, json.dumps(lease))

    cloud.run.faults.append(Fault(method="PATCH", path=f"services/{QUERY}", before=other))
    ended = cloud.deploy("promote")
    assert ended.code == 2
    assert "ann holds it since 2026-01-01 00:00:00 UTC until 2999-01-01 00:00:00 UTC; nothing is changed" in ended.said
    assert cloud.run.annotation(QUERY, LEASE) == lease
    assert all(shares == {OLD: 100} for shares in cloud.serving().values())


def test_a_lease_whose_time_is_over_is_taken_over(cloud: Deployed) -> None:
    lease = {"deploy": "gone", "holder": "ann", "since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:10:00Z"}
    cloud.run.annotate(QUERY, LEASE, json.dumps(lease))
    ended = cloud.deploy("promote")
    assert ended.code == 0
    assert "The lease was ann's, who did not give it back; it is taken over." in ended.said
    assert cloud.is_promoted()


def test_a_long_deploy_makes_its_lease_last(cloud: Deployed) -> None:
    untils: set[str] = set()

    def read(_revision: str) -> None:
        lease = cloud.run.annotation(QUERY, LEASE)
        assert lease is not None
        untils.add(lease["until"])

    cloud.monitoring.on_read = read
    assert cloud.deploy("promote", "--lease-seconds", "2", "--watch-seconds", "1").code == 0
    assert len(untils) > 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_gives_everything_back(cloud: Deployed, number: signal.Signals) -> None:
    with cloud.started("promote", "--watch-seconds", "90") as process:
        servers.wait_for(lambda: cloud.serving()[DOCUMENTS].get(NEW) == 10, "10 % for the candidates")
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert f"FAILED: stopped by {number.name}" in said
    assert cloud.is_back()


def killed_at_50_percent(cloud: Deployed, *arguments: str, **settings: str) -> None:
    steps = ("--watch-seconds", "90", "--step", "50", "--step", "100")
    with cloud.started("promote", *steps, *arguments, **settings) as process:
        servers.wait_for(
            lambda: all(shares.get(NEW) == 50 for shares in cloud.serving().values()), "50 % for the candidates"
        )
        process.kill()
        process.wait()


def test_after_a_kill_the_next_deploy_begins_anew_and_knows_what_served_before(cloud: Deployed) -> None:
    killed_at_50_percent(cloud, "--lease-seconds", "4")
    assert cloud.deploy("promote").code in {0, 2}  # 2 as long as the lease lasts
    servers.wait_for(lambda: "No deploy is at work." in cloud.deploy("status").said, "the lease's end")
    cloud.new.statuses["/live"] = 503

    ended = cloud.deploy("promote")

    assert ended.code == 1, ended.said
    assert cloud.is_back()


def test_after_a_kill_the_next_deploy_gives_requests_back_first_and_ends_well(cloud: Deployed) -> None:
    killed_at_50_percent(cloud)
    served: list[dict[str, int]] = []
    cloud.run.job = lambda _image: served.append(cloud.serving()[DOCUMENTS])

    refused = cloud.deploy("promote")
    assert (refused.code, "another deploy is at work" in refused.said) == (2, True)
    ended = cloud.deploy("promote", "--take-over")

    assert ended.code == 0, ended.said
    assert served == [{OLD: 100}]
    assert cloud.is_promoted()
    record = cloud.run.annotation(DOCUMENTS, RECORD)
    assert record is not None
    assert record["previous"] == [{"revision": f"{DOCUMENTS}-{OLD}", "percent": 100}]


def test_what_a_killed_deploy_left_is_rolled_back_by_another_process(cloud: Deployed) -> None:
    killed_at_50_percent(cloud)
    assert cloud.deploy("rollback", "--unfinished").code == 2
    ended = cloud.deploy("rollback", "--unfinished", "--take-over")
    assert ended.code == 0, ended.said
    assert cloud.is_back()
    again = cloud.deploy("rollback", "--unfinished")
    assert (again.code, "nothing unfinished" in again.said) == (0, True)


def test_the_next_step_of_the_same_job_puts_back_what_a_killed_one_left_without_waiting(cloud: Deployed) -> None:
    killed_at_50_percent(cloud, **GITHUB)
    assert cloud.deploy("rollback", "--unfinished", **GITHUB | {"GITHUB_RUN_ATTEMPT": "2"}).code == 2
    ended = cloud.deploy("rollback", "--unfinished", **GITHUB)
    assert ended.code == 0, ended.said
    assert cloud.is_back()


def test_a_deploy_that_was_killed_while_it_ended_is_taken_back_whole(cloud: Deployed) -> None:
    last_but_one = SERVICES["retention"]
    with cloud.started("promote", "--step", "100") as process:
        cloud.run.faults.append(Fault(method="PATCH", path=f"services/{last_but_one}", skip=2, before=process.kill))
        process.wait(timeout=60)
        cloud.run.faults.clear()
    records = [cloud.run.annotation(name, RECORD) for name in SERVICES.values()]
    assert [record["stage"] for record in records if record is not None] == ["promoted"] * 5 + ["moving"]
    ended = cloud.deploy("rollback", "--unfinished", "--take-over")
    assert ended.code == 0, ended.said
    assert cloud.is_back()


def test_a_function_left_in_between_has_to_be_deployed_too(cloud: Deployed) -> None:
    killed_at_50_percent(cloud)
    ended = cloud.deploy("promote", "--function", "query", "--take-over")
    assert ended.code == 2
    assert "function: an earlier deploy left documents, health, " in ended.said


def test_who_is_overtaken_changes_nothing_more(cloud: Deployed) -> None:
    with cloud.started("promote", "--watch-seconds", "90", "--poll-seconds", "90") as process:
        servers.wait_for(lambda: cloud.serving()[SERVICES["budget_alert"]].get(NEW) == 10, "10 % for the candidates")
        process.send_signal(signal.SIGSTOP)
        assert cloud.deploy("rollback", "--take-over").code == 0
        changes = cloud.run.count("PATCH", "")
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "the lease is gone" in said
    assert cloud.run.count("PATCH", "") == changes
    assert cloud.is_back()


def test_status_shows_who_serves_what_waits_and_who_is_at_work(cloud: Deployed) -> None:
    with cloud.started("promote", "--watch-seconds", "90") as process:
        servers.wait_for(lambda: cloud.serving()[SERVICES["budget_alert"]].get(NEW) == 10, "10 % for the candidates")
        table = cloud.deploy("status")
        found = json.loads(cloud.deploy("status", "--format", "json").said)
        process.terminate()
        process.wait(timeout=60)
    assert table.code == 0

    (line,) = (line for line in table.said.splitlines() if line.startswith(" query "))
    assert f"{QUERY}-{OLD} 90 %, {QUERY}-{NEW} 10 %" in line
    assert "A deploy is at work: " in table.said
    assert [one["function"] for one in found["functions"]] == list(SERVICES)
    query = found["functions"][0]
    assert (query["candidate"], query["candidate_is_ready"]) == (f"{QUERY}-{NEW}", True)
    assert query["last"]["stage"] == "moving"
    assert found["lease"]["until"] > found["lease"]["since"]


def test_rollback_gives_all_requests_to_what_served_before_and_a_second_one_is_refused(cloud: Deployed) -> None:
    assert cloud.deploy("promote").code == 0
    ended = cloud.deploy("rollback")
    assert ended.code == 0
    assert f"{QUERY}: requests go to {QUERY}-{OLD} 100 % again" in ended.said
    assert cloud.is_back()
    again = cloud.deploy("rollback")
    assert (again.code, "nothing to roll back" in again.said) == (2, True)


def test_rollback_takes_back_the_last_deploy_alone(cloud: Deployed) -> None:
    assert cloud.deploy("promote", "--function", "query").code == 0
    assert cloud.deploy("promote", "--function", "health").code == 0
    assert cloud.deploy("rollback").code == 0
    assert cloud.serving()[SERVICES["health"]] == {OLD: 100}
    assert cloud.serving()[QUERY] == {NEW: 100}


def test_rollback_to_a_revision_by_name(cloud: Deployed) -> None:
    cloud.run.add_revision(QUERY)
    ended = cloud.deploy("rollback", "--function", "query", "--to", f"{QUERY}-{NEW}")
    assert ended.code == 0, ended.said
    assert cloud.serving()[QUERY] == {NEW: 100}
    missing = cloud.deploy("rollback", "--function", "query", "--to", f"{QUERY}-00009-abc")
    assert missing.code == 2
    assert f"to: {QUERY} has no revision {QUERY}-00009-abc; ready are {QUERY}-00003-abc, " in missing.said


def test_nothing_deployed_yet_is_nothing_to_roll_back(cloud: Deployed) -> None:
    ended = cloud.deploy("rollback")
    assert (ended.code, "nothing to roll back" in ended.said) == (2, True)
    assert cloud.is_untouched()


def test_migrate_alone_runs_the_job_of_what_serves(cloud: Deployed) -> None:
    ended = cloud.deploy("migrate")
    assert ended.code == 0, ended.said
    assert cloud.run.images == [f"us-central1-docker.pkg.dev/example-lending/images/{QUERY}:1"]
    assert cloud.is_untouched()


def test_migrate_says_why_it_failed(cloud: Deployed) -> None:
    cloud.run.job = lambda _image: "The container exited with an error."
    ended = cloud.deploy("migrate")
    assert (ended.code, f"FAILED: run job {JOB}: The container exited with an error." in ended.said) == (1, True)
    assert cloud.is_untouched()


def test_migrate_that_is_stopped_before_its_job_runs_says_so_and_gives_the_lease_back(cloud: Deployed) -> None:
    with cloud.started("migrate") as process:
        stop = Fault(
            method="GET", path=f"services/{QUERY}/revisions", before=lambda: process.send_signal(signal.SIGTERM)
        )
        cloud.run.faults.append(stop)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert said.endswith("loancheck: stopped by SIGTERM before the job was started\n")
    assert cloud.run.images == []
    assert cloud.is_untouched()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "--project", "Lending"), "project: 'Lending' must be a project's id"),
        (("promote", "--region", "us-central1-a"), "region: 'us-central1-a' must be a region"),
        (("status", "--region", "moon"), "region: 'moon' must be a region"),
        (("rollback", "--prefix", "lcc"), "prefix: 'lcc' must be Terraform's name and environment"),
        (("promote", "--function", "quary"), "function: there is no quary; there are query, documents, health"),
        (("promote", "--step", "50", "--step", "10"), "step: 50, 10: percents must rise"),
        (("promote", "--step", "10"), "step: 10: percents must rise from 1 at least, and end with 100"),
        (("promote", "--golden", "nowhere.jsonl"), "golden: nowhere.jsonl cannot be read (FileNotFoundError)"),
        (("rollback", "--to", "x"), "to: goes with exactly one --function"),
        (("promote", "--watch-seconds", "-1"), "--watch-seconds"),
    ],
)
def test_bad_input_is_refused_by_its_field_before_any_call(
    cloud: Deployed, arguments: tuple[str, ...], said: str
) -> None:
    ended = cloud.deploy(*arguments)
    assert ended.code == 2, ended.said
    assert said in ended.said
    assert cloud.run.calls == []

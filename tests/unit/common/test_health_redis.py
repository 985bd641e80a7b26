"""Redis, as the limits' counters need it: each way in which it may not be there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from common.health import HealthChecker
from common.health_checks import add_checks, configured_stores
from common.health_redis import redis_check
from common.health_runs import Fault
from common.settings import InvalidSettings, load_settings
from tests import servers


@pytest.fixture
def own_redis() -> Iterator[tuple[str, Redis]]:
    """The URL of a Redis that no other test uses, and its administrator."""
    server = servers.Redis(port=servers.free_port())
    with server.running(), Redis.from_url(server.url) as administrator:
        yield server.url, administrator


@pytest.mark.servers
def test_a_redis_that_answers_is_no_fault(redis_server: str) -> None:
    check = redis_check(redis_server)
    assert [check(), check()] == [None, None]


def test_a_redis_that_is_not_there_or_never_answers_is_not_reachable(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.health_redis._SECONDS", 0.1)
    with servers.silence() as silent:
        for url in (f"redis://127.0.0.1:{free_port}/0", silent.replace("http", "redis")):
            with pytest.raises(Fault, match=r"^not reachable$"):
                redis_check(url)()


@pytest.mark.servers
def test_a_wrong_password_is_told_from_a_redis_that_is_away(own_redis: tuple[str, Redis]) -> None:
    url, administrator = own_redis
    administrator.config_set("requirepass", "right")
    for wrong in (url, url.replace("redis://", "redis://:wrong@")):
        with pytest.raises(Fault, match=r"^does not accept the password$"):
            redis_check(wrong)()
    assert redis_check(url.replace("redis://", "redis://:right@"))() is None


@pytest.mark.servers
def test_a_redis_that_says_no_answers_with_an_error(own_redis: tuple[str, Redis]) -> None:
    url, administrator = own_redis
    administrator.acl_setuser(
        "limited", enabled=True, nopass=True, categories=["-@all"], commands=["+client", "+hello"]
    )
    with pytest.raises(Fault, match=r"^answers with an error$"):
        redis_check(url.replace("redis://", "redis://limited:any@"))()


def test_a_url_of_something_else_names_the_setting() -> None:
    with pytest.raises(InvalidSettings, match=r"^REDIS_URL: must begin with redis://"):
        redis_check("http://127.0.0.1")


def test_with_redis_away_the_report_is_degraded_and_says_what_that_means(tmp_path: Path, free_port: int) -> None:
    settings = load_settings(
        data_dir=tmp_path, redis_url=f"redis://127.0.0.1:{free_port}", database_url=f"sqlite:///{tmp_path}/no.db"
    )
    checker = HealthChecker(timeout_seconds=5)
    add_checks(checker, configured_stores(settings), settings)
    report = checker.report()
    cache = report.components["cache"]
    assert (cache.status, cache.detail) == ("unhealthy", "not reachable")
    assert cache.facts == {"kind": "redis", "when_away": "closed"}
    assert "cache" not in report.of_needed().components

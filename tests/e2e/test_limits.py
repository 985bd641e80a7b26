"""Limits, a day's allowance and Idempotency-Keys as a caller meets them: real emulator processes, a real Redis, and
Gemini's wire format behind them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.emulators import Emulator, emulator
from tests.gemini_server import GeminiServer

QUESTION = {"message": "How long is a UCC financing statement effective?", "agent": "knowledge"}
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def post(running: Emulator, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{running.url}/api/query", json=QUESTION, headers=names, timeout=30)


def test_the_question_after_a_days_allowance_is_a_429_and_no_call_reaches_the_model(tmp_path: Path) -> None:
    with GeminiServer() as gemini:
        settings = {"GEMINI_API_KEY": gemini.api_key, "GEMINI_BASE_URL": gemini.url, "DAILY_TOKENS": "1"}
        with emulator(tmp_path, **settings) as running:
            assert post(running).json()["usage"]["input_tokens"] > 0
            before = len(gemini.requests)
            refused = post(running)
    assert (refused.status_code, refused.json()["type"]) == (429, QUOTA_EXCEEDED)
    assert "1 model tokens of this day are used up" in refused.json()["detail"]
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert len(gemini.requests) == before == 2


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[tuple[Emulator, Emulator]]:
    """Two instances over one database and one Redis."""
    folder = tmp_path_factory.mktemp("two")
    settings = {"REDIS_URL": redis_server, "ADDRESS_LIMIT": "12/hour", "FAILED_KEYS_LIMIT": "5/hour"}
    with emulator(folder, **settings) as one, emulator(folder, **settings) as other:
        yield one, other


@pytest.mark.servers
def test_two_instances_give_one_answer_for_one_key_and_share_one_limit(two: tuple[Emulator, Emulator]) -> None:
    def ask(number: int) -> httpx.Response:
        return post(two[number % 2], Idempotency_Key='"once"')

    with ThreadPoolExecutor(6) as pool:
        asked = list(pool.map(ask, range(6)))
    answered = [one for one in asked if one.status_code == 200]
    assert Counter(one.status_code for one in asked).keys() <= {200, 409}
    assert len({one.text for one in answered}) == 1
    assert sum("Idempotent-Replayed" not in one.headers for one in answered) == 1

    asked = [post(two[number % 2]) for number in range(8)]
    assert [one.status_code for one in asked] == [200] * 6 + [429] * 2  # the address's twelve, over both
    assert asked[5].headers["RateLimit-Policy"].endswith('"address";q=12;w=3600')
    assert '"address";r=0;t=' in asked[5].headers["RateLimit"]
    assert (asked[7].json()["type"], "RateLimit" in asked[7].headers) == (QUOTA_EXCEEDED, True)
    assert 3_500 < int(asked[7].headers["Retry-After"]) <= 3_600


@pytest.mark.servers
def test_guesses_at_one_instance_are_counted_at_the_other(two: tuple[Emulator, Emulator]) -> None:
    guesses = [post(two[number % 2], X_API_Key=f"guess-{number}") for number in range(8)]
    assert [one.status_code for one in guesses] == [401] * 5 + [429] * 3
    assert guesses[7].json()["detail"] == (
        "One address may come with 5 keys or tokens that are not valid in 3600 seconds."
    )


@pytest.mark.parametrize(("decision", "statuses"), [("closed", {503}), ("open", {200})])
def test_while_redis_is_away_one_setting_decides_and_health_says_so(
    tmp_path: Path, decision: str, statuses: set[int]
) -> None:
    settings = {"REDIS_URL": f"redis://127.0.0.1:{servers.free_port()}/0", "WHEN_REDIS_IS_AWAY": decision}
    with emulator(tmp_path, **settings) as running:
        asked = [post(running) for _ in range(3)]
        cache = httpx.get(f"{running.url}/health", timeout=30).json()["components"]["cache"]
        metrics = httpx.get(f"{running.url}/query/metrics", timeout=30).text
    assert {one.status_code for one in asked} == statuses
    assert (cache["status"], cache["detail"]) == ("unhealthy", "not reachable")
    outcome = {"closed": "unavailable", "open": "alone"}[decision]
    assert f'assistant_limits_total{{limit="principal",outcome="{outcome}"}} 3.0' in metrics

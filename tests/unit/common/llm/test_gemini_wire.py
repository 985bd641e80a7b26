"""What every client library's answers come down to; the rest is in test_chat_contract.py."""

import pytest

from common.llm.gemini_wire import retry_delay_seconds

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(("delay", "seconds"), [("2s", 2.0), ("34.074824224s", 34.074824224), ("0s", 0.0)])
def test_the_wait_stands_in_retry_info(delay: str, seconds: float) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"@type": RETRY_INFO, "retryDelay": delay}]
    assert retry_delay_seconds({"error": {"code": 429, "details": details}}) == seconds
    assert retry_delay_seconds({"details": details}) == seconds


@pytest.mark.parametrize(
    "error",
    [
        None,
        "busy",
        {},
        {"error": "busy"},
        {"error": {"details": {}}},
        {"error": {"details": ["busy", {"@type": "type.googleapis.com/google.rpc.Help"}]}},
        {"error": {"details": [{"@type": RETRY_INFO}]}},
        {"error": {"details": [{"@type": RETRY_INFO, "retryDelay": "soon"}]}},
        {"error": {"details": [{"@type": RETRY_INFO, "retryDelay": "-1s"}]}},
    ],
)
def test_an_error_of_another_shape_says_no_wait(error: object) -> None:
    assert retry_delay_seconds(error) is None

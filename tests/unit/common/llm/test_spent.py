from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from common.llm.spent import EmbeddingCall, note, recording

CALL = EmbeddingCall(provider="gcp.gemini", model="m", usage=None, duration_ms=1.0, outcome="ok")


def test_calls_inside_are_collected_and_those_outside_are_not() -> None:
    note(CALL)
    with recording() as calls:
        note(CALL)
    note(CALL)
    assert calls == [CALL]


def test_the_innermost_recording_has_the_call() -> None:
    with recording() as outer, recording() as inner:
        note(CALL)
    assert (outer, inner) == ([], [CALL])


def test_calls_before_an_error_are_kept() -> None:
    with pytest.raises(RuntimeError), recording() as calls:  # noqa: PT012  # the call comes before the error
        note(CALL)
        raise RuntimeError
    assert calls == [CALL]


def test_a_thread_is_heard_in_a_copy_of_the_context() -> None:
    with recording() as calls, ThreadPoolExecutor(1) as threads:
        threads.submit(note, CALL).result()
        assert calls == []
        threads.submit(copy_context().run, note, CALL).result()
    assert calls == [CALL]

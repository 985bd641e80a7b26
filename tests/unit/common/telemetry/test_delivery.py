"""Telemetry is sent beside the requests, never on their path beyond a bound, and once more when the process ends."""

import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.exchange import Exchange
from common.metrics import REGISTRY
from common.settings import settings
from common.telemetry import delivery as module
from common.telemetry.delivery import Delivery, one_wait

ROOT = Path(__file__).parents[4]
SECONDS = 10  # that a test waits for another thread at most
NEVER = 3600.0  # seconds


@dataclass
class Receiver:
    """What a delivery sends to: counts, fails, hangs and takes (fake) time as it is told."""

    sends: int = 0
    fails: bool = False
    takes_seconds: float = 0.0
    now: float = 1000.0
    thread: str = ""
    log: list[str] = field(default_factory=list)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    def send(self) -> None:
        self.begun.release()
        assert self.answers.wait(SECONDS)
        self.sends += 1
        self.thread = threading.current_thread().name
        self.now += self.takes_seconds
        self.log.append("send")
        self.ended.release()
        if self.fails:
            raise ConnectionRefusedError("4111 1111 1111 1111")

    def close(self) -> None:
        self.log.append("close")

    def clock(self) -> float:
        return self.now


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.answers.set()


Make = Callable[..., Delivery]


@pytest.fixture
def deliver(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes deliveries to `receiver`, which end with the test."""
    made: list[Delivery] = []

    def make(**options: object) -> Delivery:
        arguments: dict[str, object] = {"every_seconds": NEVER, "wait_seconds": 0.02, "clock": receiver.clock} | options
        made.append(Delivery("traces", receiver.send, **arguments))  # type: ignore[arg-type]  # options of a test
        return made[-1]

    settings.cache_clear()
    yield make
    receiver.answers.set()
    for one in made:
        one.close()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def on_cloud_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "query")


@pytest.fixture
def warnings_logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []

    class Log:
        def warning(self, event: str, **fields: object) -> None:
            lines.append({"event": event, **fields})

    monkeypatch.setattr(module, "log", Log())
    return lines


def sends(outcome: str) -> float:
    labels = {"channel": "traces", "outcome": outcome}
    return REGISTRY.get_sample_value("assistant_telemetry_sends_total", labels) or 0.0


def wait_until_idle(delivery: Delivery) -> None:
    """Until what was asked for is done, its counting as well."""
    with delivery._changed:
        assert delivery._changed.wait_for(lambda: delivery._done >= delivery._asked, SECONDS)


def send_once(delivery: Delivery) -> None:
    delivery.wake()
    wait_until_idle(delivery)


def test_nothing_runs_until_there_is_something_to_send(deliver: Make) -> None:
    before = threading.active_count()
    deliver()
    assert threading.active_count() == before


def test_it_sends_from_one_daemon_thread_of_its_own(deliver: Make, receiver: Receiver) -> None:
    delivery = deliver()
    starters = [threading.Thread(target=delivery.start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    send_once(delivery)
    ours = [thread for thread in threading.enumerate() if thread is delivery._thread]
    assert (receiver.thread, len(ours), ours[0].daemon) == ("deliver-traces", 1, True)


def test_two_that_start_at_once_start_one_thread(deliver: Make) -> None:
    delivery = deliver()
    delivery.start()
    thread = delivery._thread
    with delivery._changed:
        delivery._start()  # the second, which waited for the lock meanwhile
    assert delivery._thread is thread


def test_it_sends_by_itself_from_time_to_time(deliver: Make, receiver: Receiver) -> None:
    deliver(every_seconds=0.01).start()
    for _ in range(3):
        assert receiver.ended.acquire(timeout=SECONDS)


def test_it_sends_nothing_where_there_is_nothing(deliver: Make, receiver: Receiver) -> None:
    has_work = False
    delivery = deliver(has_work=lambda: has_work)
    delivery.after_call()
    assert delivery._thread is None
    before = sends("ok")
    send_once(delivery)
    assert (receiver.sends, sends("ok")) == (0, before)
    has_work = True
    send_once(delivery)
    assert (receiver.sends, sends("ok")) == (1, before + 1)


def test_the_end_of_a_call_asks_for_a_send_only_when_one_is_due(deliver: Make, receiver: Receiver) -> None:
    delivery = deliver(every_seconds=60.0)
    delivery.after_call()
    wait_until_idle(delivery)
    receiver.now += 59.0
    delivery.after_call()
    wait_until_idle(delivery)
    assert receiver.sends == 1
    receiver.now += 1.5
    delivery.after_call()
    wait_until_idle(delivery)
    assert receiver.sends == 2


def test_a_call_waits_for_nothing_where_the_cpu_stays(deliver: Make, receiver: Receiver) -> None:
    receiver.answers.clear()
    delivery = deliver(wait_seconds=NEVER)
    delivery.after_call()  # comes back
    assert receiver.begun.acquire(timeout=SECONDS)
    assert receiver.sends == 0


@pytest.mark.usefixtures("on_cloud_run")
def test_a_call_on_cloud_run_waits_until_what_is_due_has_left(deliver: Make, receiver: Receiver) -> None:
    deliver(wait_seconds=SECONDS).after_call()
    assert receiver.sends == 1


@pytest.mark.usefixtures("on_cloud_run")
def test_a_call_on_cloud_run_waits_for_a_send_that_began_after_it_ended(deliver: Make, receiver: Receiver) -> None:
    receiver.answers.clear()
    delivery = deliver(every_seconds=1.0, wait_seconds=SECONDS)
    delivery.wake()
    assert receiver.begun.acquire(timeout=SECONDS)  # a send is under way, which may have left this call's spans out
    receiver.now += 2.0
    waiting = threading.Thread(target=delivery.after_call)
    waiting.start()
    with delivery._changed:
        assert delivery._changed.wait_for(lambda: delivery._asked == 2, SECONDS)
    receiver.answers.set()
    waiting.join(SECONDS)
    assert receiver.sends == 2


@pytest.mark.usefixtures("on_cloud_run")
def test_a_receiver_that_hangs_holds_a_call_no_longer_than_the_bound(deliver: Make, receiver: Receiver) -> None:
    receiver.answers.clear()
    deliver(wait_seconds=0.02).after_call()  # comes back
    assert receiver.sends == 0


@pytest.mark.usefixtures("on_cloud_run")
def test_after_a_failure_no_call_waits_until_a_send_went_well(deliver: Make, receiver: Receiver) -> None:
    delivery = deliver(every_seconds=60.0, wait_seconds=NEVER)
    receiver.fails = True
    delivery.after_call()
    receiver.answers.clear()
    receiver.now += 61.0
    delivery.after_call()  # does not wait: the send hangs
    assert receiver.begun.acquire(timeout=SECONDS)
    receiver.fails = False
    receiver.answers.set()
    wait_until_idle(delivery)
    receiver.now += 61.0
    delivery.after_call()
    assert receiver.sends == 3


@pytest.mark.usefixtures("on_cloud_run")
def test_no_call_waits_for_a_receiver_that_is_known_to_hang(deliver: Make, receiver: Receiver) -> None:
    receiver.answers.clear()
    delivery = deliver(every_seconds=60.0, wait_seconds=30.0)
    delivery.wake()
    assert receiver.begun.acquire(timeout=SECONDS)
    receiver.now += 61.0
    begun = time.monotonic()
    delivery.after_call()
    assert time.monotonic() - begun < SECONDS


@pytest.mark.usefixtures("on_cloud_run")
def test_after_a_wait_in_vain_no_call_waits_until_a_send_went_well(deliver: Make, receiver: Receiver) -> None:
    receiver.answers.clear()
    delivery = deliver(every_seconds=60.0, wait_seconds=0.02)
    delivery.after_call()
    delivery._wait_seconds = NEVER
    receiver.now += 61.0
    delivery.after_call()  # comes back
    receiver.answers.set()
    wait_until_idle(delivery)
    receiver.now += 61.0
    before = receiver.sends
    delivery.after_call()
    assert receiver.sends == before + 1


@pytest.mark.usefixtures("on_cloud_run")
def test_one_wait_is_for_all_channels(deliver: Make, receiver: Receiver) -> None:
    channels = [deliver(wait_seconds=SECONDS) for _ in range(3)]
    with one_wait():
        for channel in channels:
            channel.after_call()
    assert receiver.sends == 3


@pytest.mark.usefixtures("on_cloud_run")
def test_three_dead_receivers_hold_a_request_no_longer_than_one_and_the_next_not_at_all(
    deliver: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_seconds = 0.5
    receiver.answers.clear()
    channels = [deliver(wait_seconds=wait_seconds, every_seconds=1.0) for _ in range(3)]
    monkeypatch.setattr("common.tracing.flush_due", channels[0].after_call)
    monkeypatch.setattr("common.logging.flush_due", channels[1].after_call)
    monkeypatch.setattr("common.exchange.push_due", channels[2].after_call)
    took = []
    for _ in range(4):
        begun = time.monotonic()
        Exchange("test", method="GET", headers={}, route="/a", bytes_in=0).finish(200, 0)
        took.append(time.monotonic() - begun)
        receiver.now += 2.0
    assert wait_seconds <= took[0] < 2 * wait_seconds
    assert max(took[1:]) < wait_seconds


def test_each_send_is_counted_by_how_it_went(deliver: Make, receiver: Receiver) -> None:
    before = [sends(outcome) for outcome in ("ok", "failed", "timed_out")]
    delivery = deliver()
    send_once(delivery)
    receiver.fails = True
    send_once(delivery)
    receiver.takes_seconds = 2.0  # Settings.telemetry_timeout_seconds
    send_once(delivery)
    assert [sends(outcome) for outcome in ("ok", "failed", "timed_out")] == [count + 1 for count in before]


def test_failures_are_logged_once_a_minute_without_their_message(
    deliver: Make, receiver: Receiver, warnings_logged: list[dict[str, object]]
) -> None:
    delivery = deliver()
    receiver.fails = True
    send_once(delivery)
    send_once(delivery)
    expected: dict[str, object] = {
        "event": "telemetry.failed", "part": "traces", "outcome": "failed", "error_type": "ConnectionRefusedError",
    }  # fmt: skip
    assert warnings_logged == [expected]
    receiver.now += 60.0
    send_once(delivery)
    assert warnings_logged == [expected, expected]


def test_it_can_be_flushed_within_a_bound(deliver: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = deliver()
    delivery.flush()
    assert receiver.sends == 1
    receiver.answers.clear()
    monkeypatch.setenv("TELEMETRY_TIMEOUT_SECONDS", "0.02")
    settings.cache_clear()
    delivery.flush()  # comes back
    assert receiver.sends == 1


def test_closing_sends_what_is_left_and_then_closes(deliver: Make, receiver: Receiver) -> None:
    delivery = deliver(close=receiver.close)
    delivery.start()
    delivery.close()
    delivery.close()
    assert receiver.log == ["send", "close"]


def test_what_is_closed_stays_closed(deliver: Make, receiver: Receiver) -> None:
    delivery = deliver()
    delivery.start()
    delivery.close()
    delivery.start()
    with delivery._changed:
        delivery._start()
    delivery.after_call()
    assert receiver.log == ["send"]


def test_closing_where_nothing_was_ever_sent_is_nothing(deliver: Make, receiver: Receiver) -> None:
    deliver(close=receiver.close).close()
    assert receiver.log == []


def test_closing_is_bounded_where_the_receiver_hangs(
    deliver: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEMETRY_TIMEOUT_SECONDS", "0.02")
    receiver.answers.clear()
    delivery = deliver()
    delivery.start()
    delivery.close()  # comes back
    assert receiver.sends == 0


def test_a_close_that_fails_is_counted(
    deliver: Make, receiver: Receiver, warnings_logged: list[dict[str, object]]
) -> None:
    def close() -> None:
        raise OSError

    before = sends("failed")
    delivery = deliver(close=close)
    delivery.start()
    delivery.close()
    assert (sends("failed"), warnings_logged[0]["error_type"]) == (before + 1, "OSError")


@pytest.mark.usefixtures("on_cloud_run")
def test_a_system_without_threads_to_give_fails_no_call(
    deliver: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = sends("failed")
    delivery = deliver(wait_seconds=NEVER)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        delivery.after_call()
        delivery.wake()
        delivery.flush()
    assert sends("failed") == before + 3
    delivery.after_call()
    assert receiver.sends == 1


def run(script: str) -> list[str]:
    """What `script` printed, in a process of its own, which must end well."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_process_that_ends_sends_what_is_left_and_a_collected_delivery_does_no_harm() -> None:
    assert run("""
        import gc
        from common.telemetry.delivery import Delivery
        kept = Delivery("traces", lambda: print("sent"), every_seconds=3600, wait_seconds=0,
                        close=lambda: print("closed"))
        lost = Delivery("traces", lambda: print("never"), every_seconds=3600, wait_seconds=0)
        del lost
        gc.collect()
        kept.start()
        """) == ["sent", "closed"]


def test_a_forked_child_sends_for_itself_and_forgets_what_is_its_parents() -> None:
    """As gunicorn does it: a module is imported, and may have sent, in the master; requests come to its children."""
    lines = run("""
        import os, sys, threading
        from common.telemetry.delivery import Delivery
        is_sending, may_go_on = threading.Event(), threading.Event()
        who = "parent"
        def send():
            is_sending.set()
            may_go_on.wait()
            os.write(1, f"sent by {who}\\n".encode())
        delivery = Delivery("traces", send, every_seconds=3600, wait_seconds=0,
                            forget=lambda: os.write(1, b"forgotten by child\\n"))
        delivery.wake()
        is_sending.wait()
        delivery._changed.acquire()  # the worst moment: another thread of the parent holds the lock
        child = os.fork()
        may_go_on.set()
        if child == 0:
            who = "child"
            is_sending.clear()
            delivery.wake()
            is_sending.wait()
            sys.exit(0)
        delivery._changed.release()
        assert os.waitpid(child, 0)[1] == 0
        """)
    assert lines.count("forgotten by child") == 1
    assert lines.count("sent by child") == 2  # when woken, and at its end
    assert lines.count("sent by parent") == 2


def test_a_forked_child_that_sends_nothing_ends_in_silence() -> None:
    assert (
        run("""
        import os, sys
        from common.telemetry.delivery import Delivery
        delivery = Delivery("traces", lambda: print("sent", flush=True), every_seconds=3600, wait_seconds=0)
        child = os.fork()
        if child == 0:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """)
        == []
    )


def test_deliveries_are_not_kept_alive_by_what_watches_over_them(receiver: Receiver) -> None:
    delivery = Delivery("traces", receiver.send, every_seconds=NEVER, wait_seconds=0)
    assert delivery in module._all
    del delivery
    gc.collect()
    assert not [one for one in module._all if one._send == receiver.send]

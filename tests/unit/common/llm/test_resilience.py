import threading
from collections.abc import Callable, Generator, Iterator

import pytest

from common.llm.chat import (
    ChatAnswer,
    ChatChunk,
    ChatRequest,
    Lane,
    ModelAnswerUnusable,
    ModelBlocked,
    ModelError,
    ModelOverQuota,
    ModelRefusedCredentials,
    ModelTimeout,
)
from common.llm.gemini import GeminiModel, gemini_client
from common.llm.resilience import Policy, ResilientModel
from tests.gemini_server import Behaviour, GeminiServer
from tests.log_lines import log_lines

REQUEST = ChatRequest(instruction="-", question="?", timeout_seconds=20)
CHEAP = ChatRequest(instruction="-", question="?", timeout_seconds=20, lane="cheap")
ANSWER = ChatAnswer(text="Fine.", model="scripted", asked="scripted")


class Clock:
    """Seconds that pass by sleeping, and by `passes` for each call of the model."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class ScriptedModel:
    """A `ChatModel` that fails as scripted, then answers. A stream fails before or, `after` a chunk, behind it."""

    provider = "scripted"
    model = "scripted"

    def __init__(self, clock: Clock, *failures: Exception | None, after: bool = False, passes: float = 0.0) -> None:
        self.failures = list(failures)
        self.timeouts: list[float] = []
        self.closed = 0
        self._clock = clock
        self._after = after
        self._passes = passes

    def model_on(self, _lane: Lane) -> str:
        return self.model

    def generate(self, request: ChatRequest) -> ChatAnswer:
        self.timeouts.append(request.timeout_seconds)
        self._clock.now += self._passes
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return ANSWER

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        try:
            if self._after:
                yield ChatChunk(text="Fi")
            answer = self.generate(request)
            yield ChatChunk(text="ne." if self._after else "Fine.")
            yield ChatChunk(text="", answer=answer)
        finally:
            self.closed += 1


Make = Callable[..., tuple[ResilientModel, ScriptedModel, Clock]]


def made(
    *failures: Exception | None, attempts: int = 3, breaker_failures: int = 5, rest: float = 60, **options: float
) -> tuple[ResilientModel, ScriptedModel, Clock]:
    clock = Clock()
    inner = ScriptedModel(clock, *failures, **options)  # type: ignore[arg-type]  # after is a bool, which is a number
    policy = Policy(
        attempts=attempts,
        breaker_failures=breaker_failures,
        breaker_seconds=rest,
        sleep=clock.sleep,
        clock=clock,
    )
    return ResilientModel(inner, policy), inner, clock


def drain(model: ResilientModel, request: ChatRequest = REQUEST) -> str:
    return "".join(chunk.text for chunk in model.stream(request))


OUTAGES = [ModelError(), ModelTimeout(), ModelOverQuota()]
REFUSALS = [ModelBlocked(), ModelRefusedCredentials(), ModelAnswerUnusable()]


class TestRetries:
    def test_it_is_the_model_that_it_wraps(self) -> None:
        model, inner, _ = made()
        assert (model.provider, model.model) == (inner.provider, inner.model)

    @pytest.mark.parametrize("outage", OUTAGES, ids=repr)
    def test_an_outage_is_asked_again(self, outage: ModelError) -> None:
        model, inner, clock = made(outage, outage)
        assert model.generate(REQUEST) == ANSWER
        assert (len(inner.timeouts), len(clock.waits)) == (3, 2)

    @pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
    def test_what_asking_again_does_not_help_is_asked_once(self, refusal: ModelError) -> None:
        model, inner, clock = made(refusal)
        with pytest.raises(type(refusal)):
            model.generate(REQUEST)
        assert (len(inner.timeouts), clock.waits) == (1, [])

    def test_any_other_error_is_a_fault_and_passes(self) -> None:
        model, inner, _ = made(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            model.generate(REQUEST)
        assert len(inner.timeouts) == 1

    def test_after_the_last_attempt_its_error_stands(self) -> None:
        model, inner, _ = made(ModelError(), ModelTimeout(), ModelOverQuota(), ModelError())
        with pytest.raises(ModelOverQuota):
            model.generate(REQUEST)
        assert len(inner.timeouts) == 3

    def test_waits_grow_and_vary(self) -> None:
        waits = [made(*[ModelError()] * 4, attempts=5) for _ in range(40)]
        for model, _, _ in waits:
            model.generate(REQUEST)
        for number, longest in enumerate((0.25, 0.5, 1.0, 2.0)):
            of_this_attempt = [clock.waits[number] for _, _, clock in waits]
            assert 0 <= min(of_this_attempt) < longest / 2 < max(of_this_attempt) <= longest

    def test_the_provider_says_how_long_to_wait_at_least(self) -> None:
        model, _, clock = made(ModelOverQuota(retry_after_seconds=7))
        model.generate(REQUEST)
        assert 7 <= clock.waits[0] <= 7.25

    def test_a_wait_beyond_the_deadline_is_not_begun(self) -> None:
        model, inner, clock = made(ModelOverQuota(retry_after_seconds=21))
        with pytest.raises(ModelOverQuota):
            model.generate(REQUEST)
        assert (len(inner.timeouts), clock.waits) == (1, [])

    def test_each_attempt_gets_what_is_left_of_the_time(self) -> None:
        model, inner, clock = made(ModelError(), ModelError(), passes=4)
        model.generate(REQUEST)
        assert inner.timeouts[0] == 20
        assert inner.timeouts[1] == pytest.approx(16 - clock.waits[0])
        assert inner.timeouts[2] == pytest.approx(12 - clock.waits[0] - clock.waits[1])

    def test_a_timeout_that_took_all_the_time_is_final(self) -> None:
        model, inner, _ = made(ModelTimeout(), passes=20)
        with pytest.raises(ModelTimeout):
            model.generate(REQUEST)
        assert len(inner.timeouts) == 1

    def test_a_retry_leaves_a_line_without_content(self) -> None:
        model, _, _ = made(ModelOverQuota())
        with log_lines() as lines:
            model.generate(REQUEST)
        assert [(line["event"], line["attempt"], line["error_type"]) for line in lines] == [
            ("model.retried", 1, "ModelOverQuota")
        ]


class TestStreams:
    def test_chunks_come_through(self) -> None:
        model, _, _ = made()
        assert drain(model) == "Fine."

    def test_a_stream_is_begun_again_while_nothing_has_come(self) -> None:
        model, inner, _ = made(ModelError())
        assert drain(model) == "Fine."
        assert len(inner.timeouts) == 2

    def test_a_stream_that_breaks_after_a_chunk_is_not_begun_again(self) -> None:
        model, inner, _ = made(ModelError(), after=True)
        stream = model.stream(REQUEST)
        assert next(stream).text == "Fi"
        with pytest.raises(ModelError):
            next(stream)
        assert len(inner.timeouts) == 1

    @pytest.mark.parametrize("chunks", [1, 2])
    def test_closing_it_closes_the_models_stream(self, chunks: int) -> None:
        model, inner, _ = made(after=True)
        stream = model.stream(REQUEST)
        for _ in range(chunks):
            next(stream)
        assert inner.closed == 0
        stream.close()
        assert inner.closed == 1


class TestBreaker:
    def fail(self, model: ResilientModel, times: int, request: ChatRequest = REQUEST) -> None:
        for _ in range(times):
            with pytest.raises(ModelError):
                model.generate(request)

    def test_after_several_failed_calls_the_model_is_left_alone(self) -> None:
        model, inner, _ = made(*[ModelError()] * 9, attempts=1, breaker_failures=3)
        self.fail(model, 3)
        with pytest.raises(ModelError, match="left alone"):
            model.generate(REQUEST)
        with pytest.raises(ModelError, match="left alone"):
            drain(model)
        assert len(inner.timeouts) == 3

    def test_a_call_counts_once_however_often_it_was_tried(self) -> None:
        model, inner, _ = made(*[ModelError()] * 9, attempts=3, breaker_failures=3)
        self.fail(model, 2)
        assert len(inner.timeouts) == 6
        self.fail(model, 1)
        with pytest.raises(ModelError, match="left alone"):
            model.generate(REQUEST)

    def test_a_success_between_starts_the_count_again(self) -> None:
        model, _, _ = made(ModelError(), ModelError(), None, ModelError(), ModelError(), attempts=1, breaker_failures=3)
        self.fail(model, 2)
        model.generate(REQUEST)
        self.fail(model, 2)
        assert model.generate(REQUEST) == ANSWER

    @pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
    def test_only_outages_count(self, refusal: ModelError) -> None:
        model, inner, _ = made(ModelError(), refusal, *[refusal] * 9, attempts=1, breaker_failures=2)
        self.fail(model, 11)
        assert len(inner.timeouts) == 11

    def test_each_lane_has_its_own(self) -> None:
        model, inner, _ = made(*[ModelError()] * 2, attempts=1, breaker_failures=2)
        self.fail(model, 2, CHEAP)
        assert model.generate(REQUEST) == ANSWER
        with pytest.raises(ModelError, match="left alone"):
            model.generate(CHEAP)
        assert len(inner.timeouts) == 3

    def test_after_its_rest_a_call_that_works_closes_it(self) -> None:
        model, inner, _ = made(ModelError(), attempts=1, breaker_failures=1, rest=1e-6)
        self.fail(model, 1)
        assert model.generate(REQUEST) == ANSWER
        assert model.generate(REQUEST) == ANSWER
        assert len(inner.timeouts) == 3

    def test_after_its_rest_a_call_that_fails_opens_it_again(self) -> None:
        model, _, _ = made(ModelError(), ModelTimeout(), attempts=1, breaker_failures=1, rest=1e-6)
        self.fail(model, 1)
        with pytest.raises(ModelTimeout):
            model.generate(REQUEST)
        with log_lines() as lines:
            model.generate(REQUEST)
        assert [line["outcome"] for line in lines] == ["half-open", "closed"]

    def test_after_its_rest_one_call_at_a_time_tries(self) -> None:
        model, _, _ = made(ModelError(), attempts=1, breaker_failures=1, rest=1e-6, after=True)
        with pytest.raises(ModelError):
            drain(model)
        trial = model.stream(REQUEST)
        next(trial)
        with pytest.raises(ModelError, match="left alone"):
            model.generate(REQUEST)
        list(trial)
        assert model.generate(REQUEST) == ANSWER

    def test_a_trial_that_is_given_up_lets_the_next_one_try(self) -> None:
        model, _, _ = made(ModelError(), attempts=1, breaker_failures=1, rest=1e-6, after=True)
        with pytest.raises(ModelError):
            drain(model)
        trial = model.stream(REQUEST)
        next(trial)
        trial.close()
        assert model.generate(REQUEST) == ANSWER

    def test_a_caller_that_closes_the_stream_with_the_answer_in_hand_has_seen_it_work(self) -> None:
        model, _, _ = made(ModelError(), attempts=1, breaker_failures=1, rest=1e-6)
        self.fail(model, 1)
        trial = model.stream(REQUEST)
        while next(trial).answer is None:
            pass
        with log_lines() as lines:
            trial.close()
            model.generate(REQUEST)
        assert lines == []

    def test_a_stream_that_breaks_late_counts(self) -> None:
        model, _, _ = made(ModelError(), after=True, breaker_failures=1)
        with pytest.raises(ModelError):
            drain(model)
        with pytest.raises(ModelError, match="left alone"):
            model.generate(REQUEST)

    def test_a_late_success_does_not_close_what_others_have_opened(self) -> None:
        model, _, _ = made(None, ModelError(), attempts=1, breaker_failures=1, after=True)
        early = model.stream(REQUEST)
        assert [next(early).text, next(early).text] == ["Fi", "ne."]
        self.fail(model, 1)
        list(early)
        with pytest.raises(ModelError, match="left alone"):
            model.generate(REQUEST)

    def test_calls_run_side_by_side(self) -> None:
        model, inner, _ = made()
        both = threading.Barrier(2, timeout=5)  # breaks if the second call waits for the first

        def generate(_: ChatRequest) -> ChatAnswer:
            both.wait()
            return ANSWER

        inner.generate = generate  # type: ignore[method-assign, assignment]  # an instance's own
        other = threading.Thread(target=model.generate, args=(REQUEST,))
        other.start()
        assert model.generate(REQUEST) == ANSWER
        other.join()


class TestWithGemini:
    """The same over google-genai and the local server: the client's own retries are off."""

    @pytest.fixture
    def server(self) -> Iterator[GeminiServer]:
        with GeminiServer() as running:
            yield running

    @pytest.fixture
    def model(self, server: GeminiServer) -> ResilientModel:
        client = gemini_client(api_key=server.api_key, base_url=server.url)
        gemini = GeminiModel(client, model="gemini-3.8-flash", cheap_model="gemini-3.5-flash-lite")
        return ResilientModel(gemini, Policy(attempts=3, breaker_failures=2, sleep=lambda _: None))

    @pytest.mark.parametrize("ask", [lambda model: model.generate(REQUEST).text, drain])
    def test_two_failures_and_an_answer(
        self, model: ResilientModel, server: GeminiServer, ask: Callable[[ResilientModel], str]
    ) -> None:
        server.script(Behaviour(status=503), Behaviour(cut_after_bytes=0))
        assert ask(model) == "This is the local stand-in for Gemini."
        assert len(server.requests) == 3

    def test_a_dead_server_is_not_called_while_the_breaker_is_open(
        self, model: ResilientModel, server: GeminiServer
    ) -> None:
        server.script(*[Behaviour(status=503)] * 6)
        for _ in range(4):
            with pytest.raises(ModelError):
                model.generate(REQUEST)
        assert len(server.requests) == 6

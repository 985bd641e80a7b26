"""What holds for google-genai alone; what each chat model promises is in test_chat_contract.py."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from google.auth.exceptions import RefreshError, TransportError
from google.oauth2.credentials import Credentials

from common.llm.chat import ChatRequest, ModelAnswerUnusable, ModelError, ModelRefusedCredentials, ModelTimeout
from common.llm.gemini import GeminiModel, call_gemini, gemini_client
from tests.gemini_server import Behaviour, GeminiServer
from tests.log_lines import log_lines

REQUEST = ChatRequest(instruction="Be brief.", question="What of Jane Roe, 078-05-1120?")


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


def connected(server: GeminiServer, model: str = "gemini-3.8-flash") -> GeminiModel:
    return GeminiModel(gemini_client(api_key=server.api_key, base_url=server.url), model=model, cheap_model="cheap")


@pytest.fixture
def model(server: GeminiServer) -> GeminiModel:
    return connected(server)


def test_thinking_is_kept_low_because_it_counts_against_the_limit_of_the_answer(
    model: GeminiModel, server: GeminiServer
) -> None:
    model.generate(REQUEST)
    assert "LOW" in str(server.requests[0].body["generationConfig"]["thinkingConfig"])


def test_older_models_that_know_no_thinking_level_are_not_given_one(server: GeminiServer) -> None:
    connected(server, "gemini-2.5-flash").generate(REQUEST)
    assert "thinkingConfig" not in server.requests[0].body["generationConfig"]


def test_thoughts_are_no_part_of_the_answer(model: GeminiModel, server: GeminiServer) -> None:
    server.script(Behaviour(text="65 percent.", thought="The user asks for a limit."))
    assert model.generate(REQUEST).text == "65 percent."


def test_tokens_of_tools_are_counted(model: GeminiModel, server: GeminiServer) -> None:
    server.script(Behaviour(text="65 percent.", tool_tokens=9))
    usage = model.generate(REQUEST).usage
    assert usage is not None
    assert usage.tool_tokens == 9


def test_a_stream_that_turns_into_an_error_raises_after_the_chunks_already_given(
    model: GeminiModel, server: GeminiServer
) -> None:
    server.script(Behaviour(text="a b c d", error_after_events=2))
    stream = model.stream(REQUEST)
    assert [next(stream).text, next(stream).text] == ["a ", "b "]
    with pytest.raises(ModelError, match="503"):
        next(stream)


def test_a_body_that_drips_in_is_cut_at_the_deadline(model: GeminiModel, server: GeminiServer) -> None:
    server.script(Behaviour(delay_seconds=0.5, pause_seconds=30))
    started = time.monotonic()
    with pytest.raises(ModelTimeout):
        model.generate(ChatRequest(instruction="-", question="?", timeout_seconds=0.8))
    assert time.monotonic() - started < 1.25  # not 0.5 until the headers and then another 0.8


def test_a_call_without_a_time_limit_is_left_as_it_is(server: GeminiServer) -> None:
    client = gemini_client(api_key=server.api_key, base_url=server.url)
    assert client.models.get(model="gemini-3.8-flash").name == "models/gemini-3.8-flash"


def test_another_model_than_asked_for_is_warned_of(model: GeminiModel, server: GeminiServer) -> None:
    server.script(Behaviour(text="Fine.", model_version="gemini-9-flash"))
    with log_lines() as lines:
        model.generate(REQUEST)
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert [(line["event"], line["asked"], line["model"]) for line in warnings] == [
        ("model.substituted", "gemini-3.8-flash", "gemini-9-flash")
    ]


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(status=400, echo_prompt=True), Behaviour(body=b"Jane")])
def test_no_line_holds_what_was_asked_or_answered(
    model: GeminiModel, server: GeminiServer, behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="google_genai")
    server.script(behaviour)
    with log_lines() as lines:
        try:
            model.generate(REQUEST)
        except ModelError:
            assert behaviour != Behaviour()
    assert lines
    assert "Jane" not in str(lines) + caplog.text
    assert "stand-in" not in str(lines) + caplog.text


def test_vertex_ai_is_asked_with_its_credentials_under_its_own_path(server: GeminiServer) -> None:
    client = gemini_client(
        base_url=server.url,
        vertex_project="lending",
        vertex_location="us-central1",
        credentials=Credentials("token"),  # type: ignore[no-untyped-call]  # google-auth is partly untyped
    )
    model = GeminiModel(client, model="gemini-3.8-flash", cheap_model="cheap")
    assert (model.provider, model.generate(REQUEST).model) == ("gcp.vertex_ai", "gemini-3.8-flash")
    (request,) = server.requests
    assert request.path.endswith(
        "/projects/lending/locations/us-central1/publishers/google/models/gemini-3.8-flash:generateContent"
    )
    assert request.headers["authorization"] == "Bearer token"
    assert "x-goog-api-key" not in request.headers


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (RefreshError("Jane"), ModelRefusedCredentials),  # type: ignore[no-untyped-call]
        (TransportError("Jane"), ModelError),  # type: ignore[no-untyped-call]
        (httpx2.ConnectTimeout("Jane"), ModelError),
        (httpx2.PoolTimeout("Jane"), ModelTimeout),
        (KeyError("Jane"), ModelAnswerUnusable),
    ],
)
def test_errors_of_the_library_become_ours(raised: Exception, error: type[ModelError]) -> None:
    def fails() -> None:
        raise raised

    with pytest.raises(error) as caught:
        call_gemini(fails)
    assert type(caught.value) is error
    assert "Jane" not in str(caught.value)


def test_an_address_where_nobody_listens_is_an_outage() -> None:
    model = GeminiModel(gemini_client(api_key="k", base_url="http://127.0.0.1:9"), model="m", cheap_model="m")
    with pytest.raises(ModelError) as caught:
        model.generate(REQUEST)
    assert type(caught.value) is ModelError

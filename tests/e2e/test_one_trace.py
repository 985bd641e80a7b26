"""One query is one trace: what an OTLP receiver gets from a running emulator, with Gemini's stand-in behind it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.emulators import emulator
from tests.gemini_server import GeminiServer
from tests.trace_servers import OtlpHttp, Received

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
QUESTIONS = {  # each asked once, for a search that was made before is not made again
    False: "Which receivables are not eligible for a borrowing base?",
    True: "When must an adverse action notice be sent?",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpHttp]:
    with OtlpHttp() as running:
        yield running


@pytest.fixture(scope="module")
def gemini() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


@pytest.fixture(scope="module")
def url(receiver: OtlpHttp, gemini: GeminiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {
        "TRACE_EXPORTER": "otlp",
        "OTLP_ENDPOINT": receiver.url,
        "GEMINI_API_KEY": gemini.api_key,
        "GEMINI_BASE_URL": gemini.url,
    }
    with emulator(tmp_path_factory.mktemp("traced"), **settings) as running:
        yield running.url


def spans_of(receiver: OtlpHttp, trace_id: str, last: str) -> dict[str, list[Received]]:
    """The trace's spans by name, once the one called `last` has come."""
    count = 1
    while not any(span.trace_id == trace_id and span.name == last for span in receiver.wait_for(count)):
        count = len(receiver.spans) + 1
    found: dict[str, list[Received]] = {}
    for span in receiver.spans:
        if span.trace_id == trace_id:
            found.setdefault(span.name, []).append(span)
    return found


def lineage(span: Received, spans: dict[str, list[Received]]) -> list[str]:
    """Names from the outermost span of ours to `span`."""
    by_id = {one.span_id: one for several in spans.values() for one in several}
    names = [span.name]
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        names.insert(0, span.name)
    return names


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_query_is_one_trace_over_spine_router_retrieval_database_and_model(
    url: str, receiver: OtlpHttp, gemini: GeminiServer, *, stream: bool
) -> None:
    trace = TRACE[:-1] + ("1" if stream else "0")
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    seen = len(gemini.requests)
    body = {"message": QUESTIONS[stream], "stream": stream}
    response = httpx.post(f"{url}/api/query", json=body, headers=headers, timeout=60)
    assert response.status_code == 200
    assert trace in response.text
    spans = spans_of(receiver, trace, "POST /api/query")
    (root,) = spans["POST /api/query"]
    assert (root.parent_id, root.kind, root.attributes["http.response.status_code"]) == (CALLER, "server", 200)
    agent = "invoke_agent knowledge"
    chains = {name: lineage(several[0], spans) for name, several in spans.items()}
    assert chains["classify_intent"] == ["POST /api/query", "classify_intent"]
    assert chains["search vectors"] == ["POST /api/query", agent, "retrieval knowledge", "search vectors"]
    assert chains["plan"] == ["POST /api/query", agent, "plan"]
    assert chains["critique"] == ["POST /api/query", agent, "critique"]
    assert [lineage(one, spans)[-2] for one in spans["chat gemini-3.8-flash"]] == ["plan", "critique"]
    written = [lineage(one, spans)[-2] for one in spans["write sqlite"]]  # each call as it is held, then the turn
    assert written == ["chat gemini-3.8-flash", "chat gemini-3.8-flash", "POST /api/query"]
    assert all(chain[0] == "POST /api/query" for chain in chains.values())
    draft = spans["chat gemini-3.8-flash"][0]
    assert draft.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert int(str(draft.attributes["gen_ai.usage.input_tokens"])) > 0
    assert not any("messages" in name for name in draft.attributes)  # content is off unless asked for
    told = [request.headers["traceparent"].split("-")[1] for request in gemini.requests[seen:]]
    assert told
    assert set(told) == {trace}


def test_a_refused_request_has_a_span_without_its_address(url: str, receiver: OtlpHttp) -> None:
    trace = TRACE[:-1] + "2"
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    httpx.get(f"{url}/api/query/jane@example.com?ssn=078-05-1120", headers=headers)
    spans = spans_of(receiver, trace, "GET")
    assert list(spans) == ["GET"]
    assert "jane" not in str(receiver.spans[-1])
    assert b"078-05-1120" not in b"".join(receiver.bodies)

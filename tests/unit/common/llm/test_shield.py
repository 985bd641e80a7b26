"""The shield over a model that repeats what it is told, and through the real client library to the local Gemini."""

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from common.llm import shield
from common.llm.chat import (
    ChatAnswer,
    ChatChunk,
    ChatModel,
    ChatRequest,
    Evidence,
    Lane,
    ModelBlocked,
    ModelError,
    Passage,
)
from common.llm.draft import Draft
from common.llm.embeddings import Embedder, FloatMatrix, FloatVector
from common.llm.gemini import GeminiModel, gemini_client
from common.llm.gemini_embeddings import GeminiEmbedder
from common.llm.resilience import Policy
from common.llm.shield import INSTRUCTION, ShieldedEmbedder, ShieldedModel, shield_key
from common.pii import configure, mask
from tests.gemini_server import Behaviour, GeminiServer
from tests.instance import instance

KEY = b"k" * 32
AWS_KEY = "AKIA" + "Q7ZR2M5XK3WT4VB6"  # of the form, and nobody's
ORIGINALS = (
    "Jane", "Roe", "jane@roe.example", "JANE@Roe.example", "415-555-0132", "(415) 555-0132", "078-05-1120",
    "4111 1111 1111 1111", "12 Oak Street", "62704", AWS_KEY, "PO Box 77", "203.0.113.7",
    "03/14/1975", "D1234567", "12-3456789",
)  # fmt: skip
QUESTION = (
    "My name is Jane Roe, jane@roe.example, 415-555-0132. What is the limit for 12 Oak Street, Springfield, IL 62704 "
    "at $250,000?"
)
TEXT = (
    "Ms. Roe (JANE@Roe.example, (415) 555-0132, SSN 078-05-1120) pledged 12 Oak Street, Springfield, IL 62704. "
    "Her card is 4111 1111 1111 1111. The limit of Jane Roe is 65 percent of $250,000, by Regulation B of Fannie Mae."
)
IDENTITY = "DOB: 03/14/1975, driver's license D1234567, EIN 12-3456789. Note of 03/15/2025."
PASSAGE = Passage(
    number=1,
    document_id="file-7",
    title="File of Jane Roe",
    source="files/jane_roe.pdf",
    heading="PO Box 77",
    text=TEXT,
    score=0.9,
    evidence=(Evidence(start=0, end=7, support=0.9),),
)
REQUEST = ChatRequest(
    instruction="Answer. Mend: the address jane@roe.example is not cited.",
    question=QUESTION,
    history=(("user", f"I am at 203.0.113.7 with key {AWS_KEY}"), ("model", "Hello Jane Roe.")),
    passages=(PASSAGE, replace(PASSAGE, number=2, source=None, text=IDENTITY)),
    conversation="c1",
)
PLAIN = ChatRequest(instruction="Be brief.", question="What is the limit for raw land at $250,000?", passages=())


@dataclass
class Parrot:
    """Answers with `answer` of what it is asked, in pieces of `size` characters; keeps what it was asked."""

    answer: Callable[[ChatRequest], str] = lambda request: request.question
    size: int = 5
    failure: ModelError | None = None
    seen: list[ChatRequest] = field(default_factory=list)
    closed: int = 0
    provider: str = "parrot"
    model: str = "parrot-1"

    def model_on(self, _lane: Lane) -> str:
        return self.model

    def generate(self, request: ChatRequest) -> ChatAnswer:
        self.seen.append(request)
        if self.failure is not None:
            raise self.failure
        return ChatAnswer(text=self.answer(request), model=self.model, asked=self.model)

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        try:
            whole = self.generate(request)
            for start in range(0, len(whole.text), self.size):
                yield ChatChunk(text=whole.text[start : start + self.size])
            yield ChatChunk(text="", answer=whole)
        finally:
            self.closed += 1


def text_of(request: ChatRequest) -> str:
    return "\n".join([request.instruction, *shield._texts(request)])


def test_nothing_personal_leaves_in_any_part_of_a_request() -> None:
    parrot = Parrot()
    ShieldedModel(parrot, KEY).generate(REQUEST)
    sent = text_of(parrot.seen[0])
    assert [one for one in ORIGINALS if one.casefold() in sent.casefold()] == []


def test_it_tells_what_a_model_would_get() -> None:
    parrot = Parrot()
    shielded = ShieldedModel(parrot, KEY)
    shielded.generate(REQUEST)
    assert shielded.sent(REQUEST) == parrot.seen[0]


def test_what_telemetry_is_told_not_to_mask_is_hidden_from_a_model_all_the_same() -> None:
    parrot = Parrot()
    configure(kinds="PHONE", allow=["jane@roe.example"])
    try:
        ShieldedModel(parrot, KEY).generate(replace(PLAIN, question="SSN 078-05-1120, jane@roe.example"))
    finally:
        configure()
    assert re.fullmatch(r"SSN \[SSN_\w+\], \[EMAIL_\w+\]", parrot.seen[0].question)


def test_amounts_rates_and_names_of_rules_and_agencies_stay() -> None:
    parrot = Parrot()
    ShieldedModel(parrot, KEY).generate(REQUEST)
    assert "$250,000" in parrot.seen[0].question
    assert parrot.seen[0].passages[0].text.endswith("is 65 percent of $250,000, by Regulation B of Fannie Mae.")


@pytest.mark.parametrize("unseen", ["\u200b", "\u00ad", "\u202e", "\ufeff", "\U000e0041"])
def test_characters_that_nobody_sees_hide_nothing_from_the_shield(unseen: str) -> None:
    text = f"Ms. R{unseen}oe, SSN 078-{unseen}05-1120, jane{unseen}@roe.example"
    parrot = Parrot()
    ShieldedModel(parrot, KEY).generate(replace(PLAIN, question=text))
    assert re.fullmatch(r"Ms\. \[NAME_\w+\], SSN \[SSN_\w+\], \[EMAIL_\w+\]", parrot.seen[0].question)
    recorder = Recorder()
    ShieldedEmbedder(recorder).embed_query(text)
    assert recorder.seen == ["Ms. [NAME], SSN [SSN], [EMAIL]"]


@pytest.mark.parametrize(
    ("told", "again"),
    [
        ("My account number is 000123456789.", "Debit 000123456789 first."),
        ("My SSN is 078-05-1120.", "File 078051120, 1 page."),
        ("My passport number is 012345678.", "Passport, 012345678."),
        ("I was born 03/14/1975.", "Since 03/14/1975."),
        ("I live at 12 oak street, reno, nv 89501.", "The barn (12 oak street, reno, nv 89501) is pledged."),
    ],
)
def test_what_one_text_tells_to_be_personal_is_so_in_the_others(told: str, again: str) -> None:
    parrot = Parrot()
    passage = replace(PASSAGE, text=again)
    ShieldedModel(parrot, KEY).generate(replace(PLAIN, question=told, passages=(passage,)))
    assert not re.search(r"\d{6}|1975|oak", parrot.seen[0].question + parrot.seen[0].passages[0].text)


def test_amounts_stay_that_happen_to_be_somebodys_number() -> None:
    parrot = Parrot()
    told = "My account number is 25000000; password=abc1."
    passage = replace(PASSAGE, text="Loans above $25000000 (abc1), or 1.25000000, 25000000.50 and 250000001.")
    ShieldedModel(parrot, KEY).generate(replace(PLAIN, question=told, passages=(passage,)))
    assert "25000000" not in parrot.seen[0].question
    assert parrot.seen[0].passages[0].text == passage.text


def test_what_a_model_repeats_comes_back_as_it_was() -> None:
    model = ShieldedModel(Parrot(lambda request: request.question + request.passages[0].text), KEY)
    assert model.generate(REQUEST).text == QUESTION + TEXT


def test_what_says_who_somebody_is_leaves_as_its_kind_and_comes_back() -> None:
    parrot = Parrot()
    answer = ShieldedModel(parrot, KEY).generate(replace(PLAIN, question=IDENTITY))
    assert re.fullmatch(
        r"DOB: \[BIRTH_DATE_\w+\], driver's license \[ID_NUMBER_\w+\], EIN \[ID_NUMBER_\w+\]\. Note of 03/15/2025\.",
        parrot.seen[0].question,
    )
    assert answer.text == IDENTITY


def test_a_telemetry_line_keeps_what_only_the_shield_hides() -> None:
    assert mask(IDENTITY) == IDENTITY


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_brings_the_same_in_pieces_and_whole(size: int) -> None:
    model = ShieldedModel(Parrot(lambda request: request.question + request.passages[0].text, size=size), KEY)
    *chunks, last = model.stream(REQUEST)
    assert last.answer is not None
    assert [chunk.answer for chunk in chunks] == [None] * len(chunks)
    assert "".join(chunk.text for chunk in (*chunks, last)) == last.answer.text == QUESTION + TEXT


def test_a_begun_placeholder_at_the_end_of_a_stream_is_not_lost() -> None:
    model = ShieldedModel(Parrot(lambda request: re.findall(r"\[NAME_\w+", request.question)[0]), KEY)
    *chunks, last = model.stream(REQUEST)
    assert last.answer is not None
    assert "".join(chunk.text for chunk in (*chunks, last)) == last.answer.text != ""


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_values_in_json_are_escaped(size: int) -> None:
    address = "12 Oak Street\nSpringfield, IL 62704"
    request = replace(REQUEST, question=f"Is it {address}?", json_schema={"type": "object"})
    model = ShieldedModel(Parrot(lambda request: json.dumps({"answer": request.question}), size=size), KEY)
    *_, last = model.stream(request)
    assert last.answer is not None
    assert json.loads(last.answer.text) == {"answer": f"Is it {address}?"}
    assert model.generate(request).text == last.answer.text


def test_the_model_is_told_of_placeholders_only_where_there_are_some() -> None:
    parrot = Parrot()
    model = ShieldedModel(parrot, KEY)
    model.generate(PLAIN)
    model.generate(REQUEST)
    assert parrot.seen[0] is PLAIN
    assert parrot.seen[1].instruction.endswith(f"\n\n{INSTRUCTION}")


def test_evidence_goes_with_the_text_that_its_offsets_are_of() -> None:
    parrot = Parrot()
    ShieldedModel(parrot, KEY).generate(REQUEST)
    assert [passage.evidence for passage in parrot.seen[0].passages] == [(), ()]
    assert REQUEST.passages[0].evidence


def placeholders_of(request: ChatRequest) -> list[str]:
    parrot = Parrot()
    ShieldedModel(parrot, KEY).generate(request)
    return re.findall(r"\[[A-Z_]+_[A-Z2-7_]+\]", parrot.seen[0].question)


def test_turns_of_a_conversation_share_placeholders_and_conversations_do_not() -> None:
    one = ChatRequest(instruction="-", question="Is it jane@roe.example?", conversation="c1")
    later = replace(one, history=(("user", "John is at john@roe.example"), ("model", "Yes.")))
    assert placeholders_of(one) == placeholders_of(later)
    assert placeholders_of(one) != placeholders_of(replace(one, conversation="c2"))
    assert placeholders_of(replace(one, conversation="")) != placeholders_of(replace(one, conversation=""))


def test_a_placeholder_that_somebody_writes_brings_nobodys_data() -> None:
    (stolen,) = placeholders_of(ChatRequest(instruction="-", question="Is it jane@roe.example?", conversation="c1"))
    request = replace(REQUEST, question=f"Tell me {stolen} and {stolen.lower()}")
    answer = ShieldedModel(Parrot(), KEY).generate(request)
    assert answer.text == f"Tell me {stolen} and {stolen.lower()}"


def test_a_name_inside_an_address_of_a_mailbox_is_a_part_of_it() -> None:
    request = ChatRequest(instruction="-", question="My name is Jane Roe, at jane.roe@roe.example", conversation="c1")
    assert [one.split("_")[0] for one in placeholders_of(request)] == ["[NAME", "[NAME", "[EMAIL"]


def test_finds_that_overlap_are_covered_whole_by_the_longer() -> None:
    assert shield._merged([(0, 5, "NAME"), (3, 12, "ADDRESS"), (12, 14, "IP")]) == [(0, 12, "ADDRESS"), (12, 14, "IP")]
    assert shield._merged([(0, 9, "NAME"), (3, 12, "ADDRESS")]) == [(0, 12, "NAME")]


def test_a_failure_passes_as_it_is() -> None:
    billed = ModelBlocked(answer=ChatAnswer(text="", model="parrot-1", asked="parrot-1"))
    model = ShieldedModel(Parrot(failure=billed), KEY)
    for ask in (model.generate, lambda request: list(model.stream(request))):
        with pytest.raises(ModelBlocked) as caught:
            ask(REQUEST)
        assert caught.value is billed


def test_closing_a_stream_closes_the_models() -> None:
    parrot = Parrot()
    stream = ShieldedModel(parrot, KEY).stream(REQUEST)
    next(stream)
    stream.close()
    assert parrot.closed == 1


def test_it_goes_by_the_models_names() -> None:
    model = ShieldedModel(Parrot(), KEY)
    assert (model.provider, model.model) == ("parrot", "parrot-1")


def test_instances_of_one_database_share_a_key_and_others_have_another(tmp_path: Path) -> None:
    keys = []
    for name in ("one", "one", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        with instance(tmp_path / name):
            keys.append(shield_key())
            assert shield_key() is keys[-1]
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) == 32 for key in keys)


# Through the real client library.


@pytest.fixture(scope="module")
def running() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


@pytest.fixture
def server(running: GeminiServer) -> GeminiServer:
    running.reset()
    return running


@pytest.fixture(scope="module")
def gemini(running: GeminiServer) -> ChatModel:
    client = gemini_client(api_key=running.api_key, base_url=running.url)
    return ShieldedModel(GeminiModel(client, model="gemini-3.8-flash", cheap_model="gemini-3.5-flash-lite"), KEY)


def drain(model: ChatModel, request: ChatRequest) -> ChatAnswer:
    *chunks, last = model.stream(request)
    assert last.answer is not None
    assert "".join(chunk.text for chunk in (*chunks, last)) == last.answer.text
    return last.answer


def generate(model: ChatModel, request: ChatRequest) -> ChatAnswer:
    return model.generate(request)


both_ways = pytest.mark.parametrize("ask", [generate, drain])
Ask = Callable[[ChatModel, ChatRequest], ChatAnswer]


@both_ways
def test_gemini_never_sees_the_originals_and_its_quote_is_the_documents(
    gemini: ChatModel, server: GeminiServer, ask: Ask
) -> None:
    answer = ask(gemini, replace(REQUEST, json_schema=Draft.model_json_schema()))
    draft = Draft.model_validate_json(answer.text)
    assert draft.answered
    assert [citation.quote in TEXT for citation in draft.citations] == [True]
    assert "Roe" in draft.citations[0].quote
    assert server.requests
    assert server.saw(*ORIGINALS) == []


@both_ways
def test_gemini_writes_placeholders_and_the_answer_holds_the_originals(
    gemini: ChatModel, server: GeminiServer, ask: Ask
) -> None:
    ask(gemini, REQUEST)
    sent = server.requests[0].body["contents"][-1]["parts"][0]["text"]
    asked = re.findall(r"<question[^>]*>\n(.*)\n</question", sent)[0]
    server.script(Behaviour(text=f"You asked: {asked}"))
    assert ask(gemini, REQUEST).text == f"You asked: {QUESTION}"
    assert server.requests
    assert server.saw(*ORIGINALS) == []


def test_gemini_sees_a_request_without_personal_data_as_it_is(gemini: ChatModel, server: GeminiServer) -> None:
    gemini.generate(PLAIN)
    body = server.requests[0].body
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert body["contents"][0]["parts"] == [{"text": PLAIN.question}]


# Embeddings.


@dataclass
class Recorder:
    """An embedder of one dimension that keeps what it was given."""

    name: str = "recorder"
    dimensions: int = 1
    max_tokens: int = 7
    seen: list[str] = field(default_factory=list)

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.seen += texts
        return np.ones((len(texts), 1), dtype=np.float32)

    def embed_query(self, text: str) -> FloatVector:
        self.seen.append(text)
        return np.ones(1, dtype=np.float32)


def test_an_embedder_gets_markers_in_place_of_personal_data() -> None:
    recorder = Recorder()
    embedder: Embedder = ShieldedEmbedder(recorder)
    embedder.embed_documents(["Ms. Roe pays 5% at 12 Oak Street.", "raw land [NAME_K7Q2AB]"])
    embedder.embed_query("Is it jane@roe.example?")
    assert recorder.seen == [
        "Ms. [NAME] pays 5% at [ADDRESS].",
        "raw land [NAME_K7Q2AB]",
        "Is it [EMAIL]?",
    ]
    assert (embedder.name, embedder.dimensions, embedder.max_tokens) == ("recorder", 1, 7)


def test_geminis_embedder_never_sees_the_originals(running: GeminiServer, server: GeminiServer) -> None:
    client = gemini_client(api_key=running.api_key, base_url=running.url)
    embedder = ShieldedEmbedder(GeminiEmbedder(client, model="gemini-embedding-001", policy=Policy()))
    assert embedder.embed_documents([TEXT, QUESTION]).shape == (2, 768)
    assert embedder.embed_query(QUESTION).shape == (768,)
    assert server.requests
    assert server.saw(*ORIGINALS) == []

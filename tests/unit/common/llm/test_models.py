from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from common.llm import models
from common.llm.chat import Attempt, ChatRequest
from common.llm.resilience import ResilientModel
from common.llm.shield import ShieldedEmbedder, ShieldedModel
from common.settings import InvalidSettings, Settings, load_settings
from tests.gemini_server import Behaviour, GeminiServer

REQUEST = ChatRequest(instruction="-", question="?", timeout_seconds=5)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("GEMINI_API_KEY", "VERTEX_PROJECT", "GEMINI_BASE_URL", "GEMINI_SDK", "EMBEDDING_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(str(tmp_path))  # away from a developer's .env


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


def configured(server: GeminiServer, **overrides: object) -> Settings:
    return load_settings(gemini_api_key=server.api_key, gemini_base_url=server.url, **overrides)


def test_without_gemini_the_embedded_model_answers() -> None:
    model = models.build_chat_model(load_settings())
    assert (model.provider, model.model) == ("embedded", "extractive")


def test_without_gemini_the_embedder_is_the_one_in_the_package() -> None:
    assert models.build_embedder(load_settings()).dimensions == 384


def test_with_a_key_gemini_answers(server: GeminiServer) -> None:
    model = models.build_chat_model(configured(server, chat_model="gemini-x"))
    assert (model.provider, model.model, model.generate(REQUEST).model) == ("gcp.gemini", "gemini-x", "gemini-x")


def test_a_remote_model_and_embedder_stand_behind_the_shield(server: GeminiServer) -> None:
    settings = configured(server, embedding_model="gemini-embedding-001")
    models.build_chat_model(settings).generate(replace(REQUEST, question="Is it jane@roe.example?"))
    models.build_embedder(settings).embed_query("Is it jane@roe.example?")
    assert len(server.requests) == 2
    assert not any("jane@roe.example" in request.text for request in server.requests)


def test_a_retry_sends_the_same_placeholders(server: GeminiServer) -> None:
    server.script(Behaviour(status=503))
    models.build_chat_model(configured(server)).generate(replace(REQUEST, question="Is it jane@roe.example?"))
    first, second = server.requests
    assert first.body["contents"] == second.body["contents"]


def test_without_the_shield_texts_leave_as_they_are(server: GeminiServer) -> None:
    settings = configured(server, embedding_model="gemini-embedding-001", pii_shield=False)
    model, embedder = models.build_chat_model(settings), models.build_embedder(settings)
    assert isinstance(model, ResilientModel)
    assert not isinstance(embedder, ShieldedEmbedder)
    model.generate(replace(REQUEST, question="Is it jane@roe.example?"))
    embedder.embed_query("Is it jane@roe.example?")
    assert all("jane@roe.example" in request.text for request in server.requests)


def test_an_embedded_model_needs_no_shield() -> None:
    assert not isinstance(models.build_chat_model(load_settings()), ShieldedModel)
    assert not isinstance(models.build_embedder(load_settings()), ShieldedEmbedder)


def test_a_remote_model_is_metered_at_each_attempt(server: GeminiServer) -> None:
    server.script(Behaviour(status=503))
    told: list[tuple[str, str]] = []

    class Told:
        @contextmanager
        def attempt(self, request: ChatRequest, *, provider: str, model: str) -> Iterator[Attempt]:
            told.append((model, request.question))
            yield Attempt()

    asked = replace(REQUEST, question="Is it jane@roe.example?", lane="cheap", meter=Told())
    models.build_chat_model(configured(server, cheap_chat_model="gemini-y")).generate(asked)
    assert [model for model, _ in told] == ["gemini-y"] * 2
    assert "jane" not in told[0][1]


def test_the_cheap_lane_has_its_own_setting(server: GeminiServer) -> None:
    model = models.build_chat_model(configured(server, cheap_chat_model="gemini-y"))
    assert model.generate(ChatRequest(instruction="-", question="?", lane="cheap")).asked == "gemini-y"


def test_with_gemini_alone_the_embedder_stays_the_embedded_one(server: GeminiServer) -> None:
    assert models.build_embedder(configured(server)).dimensions == 384


def test_a_gemini_embedder_is_chosen_by_name(server: GeminiServer) -> None:
    embedder = models.build_embedder(configured(server, embedding_model="gemini-embedding-001"))
    assert embedder.name == "gemini-embedding-001-768"
    assert embedder.embed_query("raw land").shape == (768,)


def test_a_gemini_embedder_without_gemini_is_named_as_a_wrong_setting() -> None:
    with pytest.raises(InvalidSettings, match="EMBEDDING_MODEL"):
        models.build_embedder(load_settings(embedding_model="gemini-embedding-001"))


def test_vertex_ai_goes_before_a_key() -> None:
    model = models.build_chat_model(load_settings(gemini_api_key="k", vertex_project="lending"))
    assert model.provider == "gcp.vertex_ai"


def test_a_missing_legacy_client_is_named_as_a_wrong_setting(server: GeminiServer) -> None:
    with pytest.raises(InvalidSettings, match=r"requirements-legacy\.txt"):
        models.build_chat_model(configured(server, gemini_sdk="google-generativeai"))


def test_an_instance_has_one_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "settings", load_settings)
    models.chat_model.cache_clear()
    models.embedder.cache_clear()
    assert models.chat_model() is models.chat_model()
    assert models.embedder() is models.embedder()
    models.chat_model.cache_clear()
    models.embedder.cache_clear()


def test_the_legacy_client_does_not_speak_to_vertex_ai() -> None:
    with pytest.raises(InvalidSettings, match="Vertex AI"):
        models.build_chat_model(load_settings(vertex_project="lending", gemini_sdk="google-generativeai"))

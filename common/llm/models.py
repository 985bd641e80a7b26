"""Which models stand behind the seams, by the settings alone. Made once an instance, at their first use."""

from typing import TYPE_CHECKING

from common.llm.chat import ChatModel
from common.llm.metering import MeteredModel
from common.llm.resilience import Policy, ResilientModel
from common.once import once
from common.settings import InvalidSettings, Settings, settings

if TYPE_CHECKING:
    from google.genai import Client

    from common.llm.embeddings import Embedder


@once
def chat_model() -> ChatModel:
    """This instance's chat model: Gemini where it is configured, otherwise the embedded one."""
    return build_chat_model(settings())


@once
def embedder() -> "Embedder":
    """This instance's embedder. Vectors of different embedders never meet in one index: see `Embedder.name`."""
    return build_embedder(settings())


def build_chat_model(settings: Settings) -> ChatModel:
    """
    Raises:
        InvalidSettings: the legacy library is chosen and not installed, or chosen for Vertex AI.
    """
    if not settings.has_gemini:
        from common.llm.extractive import ExtractiveModel

        return ExtractiveModel(answer_words=settings.answer_words)
    is_legacy = settings.gemini_sdk == "google-generativeai"
    metered = MeteredModel(_legacy_gemini(settings) if is_legacy else _gemini(settings))  # innermost: each attempt
    model = ResilientModel(metered, _policy(settings))
    if not settings.pii_shield:
        return model
    from common.llm.shield import ShieldedModel, shield_key

    return ShieldedModel(model, shield_key())  # outermost: a retry sends the same placeholders


def build_embedder(settings: Settings) -> "Embedder":
    """
    Raises:
        InvalidSettings: a Gemini model is named and Gemini is not configured.
    """
    if settings.embedding_model == "embedded":
        from common.llm.embeddings import embedded_embedder

        return embedded_embedder()
    if not settings.has_gemini:
        raise InvalidSettings("EMBEDDING_MODEL: other than embedded it needs GEMINI_API_KEY or VERTEX_PROJECT")
    from common.llm.gemini_embeddings import GeminiEmbedder

    remote = GeminiEmbedder(
        _client(settings),
        model=settings.embedding_model,
        policy=_policy(settings),
        timeout_seconds=settings.model_timeout_seconds,
    )
    if not settings.pii_shield:
        return remote
    from common.llm.shield import ShieldedEmbedder

    return ShieldedEmbedder(remote)


def _policy(settings: Settings) -> Policy:
    return Policy(
        attempts=settings.model_attempts,
        breaker_failures=settings.model_breaker_failures,
        breaker_seconds=settings.model_breaker_seconds,
    )


def _gemini(settings: Settings) -> ChatModel:
    from common.llm.gemini import GeminiModel

    return GeminiModel(_client(settings), model=settings.chat_model, cheap_model=settings.cheap_chat_model)


def _client(settings: Settings) -> "Client":
    from common.llm.gemini import gemini_client

    key = settings.gemini_api_key
    return gemini_client(
        api_key=key.get_secret_value() if key is not None else None,
        base_url=settings.gemini_base_url,
        vertex_project=settings.vertex_project,
        vertex_location=settings.vertex_location,
    )


def _legacy_gemini(settings: Settings) -> ChatModel:
    from common.llm.gemini_legacy import GeminiLegacyModel

    key = settings.gemini_api_key
    if settings.vertex_project is not None or key is None:
        raise InvalidSettings("GEMINI_SDK: google-generativeai does not speak to Vertex AI; unset VERTEX_PROJECT")
    try:
        return GeminiLegacyModel(
            api_key=key.get_secret_value(),
            model=settings.chat_model,
            cheap_model=settings.cheap_chat_model,
            base_url=settings.gemini_base_url,
        )
    except ImportError:
        raise InvalidSettings("GEMINI_SDK: google-generativeai is not installed; see requirements-legacy.txt") from None

"""Every setting of the product, in one place: the only reader of the environment.

A field's name in capitals is its environment variable; its description says what it is and in which unit.
`.env.example` is made from this module (`loancheck settings`), and a test holds the two together.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.once import once

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class InvalidSettings(Exception):
    """A setting has a value that cannot be used. The message names each variable, never its value."""


class Settings(BaseSettings):
    """Read once per instance, frozen afterwards."""

    model_config = SettingsConfigDict(frozen=True, env_file=".env", env_ignore_empty=True, extra="ignore")

    # Where things are
    environment: Literal["development", "production"] = Field(
        "development",
        description="development: readable log lines; production: JSON lines for Cloud Logging.",
    )
    data_dir: Path = Field(
        Path(), description="Folder that holds all local state: the database, the vectors, the environment."
    )
    host: Text = Field("127.0.0.1", description="Address the local emulator listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the local emulator listens on; 0 takes a free one.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe log line.")

    # Database and indexes
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL, as in postgresql+psycopg://user:password@host/name. "
        "Without it: SQLite in DATA_DIR/database/loan_collateral.db.",
    )
    chroma_url: Text | None = Field(
        None, description="URL of a Chroma server. Without it: Chroma on disk in DATA_DIR/chroma."
    )
    chroma_token: SecretStr | None = Field(None, description="Token for the Chroma server, where it asks for one.")

    # Models
    gemini_api_key: SecretStr | None = Field(
        None, description="Key of the Gemini API. With it (or with Vertex AI) answers come from Gemini."
    )
    gemini_base_url: Text | None = Field(
        None, description="Other base URL for the Gemini API, as for a proxy or a local server."
    )
    vertex_project: Text | None = Field(
        None,
        description="Google Cloud project; set, Gemini is called through Vertex AI with its credentials.",
    )
    vertex_location: Text = Field("us-central1", description="Region of Vertex AI.")
    chat_model: Text = Field("gemini-3.8-flash", description="Gemini model that plans and criticises answers.")
    cheap_chat_model: Text = Field("gemini-3.5-flash-lite", description="Gemini model of the cheap lane.")
    gemini_sdk: Literal["google-genai", "google-generativeai"] = Field(
        "google-genai",
        description="Client library for Gemini. google-generativeai is the legacy adapter, "
        "installed apart (requirements-legacy.txt).",
    )
    embedding_model: Text = Field(
        "embedded",
        description="embedded: all-MiniLM-L6-v2 inside the package; or a Gemini model such as gemini-embedding-001.",
    )
    model_timeout_seconds: float = Field(
        20.0, gt=0, le=300, description="Longest time for one model call, retries included, in seconds."
    )
    model_attempts: int = Field(3, ge=1, le=10, description="Most attempts for one model call.")
    model_breaker_failures: int = Field(
        5, ge=1, description="Failed model calls in a row after which the model is left alone for a while."
    )
    model_breaker_seconds: float = Field(
        30.0, gt=0, description="How long the model is left alone after that, in seconds."
    )
    max_output_tokens: int = Field(1024, ge=64, le=65536, description="Most tokens of one model answer.")
    price_file: Path | None = Field(
        None, description="JSON file with own model prices, which go before the built-in ones."
    )

    # Queries
    query_timeout_seconds: float = Field(45.0, gt=0, le=3600, description="Longest time for one query, in seconds.")
    max_message_characters: int = Field(4_000, ge=100, description="Longest message of a query, in characters.")
    evidence_tokens: int = Field(1_800, ge=200, description="Most tokens of retrieved text that go into one answer.")
    history_tokens: int = Field(600, ge=0, description="Most tokens of earlier turns that give context.")
    answer_words: int = Field(150, ge=30, le=1000, description="Most words of an answer from the embedded model.")
    critique_threshold: float = Field(0.85, ge=0, le=1, description="Critique score from which a draft is accepted.")
    critique_rounds: int = Field(2, ge=1, le=5, description="Most rounds of draft and critique.")
    retrieval_cache_entries: int = Field(512, ge=0, description="Most searches kept in memory.")
    retrieval_cache_seconds: float = Field(300.0, ge=0, description="How long a search is kept, in seconds.")

    # Documents
    max_body_bytes: int = Field(
        10_000_000, ge=10_000, description="Largest body of a request with documents, in bytes."
    )
    max_document_characters: int = Field(
        5_000_000, ge=1_000, description="Longest text of one document, in characters."
    )
    max_documents: int = Field(200, ge=1, description="Most documents in one request.")

    def database_location(self) -> str:
        """The SQLAlchemy URL in use; may hold a password, so never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'database' / 'loan_collateral.db').absolute()}"

    @property
    def has_gemini(self) -> bool:
        return self.gemini_api_key is not None or self.vertex_project is not None


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment and `.env`, with `overrides` before both.

    Raises:
        InvalidSettings: names each variable that cannot be used and why; values are left out.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # overrides are validated like the environment
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']).upper()}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise InvalidSettings(reasons) from None


@once
def settings() -> Settings:
    """This instance's settings, read once."""
    return load_settings()

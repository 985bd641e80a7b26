"""Every setting of the product, in one place: the only reader of the environment.

A field's name in capitals is its environment variable; its description says what it is and in which unit. Texts are
stripped, and one that is empty is as good as not set. `.env.example` is made from this module (`loancheck settings`),
and a test holds the two together.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from common.once import once
from common.setting_values import Described, Secret, Setting, Unusable, setting

__all__ = ["SETTINGS", "InvalidSettings", "Secret", "Settings", "load_settings", "settings"]

ENV_FILE = Path(".env")  # where the process was started


class InvalidSettings(Exception):
    """A setting has a value that cannot be used. The message names each variable, never its value."""


class Settings(Described):
    """Read once per instance, frozen afterwards; `load_settings` makes it."""

    # Where things are
    environment: Literal["development", "production"] = setting(
        "development",
        description="development: everything on this machine, for one person; production: for others, over a network.",
    )
    data_dir: Path = setting(
        Path(), description="Folder that holds all local state: the database, the vectors, the environment."
    )
    host: str = setting("127.0.0.1", description="Address the local emulator listens on.")
    port: int = setting(8000, ge=0, le=65535, description="Port the local emulator listens on; 0 takes a free one.")

    # Who gets in
    anonymous: bool | None = setting(
        None,
        description="Whether requests without a key are let in, with all scopes. true: only in development, on a "
        "loopback HOST; a start elsewhere is refused. Without it: there and nowhere else.",
    )
    auth_cache_seconds: float = setting(
        5.0, ge=0, le=60, description="How long a checked key is not looked up again: how late a revocation may come."
    )
    google_accounts: str | None = setting(
        None,
        description="Accounts whose Google-signed ID tokens are let in, as E-MAIL=ROLE or E-MAIL=ROLE@TENANT, "
        "separated by commas; roles: admin, analyst, viewer, service.",
    )
    google_audiences: str | None = setting(
        None, description="Audiences that an ID token may be made for (the function's URL), separated by commas."
    )
    google_issuers: str = setting(
        "https://accounts.google.com,accounts.google.com",
        description="Issuers whose ID tokens are let in, separated by commas.",
    )
    google_signatures: Literal["checked", "taken"] = setting(
        "checked",
        description="checked: an ID token's signature is checked with the issuer's keys. taken: behind Cloud Run's own "
        "check (roles/run.invoker, never for allUsers), which takes the signature away once it has checked it; only on "
        "Cloud Run, and only for functions that Google alone calls. All else of the token is checked in both cases.",
    )
    events_by_key: bool = setting(
        False,
        description="Whether functions that Google's services alone call take API keys too, where something else calls "
        "them: a CronJob, or the scheduler of compose.yaml.",
    )
    google_certs_url: str = setting(
        "https://www.googleapis.com/oauth2/v3/certs", description="Where the issuer's public keys are, as a JWK set."
    )
    trusted_proxies: int | None = setting(
        None,
        ge=0,
        le=10,
        description="How many proxies before us add to X-Forwarded-For; the address before them counts as the "
        "caller's. Without it: 1 on Cloud Run, elsewhere 0, where the header is not read.",
    )
    cors_origins: str | None = setting(
        None, description="Origins whose pages may call from a browser, as https://app.example.com, with commas."
    )
    max_header_bytes: int = setting(16_384, ge=1_024, le=131_072, description="Most bytes of a request's headers.")
    max_json_depth: int = setting(16, ge=2, le=100, description="Deepest nesting of a JSON body.")

    api_key: Secret | None = setting(
        None, description="Key that `loancheck ask` and `loancheck doctor` send, where the functions ask for one."
    )

    # Limits
    redis_url: Secret | None = setting(
        None, description="redis:// or rediss:// URL of the limits' counters. Without it: each instance counts alone."
    )
    when_redis_is_away: Literal["closed", "open"] = setting(
        "closed",
        description="closed: what is limited is refused (503) until Redis is back; open: each instance counts alone.",
    )
    limit_factor: float = setting(
        1.0,
        gt=0,
        le=10_000,
        description="What the limits that routes have for one principal are multiplied by, as 2 for twice as many.",
    )
    address_limit: str = setting(
        "600/minute", description="Requests from one address on one route, as in 600/minute; none for no limit."
    )
    failed_keys_limit: str = setting(
        "20/minute", description="Refused keys and tokens from one address, as in 20/minute; none for no limit."
    )
    max_concurrent_requests: int = setting(
        16, ge=1, le=1000, description="Most requests of one principal at a time in one instance."
    )
    daily_tokens: int = setting(
        2_000_000, ge=0, description="Most model tokens of one principal in a day (UTC); 0 for no limit."
    )
    daily_usd: float = setting(
        10.0, ge=0, description="Most USD of model calls of one principal in a day (UTC); 0 for no limit."
    )
    idempotency_hours: float = setting(
        24.0, gt=0, le=720, description="How long an answer is kept for its Idempotency-Key, in hours."
    )

    # Encryption, audit and what is kept how long
    kms_key: str | None = setting(
        None,
        description="Cloud KMS key that data keys are wrapped with: "
        "projects/P/locations/L/keyRings/R/cryptoKeys/K. Without it: KEY_FILE.",
    )
    kms_endpoint: str | None = setting(None, description="Other base URL for Cloud KMS, as for a local server.")
    key_file: Path | None = setting(
        None,
        description="File with the key-encryption key: 32 random bytes, of mode 0600 or 0400. "
        "Without it: DATA_DIR/keys/key-encryption-key, made where it is missing and the database new; in production it "
        "must be named and be there, or KMS_KEY be set. With both, KMS_KEY takes over: loancheck keys rotate-data, "
        "then leave it out.",
    )
    archive_url: str | None = setting(
        None,
        description="Where audit and reports are archived: a folder, gs:// or s3://. Without it: DATA_DIR/archive.",
    )
    archive_endpoint: str | None = setting(
        None, description="Other endpoint of the archive's s3:// or gs:// service, as for a local server."
    )
    conversation_days: int = setting(
        365, ge=0, description="Days after which sessions and their turns are deleted; 0 keeps them."
    )

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("INFO", description="Least severe log line.")
    json_logs: bool | None = setting(
        None,
        description="Whether log lines are JSON in Cloud Logging's fields. Without it: in production only.",
    )
    log_file: Path | None = setting(None, description="File that gets every log line too, as JSON.")
    log_to: Literal["stdout", "api"] = setting(
        "stdout",
        description="stdout: the platform collects the lines; api: google-cloud-logging sends them itself.",
    )
    google_cloud_project: str | None = setting(
        None, description="Project that traces and log lines belong to, where they go to Google Cloud."
    )
    mask_kinds: str = setting(
        "all",
        description="Personal data and secrets that are masked everywhere: all, or some of "
        "EMAIL, PHONE, SSN, CREDIT_CARD, IP, IBAN, US_BANK, SECRET, separated by commas.",
    )
    mask_allow: str | None = setting(
        None, description="Texts that are never masked, as the desk's own address, separated by commas."
    )
    pseudonym_key: Secret | None = setting(
        None,
        description="Key of at least 16 characters; with it masks in log lines carry a keyed pseudonym, "
        "as in [EMAIL:3f2a91c4], by which lines of one person can be told together.",
    )

    # Traces
    service_name: str = setting("loan-collateral-check", description="Name of this service in traces and metrics.")
    trace_exporter: Literal["none", "console", "otlp", "cloud-trace"] = setting(
        "none", description="Where spans go; otlp is for Jaeger, Tempo and the OpenTelemetry Collector."
    )
    otlp_endpoint: str | None = setting(
        None,
        description="Receiver of OTLP: http://HOST:4318, or grpc://HOST:4317 (grpcs:// with TLS). "
        "Without it: http://127.0.0.1:4318.",
    )
    jaeger_host: str | None = setting(
        None, description="Host of a Jaeger; as TRACE_EXPORTER=otlp with OTLP_ENDPOINT=grpc://HOST:4317."
    )
    trace_sample_ratio: float = setting(
        1.0, ge=0, le=1, description="Share of traces that are kept; those with an error are kept always."
    )
    trace_content: bool = setting(
        False, description="Whether spans of model calls carry messages and answers, masked. They never do without it."
    )

    # Metrics, and how telemetry leaves
    pushgateway_url: Secret | None = setting(
        None, description="URL of a Pushgateway that metrics are pushed to; may hold user:password@."
    )
    push_every_seconds: float = setting(15.0, gt=0, le=3600, description="Time between two pushes, in seconds.")
    telemetry_timeout_seconds: float = setting(
        2.0, gt=0, le=30, description="Longest time for one export of spans or one push of metrics, in seconds."
    )
    telemetry_wait_ms: int = setting(
        50,
        ge=0,
        le=1000,
        description="Longest time that the end of a request waits for telemetry that is due, in milliseconds; "
        "only on Cloud Run, where an instance may stand still after its answer.",
    )
    k_service: str | None = setting(None, description="Set by Cloud Run and Knative: the service's name.")
    k_revision: str | None = setting(None, description="Set by Cloud Run and Knative: the revision's name.")
    function_target: str | None = setting(None, description="Set by images: the function's entry point.")

    # Health
    health_timeout_ms: int = setting(
        60, ge=10, le=10_000, description="Longest time for one component's health check, in milliseconds."
    )
    health_cache_seconds: float = setting(
        5.0, ge=0, le=300, description="How long a health report is given again, in seconds."
    )
    min_free_disk_mb: int = setting(100, ge=0, description="Free space in DATA_DIR below which the disk is unhealthy.")

    # Database and indexes
    database_url: Secret | None = setting(
        None,
        description="SQLAlchemy URL, as in postgresql+psycopg://user:password@host/name. "
        "Without it: SQLite in DATA_DIR/database/loan_collateral.db.",
    )
    migrate_on_start: bool = setting(
        True,
        description="Whether a function brings the database's schema up at its first use. false: a deploy runs "
        "`python -m common.database.migrations upgrade` before; on an older schema all is refused until then (503).",
    )
    chroma_url: str | None = setting(
        None,
        description="URL of a Chroma server. Without it: Chroma on disk in DATA_DIR/chroma; beside a database server, "
        "whose instances share no disk, each instance's memory, read from the database.",
    )
    chroma_token: Secret | None = setting(None, description="Token for the Chroma server, where it asks for one.")

    # Models
    gemini_api_key: Secret | None = setting(
        None, description="Key of the Gemini API. With it (or with Vertex AI) answers come from Gemini."
    )
    gemini_base_url: str | None = setting(
        None, description="Other base URL for the Gemini API, as for a proxy or a local server."
    )
    vertex_project: str | None = setting(
        None,
        description="Google Cloud project; set, Gemini is called through Vertex AI with its credentials.",
    )
    vertex_location: str = setting("us-central1", description="Region of Vertex AI.")
    chat_model: str = setting("gemini-3.8-flash", description="Gemini model that plans and criticises answers.")
    cheap_chat_model: str = setting("gemini-3.5-flash-lite", description="Gemini model of the cheap lane.")
    gemini_sdk: Literal["google-genai", "google-generativeai"] = setting(
        "google-genai",
        description="Client library for Gemini. google-generativeai is the legacy adapter, "
        "installed apart (requirements-legacy.txt).",
    )
    embedding_model: str = setting(
        "embedded",
        description="embedded: all-MiniLM-L6-v2 inside the package; or a Gemini model such as gemini-embedding-001.",
    )
    model_timeout_seconds: float = setting(
        20.0, gt=0, le=300, description="Longest time for one model call, retries included, in seconds."
    )
    model_attempts: int = setting(3, ge=1, le=10, description="Most attempts for one model call.")
    model_breaker_failures: int = setting(
        5, ge=1, description="Failed model calls in a row after which the model is left alone for a while."
    )
    model_breaker_seconds: float = setting(
        30.0, gt=0, description="How long the model is left alone after that, in seconds."
    )
    pii_shield: bool = setting(
        True,
        description="Whether personal data leaves for a remote model, of answers or of embeddings, as placeholders. "
        "The embedded models send nothing anywhere.",
    )
    max_output_tokens: int = setting(1024, ge=64, le=65536, description="Most tokens of one model answer.")
    price_file: Path | None = setting(
        None, description="JSON file with own prices of models and searches, which go before the built-in ones."
    )
    budget_file: Path | None = setting(
        None, description="JSON file with budgets, as docs/cost_guide.md describes it. Without it there are none."
    )
    savings_min_usd: float = setting(
        1.0, ge=0, description="Least USD in 30 days that a way to save must promise, to be told of."
    )

    # Cost report
    billing_export: str | None = setting(
        None,
        description="Export of the cloud's bill in FOCUS columns, whose costs the report shows beside the models': a "
        ".csv or .csv.gz file, or a folder of such files, on this machine or at gs:// or s3:// (with ARCHIVE_ENDPOINT "
        "where ARCHIVE_URL is of the same kind); or bigquery://PROJECT.DATASET.TABLE. Without it: no cloud costs.",
    )
    billing_export_excludes: str = setting(
        "Gemini API, Generative Language API, Vertex AI",
        description="Services of that bill (ServiceName) that are left out, separated by commas, because the ledger "
        "has their costs already; none to leave out nothing.",
    )
    bigquery_endpoint: str | None = setting(
        None, description="Other base URL for BigQuery, as for a local server; over http no credentials are sent."
    )
    roi_minutes: str = setting(
        "knowledge=3/6/10,collateral=5/10/15,other=0/0/0",
        description="Minutes that an answered question saves, as AGENT=LOW/BASE/HIGH separated by commas; other is for "
        "agents without an entry. Assumptions: measure your own.",
    )
    roi_hourly_usd: str = setting(
        "35/50/65", description="What an hour of those who ask costs in USD, as LOW/BASE/HIGH. Put in your own."
    )
    platform_usd_per_month: float = setting(
        200.0,
        ge=0,
        le=100_000_000,
        description="What running this costs in USD a month, beside models and the bill of BILLING_EXPORT; without "
        "that, the cloud's bill belongs in here too.",
    )
    roi_setup_usd: float = setting(
        4000.0, ge=0, le=100_000_000, description="What setting this up has cost once, in USD: what is paid back."
    )

    # Queries
    query_timeout_seconds: float = setting(45.0, gt=0, le=3600, description="Longest time for one query, in seconds.")
    max_message_characters: int = setting(4_000, ge=100, description="Longest message of a query, in characters.")
    evidence_tokens: int = setting(1_800, ge=200, description="Most tokens of retrieved text that go into one answer.")
    history_tokens: int = setting(600, ge=0, description="Most tokens of earlier turns that give context.")
    answer_words: int = setting(150, ge=30, le=1000, description="Most words of an answer from the embedded model.")
    critique_threshold: float = setting(0.85, ge=0, le=1, description="Critique score from which a draft is accepted.")
    critique_rounds: int = setting(2, ge=1, le=5, description="Most rounds of draft and critique.")
    retrieval_cache_entries: int = setting(512, ge=0, description="Most searches kept in memory.")
    retrieval_cache_seconds: float = setting(300.0, ge=0, description="How long a search is kept, in seconds.")

    # Documents
    max_body_bytes: int = setting(
        10_000_000, ge=10_000, description="Largest body of a request with documents, in bytes."
    )
    max_document_characters: int = setting(
        5_000_000, ge=1_000, description="Longest text of one document, in characters."
    )
    max_documents: int = setting(200, ge=1, description="Most documents in one request.")

    # Notices to people: of budgets, of reports
    notice_email_to: str | None = setting(
        None, description="E-mail addresses that get notices, separated by commas; they need SMTP_URL."
    )
    notice_email_from: str | None = setting(
        None, description="Address that notices by e-mail come from. Without it: the first of NOTICE_EMAIL_TO."
    )
    smtp_url: Secret | None = setting(
        None,
        description="Mail server for notices: smtp://user:password@host:587, which must offer STARTTLS unless it is "
        "this machine, or smtps://user:password@host:465.",
    )
    notice_webhook_url: Secret | None = setting(
        None,
        description="https:// address that gets each notice as JSON by POST (http:// on this machine alone). "
        "Without it and NOTICE_EMAIL_TO notices are log lines.",
    )
    notice_webhook_secret: Secret | None = setting(
        None,
        description="Secret of at least 16 characters that signs what is sent to NOTICE_WEBHOOK_URL, as Standard "
        "Webhooks has it; whsec_ and base64, or any text.",
    )

    def database_location(self) -> str:
        """The SQLAlchemy URL in use; may hold a password, so never log it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'database' / 'loan_collateral.db').absolute()}"

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def has_gemini(self) -> bool:
        return self.gemini_api_key is not None or self.vertex_project is not None


SETTINGS: Mapping[str, Setting] = Settings.described()


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment and `.env`, with `overrides` before both.

    Raises:
        InvalidSettings: names each variable that cannot be used and why; values are left out. Or `.env` is there and
            cannot be read.
        TypeError: an override is no setting.
    """
    if not overrides.keys() <= SETTINGS.keys():
        raise TypeError(f"no settings: {', '.join(sorted(overrides.keys() - SETTINGS.keys()))}")
    given = {**_from_file(), **_known(os.environ), **overrides}
    values: dict[str, object] = {}
    reasons = []
    for name, value in given.items():
        try:
            values[name] = SETTINGS[name].value_of(value)
        except Unusable as error:
            reasons.append(f"{name.upper()}: {error}")
    if reasons:
        raise InvalidSettings("; ".join(reasons))
    return Settings(values)


def _from_file() -> Mapping[str, str]:
    if not ENV_FILE.is_file() and not ENV_FILE.is_fifo():  # a FIFO is how some keepers of secrets give them
        return {}
    from dotenv import dotenv_values  # 5 ms, for the few that have such a file

    try:
        return _known(dotenv_values(ENV_FILE, encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"{ENV_FILE}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{ENV_FILE}: is no UTF-8 text") from None


def _known(variables: Mapping[str, str | None]) -> Mapping[str, str]:
    """Those that are settings and not empty, by field; their case does not matter."""
    lowered = {name.lower(): value for name, value in variables.items() if value}
    return {name: lowered[name] for name in SETTINGS if name in lowered}


@once
def settings() -> Settings:
    """This instance's settings, read once."""
    return load_settings()

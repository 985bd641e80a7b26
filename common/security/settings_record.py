"""Settings in the audit: that those which decide who gets in, what leaves and what is kept are others than before.

A deployment changes them, not a request; so an instance in production compares them with those of the last such event
when it is first asked for something that is not public. Their names are told, and keyed hashes by which the next
instance compares; never a value. Instances of one service find them recorded already; services are compared each with
itself, for one function's audience is not another's.
"""

import json
from typing import TYPE_CHECKING

from sqlalchemy import select

from common.database.engine import engine, read, write
from common.database.tables import audit_events
from common.once import once
from common.security import audit
from common.security.keyring import KeyRing, key_ring
from common.security.principal import DEFAULT_TENANT
from common.settings import Secret, Settings, settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

WATCHED = (
    "address_limit", "anonymous", "archive_url", "auth_cache_seconds", "chat_model", "chroma_url", "conversation_days",
    "cors_origins", "daily_tokens", "daily_usd", "embedding_model", "environment", "events_by_key", "failed_keys_limit",
    "gemini_api_key", "gemini_base_url", "google_accounts", "google_audiences", "google_certs_url", "google_issuers",
    "google_signatures",
    "idempotency_hours", "key_file", "kms_key", "limit_factor", "mask_allow", "mask_kinds", "max_concurrent_requests",
    "pii_shield", "redis_url", "trace_content", "trusted_proxies", "vertex_project", "when_redis_is_away",
)  # fmt: skip

LOCAL = "local"  # what stands for the service where neither platform nor image names one

_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")  # digits could be taken for somebody's number
_MARK = 12


@once
def settings_recorded() -> bool:
    """Whether this instance's settings were others than the last recorded ones; they are recorded now.

    Raises:
        DatabaseUnavailable, InvalidSettings, Unavailable, CannotOpen: they cannot be recorded; the next call tries.
    """
    return record_settings(settings(), key_ring())


def record_settings(chosen: Settings, ring: KeyRing) -> bool:
    """Record `chosen` where they differ from the last recorded ones; whether they did."""
    marks = {name: _mark(ring, name, getattr(chosen, name)) for name in WATCHED}
    target = f"settings:{chosen.k_service or chosen.function_target or LOCAL}"
    with read(engine()) as connection:
        if _last(connection, target) == marks:
            return False
    with write(engine()) as connection:
        before = _last(connection, target)  # another instance may have been first
        if before == marks:
            return False
        changed = [name for name, mark in marks.items() if before.get(name) != mark]
        event = audit.Event(
            tenant=DEFAULT_TENANT,
            actor="deployment",
            action="settings.changed",
            target=target,
            outcome="done",
            facts={"changed": changed, "names": list(marks), "marks": list(marks.values())},
        )
        audit.record(connection, event, ring=ring)
    return True


def _last(connection: "Connection", target: str) -> dict[str, str]:
    """Marks by name, as the last event about `target` has them; empty where there is none."""
    is_theirs = (audit_events.c.action == "settings.changed") & (audit_events.c.target == target)
    of_settings = select(audit_events.c.facts).where(is_theirs)
    facts = connection.execute(of_settings.order_by(audit_events.c.number.desc()).limit(1)).scalar()
    found = json.loads(facts) if facts is not None else {"names": [], "marks": []}
    return dict(zip(found["names"], found["marks"], strict=True))


def _mark(ring: KeyRing, name: str, value: object) -> str:
    text = value.get_secret_value() if isinstance(value, Secret) else str(value)
    return ring.mac("audit", json.dumps(["setting", name, text]).encode())[:_MARK].translate(_LETTERS)

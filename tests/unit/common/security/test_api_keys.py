"""API keys: made, listed, rotated, revoked, and told from guesses; on SQLite and PostgreSQL."""

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from common.database.engine import SQLITE_BUSY_SECONDS, DatabaseUnavailable, create_engine_for, read, write
from common.database.tables import api_keys as table
from common.database.tables import audit_events
from common.metrics import exposition
from common.pii import mask
from common.security import api_keys as subject
from common.security.api_keys import (
    ID_ALPHABET,
    MAX_LABEL_CHARACTERS,
    SECRET_ALPHABET,
    ApiKeys,
    KeyRefused,
    KnownKey,
    NewKey,
    api_keys,
)
from common.security.audit import Event
from common.security.keyring import KeyRing
from common.security.principal import ROLES, Principal
from tests.instance import instance
from tests.key_rings import ring_over
from tests.log_lines import log_lines

pytestmark = pytest.mark.keys

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(database: Engine) -> KeyRing:
    return ring_over(database)


@pytest.fixture
def keys(database: Engine, ring: KeyRing, clock: Clock) -> ApiKeys:
    """As one instance has them, which looks each key up each time."""
    return ApiKeys(database, ring=lambda: ring, clock=clock)


@pytest.fixture
def caching(database: Engine, ring: KeyRing, clock: Clock) -> ApiKeys:
    """As another instance has them, which keeps a checked key for an hour."""
    return ApiKeys(database, ring=lambda: ring, clock=clock, cache_seconds=3_600)


def only(keys: ApiKeys, made: NewKey) -> KnownKey:
    (found,) = (one for one in keys.known() if one.id == made.id)
    return found


def audited(database: Engine) -> list[tuple[str, str, str, str, object]]:
    columns = audit_events.c
    chosen = select(columns.tenant, columns.actor, columns.action, columns.target, columns.facts)
    with read(database) as connection:
        rows = connection.execute(chosen.order_by(columns.number)).all()
    return [(row.tenant, row.actor, row.action, row.target, json.loads(row.facts)) for row in rows]


def secret_of(key: NewKey) -> str:
    return key.text.rpartition("_")[2]


# Making


def test_a_key_tells_what_it_is_by_its_prefix_and_names_itself_by_its_id(keys: ApiKeys) -> None:
    made = keys.create(role="analyst")
    prefix, key_id, secret = made.text.split("_")
    assert (prefix, key_id, len(key_id), len(secret)) == ("lcc", made.id, 12, 49)
    assert set(key_id) <= set(ID_ALPHABET)
    assert set(secret) <= set(SECRET_ALPHABET)
    assert not set("ilo01") & set(ID_ALPHABET)


def test_a_key_is_let_in_with_its_roles_scopes_and_tenant(keys: ApiKeys) -> None:
    made = keys.create(role="analyst", tenant="acme")
    assert keys.check(made.text) == Principal(id=f"key:{made.id}", tenant="acme", scopes=ROLES["analyst"])


def test_a_key_may_have_fewer_scopes_than_its_role(keys: ApiKeys) -> None:
    made = keys.create(role="admin", scopes=["metrics:read"])
    principal = keys.check(made.text)
    assert principal is not None
    assert principal.scopes == {"metrics:read"}
    assert only(keys, made).scopes == ("metrics:read",)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"role": "root"}, "there is no such role: it is one of admin, analyst, viewer, service"),
        ({"role": "viewer", "scopes": ["query:ask"]}, "the role viewer has only these scopes: costs:read, documents:r"),
        ({"role": "viewer", "scopes": ["public"]}, "the role viewer has only these scopes"),
        ({"role": "viewer", "scopes": []}, "a key without a scope could do nothing"),
        ({"role": "viewer", "tenant": "Acme"}, "a tenant is 1 to 64 of"),
        ({"role": "viewer", "label": "a" * (MAX_LABEL_CHARACTERS + 1)}, "a label has at most 200 characters"),
        ({"role": "viewer", "label": "red \x1b[31m"}, "a label has at most 200 characters, and all can be printed"),
        ({"role": "viewer", "expires_at": START}, "a key must expire in the future"),
    ],
)
def test_a_key_that_would_be_wrong_is_not_made(
    keys: ApiKeys, database: Engine, given: dict[str, object], reason: str
) -> None:
    with pytest.raises(KeyRefused, match=reason):
        keys.create(**given)  # type: ignore[arg-type]  # some of them are wrong on purpose
    assert keys.known() == []
    assert audited(database) == []


def test_neither_the_secret_nor_the_label_lies_in_the_database(keys: ApiKeys, database: Engine) -> None:
    made = keys.create(role="viewer", label="Jane's mobile app")
    with read(database) as connection:
        row = str(connection.execute(select(table)).one()._asdict())
    assert secret_of(made)[:20] not in row
    assert "mobile" not in row
    assert only(keys, made).label == "Jane's mobile app"


def test_a_key_is_shown_once_and_not_by_accident(keys: ApiKeys) -> None:
    made = keys.create(role="viewer")
    assert secret_of(made) not in repr(made)
    assert secret_of(made) not in repr(keys.known())


def test_a_key_in_a_log_line_is_masked_and_its_id_is_not(keys: ApiKeys) -> None:
    made = keys.create(role="viewer")
    assert mask(f"curl -H {made.text}") == "curl -H [SECRET]"
    assert mask(f"key:{made.id}") == f"key:{made.id}"


# Checking


def test_a_wrong_secret_an_unknown_id_and_another_keys_secret_are_refused(keys: ApiKeys) -> None:
    made, other = keys.create(role="viewer"), keys.create(role="admin")
    for text in (
        with_secret(made.id, "A" * 43),
        with_secret("abcdefghjkmn", secret_of(made)[:43]),
        with_secret(made.id, secret_of(other)[:43]),
    ):
        assert keys.check(text) is None
    assert keys.check(made.text) is not None


def with_secret(key_id: str, secret: str) -> str:
    """A key of the right shape and checksum."""
    return f"lcc_{key_id}_{secret}{subject.checksum(key_id, secret)}"


def test_a_text_of_another_shape_is_refused_without_a_look_up(ring: KeyRing, keys: ApiKeys, tmp_path: Path) -> None:
    made = keys.create(role="viewer")
    nowhere = create_engine_for(f"sqlite:///{tmp_path}/empty.db")  # no tables: a look-up would raise
    checking = ApiKeys(nowhere, ring=lambda: ring)
    for text in (
        "", "lcc_", "lcc__", made.text[:-1], made.text + "A", made.text.upper(), f" {made.text}", f"{made.text}\n",
        f"{made.text},{made.text}", made.text.replace("lcc_", "sk_"), swapped(made.text), f"lcc_{'é' * 12}_{'é' * 49}",
    ):  # fmt: skip
        assert checking.check(text) is None
    nowhere.dispose()


def swapped(text: str) -> str:
    """With its last character changed: the checksum notices."""
    return text[:-1] + ("a" if text[-1] != "a" else "b")


@given(text=st.text(max_size=80) | st.from_regex(r"lcc_[a-z2-9]{12}_[0-9A-Za-z]{49}", fullmatch=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_is_a_key_by_chance(sqlite_database: Engine, text: str) -> None:
    assert ApiKeys(sqlite_database, ring=lambda: FIXED_RING).check(text) is None


class _FixedRing:
    def mac(self, purpose: str, message: bytes) -> str:
        return "f" * 64


FIXED_RING: KeyRing = _FixedRing()  # type: ignore[assignment]  # only `mac` is asked for


def test_the_hash_that_unknown_ids_are_compared_with_lets_nobody_in(database: Engine) -> None:
    class Unlucky(_FixedRing):
        def mac(self, purpose: str, message: bytes) -> str:
            return "0" * 64

    unlucky: KeyRing = Unlucky()  # type: ignore[assignment]
    assert ApiKeys(database, ring=lambda: unlucky).check(with_secret("abcdefghjkmn", "A" * 43)) is None


def test_a_key_ends_to_the_second_when_it_expires(keys: ApiKeys, caching: ApiKeys, clock: Clock) -> None:
    made = keys.create(role="viewer", expires_at=START + timedelta(days=90))
    for checking in (keys, caching):
        assert checking.check(made.text, START + timedelta(days=90, seconds=-1)) is not None
        assert checking.check(made.text, START + timedelta(days=90)) is None
    clock.passes(days=90)
    assert only(keys, made).state == "expired"


def test_a_role_that_has_lost_a_scope_takes_it_from_keys_that_are_out_already(
    keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.create(role="viewer")
    for roles, scopes in (({"viewer": frozenset({"documents:read"})}, {"documents:read"}), ({}, set())):
        monkeypatch.setattr(subject, "ROLES", roles)
        principal = keys.check(made.text)
        assert principal is not None
        assert principal.scopes == scopes


# What is written to the database by hand

FORGED: dict[str, dict[str, object]] = {
    "tenant": {"tenant": "bank"},
    "role": {"role": "admin"},
    "role and scopes": {"role": "admin", "scopes": sorted(ROLES["admin"])},
    "fewer scopes": {"scopes": ["documents:read"]},
    "scopes that are no list": {"scopes": 5},
    "no scopes": {"scopes": None},
    "a later end": {"expires_at": START + timedelta(days=900)},
    "no end": {"expires_at": None},
    "made at another time": {"created_at": START - timedelta(days=1)},
    "revoked": {"revoked_at": START},
    "rotated": {"rotated_to": "abcdefghjkmn"},
    "another signature": {"rights": "0" * 64},
    "a signature that is none": {"rights": "é"},
}


@pytest.mark.parametrize("values", FORGED.values(), ids=FORGED)
def test_a_key_whose_rights_were_changed_in_the_database_is_refused(
    keys: ApiKeys, database: Engine, values: dict[str, object]
) -> None:
    made = keys.create(role="viewer", tenant="acme", label="Jane", expires_at=START + timedelta(days=90))
    assert keys.check(made.text) is not None
    with write(database) as connection:
        connection.execute(update(table).values(values))
    with log_lines() as lines:
        assert keys.check(made.text) is None
        assert keys.check(with_secret(made.id, "A" * 43)) is None  # told to nobody without the secret
    assert [(line["event"], line["log_level"]) for line in lines] == [("key.damaged", "error")]
    assert made.id not in str(lines)
    assert (only(keys, made).state, only(keys, made).label) == ("damaged", "")
    with pytest.raises(KeyRefused, match="is damaged: only an active one can be rotated"):
        keys.rotate(made.id)


def test_a_tenant_that_is_no_text_any_more_lets_nobody_in(sqlite_database: Engine) -> None:
    ring = ring_over(sqlite_database)
    keys = ApiKeys(sqlite_database, ring=lambda: ring)
    made = keys.create(role="viewer")
    with write(sqlite_database) as connection:
        connection.exec_driver_sql("UPDATE api_keys SET tenant = x'64656661756c74', rights = x'00'")
    assert keys.check(made.text) is None


def test_the_end_of_a_key_cannot_be_taken_back_in_the_database(keys: ApiKeys, database: Engine) -> None:
    revoked, rotated = keys.create(role="viewer"), keys.create(role="viewer")
    keys.revoke(revoked.id)
    new = keys.rotate(rotated.id, overlap_hours=0)
    with write(database) as connection:
        connection.execute(update(table).values(revoked_at=None, expires_at=None, rotated_to=None))
    assert [keys.check(one.text) for one in (revoked, rotated)] == [None, None]
    assert keys.check(new.text) is not None  # as it was made


def test_another_keys_signature_fits_no_other(keys: ApiKeys, database: Engine) -> None:
    made, other = keys.create(role="viewer", tenant="acme"), keys.create(role="admin", tenant="bank")
    taken = ("tenant", "role", "scopes", "rights")
    with write(database) as connection:
        theirs = connection.execute(select(table).where(table.c.id == other.id)).one()._asdict()
        changed = {name: theirs[name] for name in taken}
        connection.execute(update(table).where(table.c.id == made.id).values(changed))
    assert keys.check(made.text) is None
    assert keys.check(other.text) is not None


def test_a_damaged_key_can_be_revoked_and_is_a_key_like_others_then(keys: ApiKeys, database: Engine) -> None:
    made = keys.create(role="viewer", tenant="acme", label="Jane")
    with write(database) as connection:
        connection.execute(update(table).values(tenant="bank"))
    assert not keys.revoke(made.id)
    assert (only(keys, made).state, only(keys, made).label) == ("revoked", "")
    assert keys.check(made.text) is None
    assert audited(database)[-1] == ("bank", "cli", "key.revoked", f"key:{made.id}", {"was": "damaged"})


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))], ids=str)
def test_a_key_fits_its_signature_whatever_zone_its_end_was_told_in(keys: ApiKeys, zone: tzinfo) -> None:
    ends = (START + timedelta(days=1, microseconds=123_456)).astimezone(zone)
    assert keys.check(keys.create(role="viewer", expires_at=ends).text) is not None


def test_a_checked_key_is_not_looked_up_again_for_a_while(caching: ApiKeys, database: Engine) -> None:
    made = caching.create(role="viewer")
    first = caching.check(made.text)
    with write(database) as connection:
        connection.execute(table.delete())
    assert caching.check(made.text) == first is not None
    caching.forget()
    assert caching.check(made.text) is None


def test_a_refusal_is_not_remembered(caching: ApiKeys, keys: ApiKeys, database: Engine) -> None:
    made = keys.create(role="viewer")
    with write(database) as connection:
        (row,) = connection.execute(select(table)).mappings().all()
        connection.execute(table.delete())
    assert caching.check(made.text) is None
    with write(database) as connection:
        connection.execute(table.insert().values(dict(row)))
    assert caching.check(made.text) is not None


def test_the_cache_holds_no_key(caching: ApiKeys) -> None:
    made = caching.create(role="viewer")
    caching.check(made.text)
    assert secret_of(made) not in str(vars(caching))


def test_when_a_key_was_last_used_is_noted_once_a_minute(
    keys: ApiKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "USE_NOTED_EVERY_SECONDS", 0)
    often = ApiKeys(keys._engine, ring=keys._ring, clock=clock)
    made = keys.create(role="viewer")
    assert only(keys, made).last_used_at is None
    keys.check(made.text)
    clock.passes(seconds=30)
    keys.check(made.text)
    assert only(keys, made).last_used_at == START
    often.check(made.text)
    assert only(keys, made).last_used_at == START + timedelta(seconds=30)
    often.check(made.text, START)  # an instance whose clock is behind
    assert only(keys, made).last_used_at == START + timedelta(seconds=30)


def test_a_wrong_secret_is_no_use(keys: ApiKeys) -> None:
    made = keys.create(role="viewer")
    keys.check(with_secret(made.id, "A" * 43))
    assert only(keys, made).last_used_at is None


def test_a_use_that_another_writer_keeps_from_being_noted_costs_nobody_the_answer(
    keys: ApiKeys, database: Engine
) -> None:
    made = keys.create(role="viewer")
    with write(database) as connection:
        connection.execute(update(table).values(tenant="acme"))
        with log_lines() as lines:
            begun = time.monotonic()
            assert keys.check(made.text) is not None
            assert time.monotonic() - begun < 5
    assert [(line["event"], line["error_type"]) for line in lines] == [("key.use_not_noted", "OperationalError")]
    counted = 'assistant_errors_total{component="security",error_type="OperationalError"}'
    assert counted in exposition(None)[0].decode()
    assert only(keys, made).last_used_at is None


def test_noting_a_use_leaves_other_writers_their_patience(sqlite_database: Engine) -> None:
    ring = ring_over(sqlite_database)
    keys = ApiKeys(sqlite_database, ring=lambda: ring)
    keys.check(keys.create(role="viewer").text)
    with sqlite_database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == SQLITE_BUSY_SECONDS * 1_000


def test_a_database_that_is_away_is_not_a_wrong_key(ring: KeyRing, keys: ApiKeys, free_port: int) -> None:
    made = keys.create(role="viewer")
    away = create_engine_for(f"postgresql+psycopg://127.0.0.1:{free_port}/none")
    with pytest.raises(DatabaseUnavailable):
        ApiKeys(away, ring=lambda: ring).check(made.text)


# Rotating and revoking


def test_a_rotated_key_and_its_successor_are_both_let_in_for_a_while(keys: ApiKeys, clock: Clock) -> None:
    old = keys.create(role="service", tenant="acme", scopes=["metrics:read"], label="Prometheus")
    clock.passes(days=30)
    new = keys.rotate(old.id, overlap_hours=24)
    assert only(keys, old) == replace(
        only(keys, old), state="rotated", rotated_to=new.id, expires_at=clock.now + timedelta(hours=24)
    )
    found = only(keys, new)
    assert (found.tenant, found.role, found.scopes, found.label, found.expires_at, found.state) == (
        "acme", "service", ("metrics:read",), "Prometheus", None, "active",
    )  # fmt: skip
    assert new.text != old.text
    clock.passes(hours=23)
    assert keys.check(old.text) is not None
    clock.passes(hours=1)
    assert keys.check(old.text) is None
    assert keys.check(new.text) is not None


def test_a_successor_lives_as_long_as_its_predecessor_was_to(keys: ApiKeys, clock: Clock) -> None:
    old = keys.create(role="viewer", expires_at=START + timedelta(days=90))
    clock.passes(days=89, hours=12)
    new = keys.rotate(old.id, overlap_hours=24)
    assert new.expires_at == clock.now + timedelta(days=90)
    assert only(keys, old).expires_at == START + timedelta(days=90)  # sooner than the overlap: it stays so


def test_without_an_overlap_the_old_key_ends_at_once_in_this_instance(caching: ApiKeys) -> None:
    old = caching.create(role="viewer")
    assert caching.check(old.text) is not None
    caching.rotate(old.id, overlap_hours=0)
    assert caching.check(old.text) is None


def test_a_key_that_has_ended_or_was_rotated_is_not_rotated(keys: ApiKeys, clock: Clock) -> None:
    revoked, rotated = keys.create(role="viewer"), keys.create(role="viewer")
    expired = keys.create(role="viewer", expires_at=START + timedelta(days=1))
    keys.revoke(revoked.id)
    keys.rotate(rotated.id, overlap_hours=72)
    clock.passes(days=1)
    for key, state in ((revoked, "revoked"), (rotated, "rotated"), (expired, "expired")):
        with pytest.raises(KeyRefused, match=f"the key {key.id} is {state}: only an active one can be rotated"):
            keys.rotate(key.id)


@pytest.mark.parametrize("hours", [-1, 721, float("nan"), float("inf")])
def test_an_overlap_is_bounded(keys: ApiKeys, hours: float) -> None:
    with pytest.raises(KeyRefused, match="the overlap must be 0 to 720 hours"):
        keys.rotate(keys.create(role="viewer").id, overlap_hours=hours)


def test_a_revoked_key_ends_at_once_here_and_where_it_is_looked_up(keys: ApiKeys, caching: ApiKeys) -> None:
    made = caching.create(role="viewer")
    assert caching.check(made.text) == keys.check(made.text) is not None
    assert caching.revoke(made.id)
    assert caching.check(made.text) is None
    assert keys.check(made.text) is None
    assert not keys.revoke(made.id)  # it was already
    assert only(keys, made).revoked_at == START


def test_an_expired_key_can_be_revoked(keys: ApiKeys, clock: Clock) -> None:
    made = keys.create(role="viewer", expires_at=START + timedelta(days=1))
    clock.passes(days=2)
    assert not keys.revoke(made.id)
    assert only(keys, made).state == "revoked"


@pytest.mark.parametrize("key_id", ["abcdefghjkmn", "", "' OR 1=1 --", "key:abcdefghjkmn"])
def test_an_id_that_no_key_has_is_told(keys: ApiKeys, key_id: str) -> None:
    for act in (keys.rotate, keys.revoke):
        with pytest.raises(KeyRefused, match="there is no key with this id"):
            act(key_id)


def test_of_two_who_rotate_a_key_at_once_one_does(keys: ApiKeys) -> None:
    made = keys.create(role="viewer")

    def rotate() -> str:
        try:
            return keys.rotate(made.id).id
        except KeyRefused:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        outcomes = [one.result(60) for one in [pool.submit(rotate) for _ in range(4)]]
    assert outcomes.count("refused") == 3
    assert len(keys.known()) == 2
    assert only(keys, made).rotated_to in outcomes


def test_what_was_done_to_a_key_is_audited(keys: ApiKeys, database: Engine) -> None:
    old = keys.create(role="viewer", tenant="acme", label="Jane", expires_at=START + timedelta(days=90))
    new = keys.rotate(old.id, actor="key:abc")
    keys.revoke(new.id)
    keys.revoke(new.id)
    ends = "2027-02-26T12:00:00+00:00"
    assert audited(database) == [
        ("acme", "cli", "key.created", f"key:{old.id}",
         {"role": "viewer", "scopes": ["costs:read", "documents:read"], "expires_at": ends}),
        ("acme", "key:abc", "key.rotated", f"key:{old.id}",
         {"rotated_to": new.id, "ends_at": "2026-11-29T12:00:00+00:00", "expires_at": ends}),
        ("acme", "cli", "key.revoked", f"key:{new.id}", {"was": "active"}),
    ]  # fmt: skip


def test_without_the_audit_there_is_no_key(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.create(role="viewer")

    def broken(_connection: object, _event: Event, **_: object) -> int:
        raise DatabaseUnavailable

    monkeypatch.setattr("common.security.api_keys.audit.record", broken)
    for act in (lambda: keys.create(role="admin"), lambda: keys.rotate(made.id), lambda: keys.revoke(made.id)):
        with pytest.raises(DatabaseUnavailable):
            act()
    assert [(one.id, one.state) for one in keys.known()] == [(made.id, "active")]


def test_keys_are_listed_newest_first_and_by_tenant(keys: ApiKeys, clock: Clock) -> None:
    made = []
    for tenant in ("acme", "bank", "acme"):
        made.append(keys.create(role="viewer", tenant=tenant).id)
        clock.passes(seconds=1)
    assert [one.id for one in keys.known()] == made[::-1]
    assert [one.id for one in keys.known("acme")] == [made[2], made[0]]
    assert keys.known("nobody") == []


# Time


@pytest.mark.parametrize("guess", ["unknown id", "wrong secret"])
def test_a_guess_does_not_tell_by_its_time_whether_a_key_exists(sqlite_database: Engine, guess: str) -> None:
    """A light form of `python -m tests.performance.authentication`, which measures 10,000."""
    ring = ring_over(sqlite_database)
    keys = ApiKeys(sqlite_database, ring=lambda: ring)
    made = keys.create(role="viewer")
    keys.check(made.text)
    wrong = with_secret(made.id, "A" * 43)
    other = wrong if guess == "wrong secret" else with_secret("abcdefghjkmn", "A" * 43)
    one, two = medians(lambda: keys.check(wrong), lambda: keys.check(other), rounds=300)
    assert abs(one - two) < 0.1 * max(one, two)


def medians(first: Callable[[], object], second: Callable[[], object], *, rounds: int) -> tuple[float, float]:
    """In seconds; measured in turn, so that whatever else the machine does falls on both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, times in zip((first, second), taken, strict=True):
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
    return statistics.median(taken[0]), statistics.median(taken[1])


def test_an_instance_has_them_over_its_own_database(tmp_path: Path) -> None:
    with instance(tmp_path, AUTH_CACHE_SECONDS="7"):
        made = api_keys().create(role="viewer")
        assert api_keys() is api_keys()
        assert api_keys().check(made.text) is not None
        assert api_keys()._checked.ttl == 7

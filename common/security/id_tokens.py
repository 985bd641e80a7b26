"""ID tokens that Google signs for its schedulers, subscriptions and services: who may come in with one, and as what.

A token is let in by its signature (RS256 and nothing else), issuer, audience, times and a verified e-mail address that
stands in GOOGLE_ACCOUNTS. Its header may name the key, and nothing that would make us fetch or trust another one.

Source: RFC 8725 (best practices for JWTs), https://developers.google.com/identity/openid-connect/openid-connect
"""

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import build_opener

from common.logging import component_logger
from common.metrics import metrics_collector
from common.no_redirects import NoRedirects
from common.once import once
from common.problems import Unavailable
from common.security.client_address import is_loopback
from common.security.principal import DEFAULT_TENANT, ROLES, Principal, Role, is_tenant
from common.settings import InvalidSettings, Settings, settings

if TYPE_CHECKING:  # PyJWT loads cryptography: 40 ms, for the first token
    from jwt import PyJWK

    from common.security.keyring import KeyRing

MAX_TOKEN_CHARACTERS = 8_192
LEEWAY_SECONDS = 10
KEYS_FRESH_SECONDS = 3_600.0  # Google gives its keys out days before it signs with them
KEYS_USABLE_SECONDS = 86_400.0  # how long they are trusted where they cannot be fetched again
FETCH_AGAIN_SECONDS = 10.0  # between two attempts, whatever tokens ask for
FETCH_TIMEOUT_SECONDS = 3.0
MAX_KEYS_BYTES = 100_000
MIN_RSA_BITS = 2_048

# What Cloud Run puts in a signature's place, so that a token that it has let in can be used nowhere else.
# Source: https://cloud.google.com/run/docs/troubleshooting#signature-removed
_SIGNATURE_TAKEN = ".SIGNATURE_REMOVED_BY_GOOGLE"

_HEADER_FIELDS = {"alg", "kid", "typ"}
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{1,6000}\.[A-Za-z0-9_-]{1,2000}")
_E_MAIL = re.compile(r"[^@\s,]{1,64}@[^@\s,]{1,190}")

log = component_logger("security")


class SigningKeysUnavailable(Unavailable):
    """No signing keys are known, so whether a token is genuine cannot be told."""

    type = "/problems/signing-keys-unavailable"
    title = "Tokens cannot be checked at the moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a Google account may do here, and for whom."""

    role: Role
    tenant: str


class SigningKeys:
    """The issuer's RSA keys by their id, from a JWK set; fetched when a token needs them, and kept.

    A key id that is not known makes one fetch in `FETCH_AGAIN_SECONDS`, however many tokens name it. A fetch that fails
    leaves the keys that are there, for as long as `KEYS_USABLE_SECONDS`. `clock` is in monotonic seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises: InvalidSettings: somebody on the way could put other keys in place of those at `url`."""
        parts = urlsplit(url)
        is_here = parts.hostname == "localhost" or is_loopback(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
            raise InvalidSettings("GOOGLE_CERTS_URL: must begin with https://")
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def find(self, key_id: str) -> "PyJWK | None":
        """The key, or None where the issuer has none of this id.

        Raises:
            SigningKeysUnavailable: none are known.
        """
        key = self._keys.get(key_id)
        if key is not None and self._age() < KEYS_FRESH_SECONDS:
            return key
        # With keys at hand nobody waits for the one who fetches; without any, all do.
        if self._lock.acquire(blocking=self._age() >= KEYS_USABLE_SECONDS):
            try:
                self._fetch_when_due(key_id)
            finally:
                self._lock.release()
        if self._age() >= KEYS_USABLE_SECONDS:
            raise SigningKeysUnavailable
        return self._keys.get(key_id)

    def _age(self) -> float:
        fetched_at = self._fetched_at
        return float("inf") if fetched_at is None else self._clock() - fetched_at

    def _fetch_when_due(self, key_id: str) -> None:
        if key_id in self._keys and self._age() < KEYS_FRESH_SECONDS:  # another request fetched it meanwhile
            return
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < FETCH_AGAIN_SECONDS:
            return
        self._tried_at = now
        try:
            self._keys = _rsa_keys(_fetched(self._url))
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            error_type = type(error).__name__
            metrics_collector.record_provider_error("google-certs", error_type)
            log.warning("signing_keys.not_fetched", error_type=error_type)
        else:
            self._fetched_at = self._clock()
            log.info("signing_keys.fetched", count=len(self._keys))


class IdTokens:
    """Tells who an ID token is. `ring` makes the mark that stands for the e-mail address in logs and in the audit."""

    def __init__(
        self,
        *,
        keys: SigningKeys,
        issuers: Collection[str],
        audiences: Collection[str],
        accounts: Mapping[str, Account],
        ring: "Callable[[], KeyRing]",
        are_signatures_taken: bool = False,
    ) -> None:
        """`are_signatures_taken`: what stands before us has checked them, and lets nobody in by another way."""
        self._keys = keys
        self._issuers = list(issuers)
        self._audiences = list(audiences)
        self._accounts = accounts
        self._ring = ring
        self._are_signatures_taken = are_signatures_taken

    def check(self, token: str, *, is_for_google_alone: bool = False) -> Principal | None:
        """Who `token` is, or None where it is not let in.

        `is_for_google_alone`: the function is called by Google's services alone, so it may be behind a check of theirs.

        Raises:
            SigningKeysUnavailable: the issuer's keys are not known and cannot be fetched.
        """
        if not self._accounts or not self._audiences:  # nobody could come in: no reason to fetch anything
            return None
        key_id = _key_id(token)
        if self._are_signatures_taken and is_for_google_alone and token.endswith(_SIGNATURE_TAKEN):
            email = self._email(token, None) if key_id is not None else None
        else:
            key = self._keys.find(key_id) if key_id is not None else None
            email = self._email(token, key) if key is not None else None
        account = self._accounts.get(email) if email is not None else None
        if email is None or account is None:
            return None
        mark = self._ring().mac("mark", email.encode())[:16]  # an address is a person's, and does not stand in logs
        return Principal(id=f"account:{mark}", tenant=account.tenant, scopes=ROLES[account.role])

    def _email(self, token: str, key: "PyJWK | None") -> str | None:
        """The verified address of a token that is genuine, timely and made for us; in lower case.

        Without a `key` somebody else has found it genuine.
        """
        import jwt

        try:
            claims = jwt.decode(
                token,
                key.key if key is not None else "",
                algorithms=["RS256"],
                audience=self._audiences,
                issuer=self._issuers,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub", "email", "email_verified"],
                    "verify_signature": key is not None,
                    "verify_exp": True,  # these would follow verify_signature
                    "verify_nbf": True,
                    "verify_iat": True,
                    "verify_aud": True,
                    "verify_iss": True,
                    "verify_sub": True,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        email = claims["email"]
        # `aud` as a list would be a token that others may pass on to us.
        if not isinstance(email, str) or not isinstance(claims["aud"], str) or claims["email_verified"] is not True:
            return None
        return email.lower() if email.isascii() else None  # the Kelvin sign is a k in lower case, and another letter


def accounts_of(text: str | None) -> Mapping[str, Account]:
    """Accounts by their e-mail address in lower case, from GOOGLE_ACCOUNTS: E-MAIL=ROLE or E-MAIL=ROLE@TENANT.

    Raises:
        InvalidSettings: tells the entry by its number, for an address is a person's.
    """
    accounts: dict[str, Account] = {}
    for number, entry in enumerate(_listed(text), 1):
        email, _, rest = entry.rpartition("=")
        email, (name, at, tenant) = email.strip().lower(), rest.strip().partition("@")
        role = next((one for one in ROLES if one == name), None)
        tenant = tenant if at else DEFAULT_TENANT
        if role is None or not (email.isascii() and _E_MAIL.fullmatch(email)) or not is_tenant(tenant):
            raise InvalidSettings(f"GOOGLE_ACCOUNTS: entry {number} must be E-MAIL=ROLE or E-MAIL=ROLE@TENANT")
        if email in accounts:
            raise InvalidSettings(f"GOOGLE_ACCOUNTS: entry {number} names an account again")
        accounts[email] = Account(role=role, tenant=tenant)
    return accounts


def id_tokens_for(settings: Settings) -> IdTokens:
    """Raises: InvalidSettings: GOOGLE_ACCOUNTS, GOOGLE_CERTS_URL or GOOGLE_SIGNATURES cannot be used."""
    are_signatures_taken = settings.google_signatures == "taken"
    if are_signatures_taken and settings.k_service is None:
        raise InvalidSettings("GOOGLE_SIGNATURES: taken is for Cloud Run alone, which has checked them")

    def ring() -> "KeyRing":
        from common.security.keyring import key_ring

        return key_ring()

    return IdTokens(
        keys=SigningKeys(settings.google_certs_url),
        issuers=_listed(settings.google_issuers),
        audiences=_listed(settings.google_audiences),
        accounts=accounts_of(settings.google_accounts),
        ring=ring,
        are_signatures_taken=are_signatures_taken,
    )


@once
def id_tokens() -> IdTokens:
    """This instance's."""
    return id_tokens_for(settings())


def _listed(text: str | None) -> list[str]:
    return [entry for entry in map(str.strip, (text or "").split(",")) if entry]


def _key_id(token: str) -> str | None:
    """The id of the key that `token` says it is signed with; None where it is no token that could be let in."""
    if len(token) > MAX_TOKEN_CHARACTERS or not _TOKEN.fullmatch(token):
        return None
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):  # a header may nest deeper than Python does
        return None
    key_id = header.get("kid")
    if not header.keys() <= _HEADER_FIELDS or header.get("alg") != "RS256" or header.get("typ", "JWT") != "JWT":
        return None
    return key_id if isinstance(key_id, str) and key_id else None


def _fetched(url: str) -> bytes:
    try:
        with build_opener(NoRedirects).open(url, timeout=FETCH_TIMEOUT_SECONDS) as response:
            body = cast(bytes, response.read(MAX_KEYS_BYTES + 1))
    except HTTPError as error:
        error.close()
        raise
    if len(body) > MAX_KEYS_BYTES:
        raise ValueError("the key set is too large")
    return body


def _rsa_keys(body: bytes) -> Mapping[str, "PyJWK"]:
    """The keys of a JWK set that can check RS256, by their id.

    Raises:
        ValueError: it is no JWK set, or has no such key.
    """
    import jwt

    try:
        found = jwt.PyJWKSet.from_dict(json.loads(body)).keys
    except (jwt.PyJWTError, AttributeError, TypeError) as error:  # it may be JSON, and no object of key objects
        raise ValueError("no usable key set") from error
    keys = {key.key_id: key for key in found if key.key_id and _can_check(key)}
    if not keys:
        raise ValueError("no RSA key for signatures")
    return keys


def _can_check(key: "PyJWK") -> bool:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key_id: object = key.key_id  # PyJWT does not look whether it is a text
    return (
        isinstance(key_id, str)
        and isinstance(key.key, RSAPublicKey)
        and key.algorithm_name == "RS256"
        and key.public_key_use in ("sig", None)
        and key.key.key_size >= MIN_RSA_BITS
    )

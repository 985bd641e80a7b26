"""Google Cloud KMS as the key-encryption key: it wraps and unwraps there, and the key itself never leaves.

A data key passes through it when it is made, and once per instance when it is first needed.
"""

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from common.logging import component_logger
from common.metrics import metrics_collector
from common.once import Once
from common.security.key_encryption import CannotOpen, KeysUnavailable
from common.settings import InvalidSettings

if TYPE_CHECKING:
    from google.api_core.exceptions import BadRequest
    from google.cloud.kms_v1 import DecryptResponse, EncryptResponse, KeyManagementServiceClient

log = component_logger("security")

ATTEMPT_SECONDS = 3.0
PATIENCE_SECONDS = 8.0  # all attempts of one call together

Answer = TypeVar("Answer", "EncryptResponse", "DecryptResponse")

_NAME = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# At DEBUG the client writes every request with its body and headers: data keys in the clear, and access tokens.
_TALKATIVE = (
    "google.auth.transport.requests",
    "google.cloud.kms_v1",
    "google.cloud.kms_v1.services.key_management_service.transports.rest",
)


class CloudKmsKey:
    """A symmetric key in Cloud KMS, by its resource name without a version: it may be rotated there at any time.

    Sums over what is sent and received are compared, as Google advises, so that a bit that flipped on the way or in
    memory is noticed before anything is sealed under a key that nobody could unwrap again.

    Source: https://cloud.google.com/kms/docs/data-integrity-guidelines
    """

    def __init__(self, key: str, endpoint: str | None = None, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """`endpoint` is another base URL of the API; one with http:// is called without credentials.

        Raises:
            InvalidSettings: `key` is no such name, or `endpoint` is neither https nor http on this machine.
        """
        if _NAME.fullmatch(key) is None:
            raise InvalidSettings("KMS_KEY: must be as projects/P/locations/L/keyRings/R/cryptoKeys/K")
        if endpoint is not None:
            _check(endpoint)
        self._key = key
        self._client = Once(lambda: _client(endpoint))
        self._patience_seconds = patience_seconds

    @property
    def name(self) -> str:
        return f"kms:{self._key}"

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        from google_crc32c import value as sum_of

        def attempt() -> "EncryptResponse":
            request = self._request(context, plaintext=plain)
            answer = self._client().encrypt(request, retry=None, timeout=ATTEMPT_SECONDS)
            is_whole = (
                answer.verified_plaintext_crc32c
                and answer.verified_additional_authenticated_data_crc32c
                and answer.name.startswith(f"{self._key}/cryptoKeyVersions/")
                and answer.ciphertext_crc32c == sum_of(answer.ciphertext)
            )
            return _whole(answer, is_whole)

        wrapped: bytes = self._patiently(attempt).ciphertext
        return wrapped

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        from google.api_core.exceptions import BadRequest
        from google_crc32c import value as sum_of

        def attempt() -> "DecryptResponse":
            request = self._request(context, ciphertext=wrapped)
            try:
                answer = self._client().decrypt(request, retry=None, timeout=ATTEMPT_SECONDS)
            except BadRequest as error:
                if _is_about_the_data(error):  # not what it encrypted, or not with this context
                    raise CannotOpen from None
                raise
            return _whole(answer, answer.plaintext_crc32c == sum_of(answer.plaintext))

        plain: bytes = self._patiently(attempt).plaintext
        return plain

    def _request(self, context: bytes, **sent: bytes) -> dict[str, object]:
        from google_crc32c import value as sum_of

        fields = {**sent, "additional_authenticated_data": context}
        return {"name": self._key, **fields, **{f"{name}_crc32c": sum_of(data) for name, data in fields.items()}}

    def _patiently(self, attempt: Callable[[], Answer]) -> Answer:
        """What `attempt` gives, tried again while what failed may pass. What was asked and said goes nowhere."""
        from google.api_core.exceptions import GoogleAPIError
        from google.api_core.retry import Retry
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        retry = Retry(predicate=_may_pass, initial=0.05, maximum=1.0, timeout=self._patience_seconds)
        try:
            return retry(attempt)()
        except (GoogleAPIError, GoogleAuthError, RequestException, _NotWhole) as error:
            cause = error.__cause__ or error  # of what was tried until the time was up, the last
            error_type = type(cause).__name__
            metrics_collector.record_provider_error("cloud-kms", error_type)
            log.warning("keys.unavailable", error_type=error_type)
            raise KeysUnavailable from None


class _NotWhole(Exception):
    """An answer whose sums do not fit what was sent or what came."""


def _whole(answer: Answer, is_whole: bool) -> Answer:
    if not is_whole:
        raise _NotWhole
    return answer


def _is_about_the_data(error: "BadRequest") -> bool:
    """Whether it is what was sent that is wrong, and not that the key is disabled, which is a 400 too."""
    content: bytes = error.response.content  # its JSON, or whatever a proxy on the way says
    return b'"INVALID_ARGUMENT"' in content


def _may_pass(error: BaseException) -> bool:
    from google.api_core.exceptions import ServerError, TooManyRequests
    from google.auth.exceptions import TransportError
    from requests import ConnectionError as NotConnected
    from requests import Timeout

    return isinstance(error, (ServerError, TooManyRequests, TransportError, NotConnected, Timeout, _NotWhole))


def _check(endpoint: str) -> None:
    url = urlsplit(endpoint)
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
    if not is_safe or not url.hostname or url.path.strip("/"):
        raise InvalidSettings("KMS_ENDPOINT: must be https://HOST, or http:// on this machine")


def _client(endpoint: str | None) -> "KeyManagementServiceClient":
    """A client over HTTP/1.1: over gRPC a call made before a fork would hang in the worker."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.kms_v1 import KeyManagementServiceClient
    from google.cloud.kms_v1.services.key_management_service.transports.rest import KeyManagementServiceRestTransport

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
    if endpoint is None:
        return KeyManagementServiceClient(transport="rest")
    url = urlsplit(endpoint)
    if url.scheme == "https":
        return KeyManagementServiceClient(transport="rest", client_options={"api_endpoint": url.netloc})
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    local = KeyManagementServiceRestTransport(host=url.netloc, url_scheme="http", credentials=nobody)
    return KeyManagementServiceClient(transport=local)

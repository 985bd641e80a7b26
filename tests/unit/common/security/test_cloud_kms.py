"""Cloud KMS, through Google's own client and a local server that speaks its wire format."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2.service_account import Credentials
from google_crc32c import value as sum_of
from sqlalchemy import Engine

from common.metrics import REGISTRY
from common.problems import problem_document
from common.security import cloud_kms
from common.security.cloud_kms import CloudKmsKey
from common.security.key_encryption import CannotOpen, FileKey, KeysUnavailable
from common.security.keyring import PURPOSES, KeyRing
from common.settings import InvalidSettings
from tests.kms_server import KEY, Behaviour, KmsServer
from tests.log_lines import log_lines

SECRET = b"a data key of thirty-two bytes.."
CONTEXT = b"data key 7 seal"
IMPATIENT_SECONDS = 0.3


@pytest.fixture
def server() -> Iterator[KmsServer]:
    with KmsServer() as running:
        yield running


@pytest.fixture
def key(server: KmsServer) -> CloudKmsKey:
    return CloudKmsKey(server.key, server.url)


@pytest.fixture
def impatient(server: KmsServer) -> CloudKmsKey:
    return CloudKmsKey(server.key, server.url, patience_seconds=IMPATIENT_SECONDS)


def test_what_is_wrapped_is_unwrapped_again(key: CloudKmsKey) -> None:
    wrapped = key.wrap(SECRET, CONTEXT)
    assert SECRET not in wrapped
    assert key.unwrap(wrapped, CONTEXT) == SECRET


def test_requests_carry_the_context_and_a_sum_of_all_that_they_send(server: KmsServer, key: CloudKmsKey) -> None:
    key.unwrap(key.wrap(SECRET, CONTEXT), CONTEXT)
    encrypt, decrypt = server.requests
    assert (encrypt.verb, encrypt.key, decrypt.verb, decrypt.key) == ("encrypt", KEY, "decrypt", KEY)
    for request, names in ((encrypt, {"plaintext"}), (decrypt, {"ciphertext"})):
        sent = {name: base64.b64decode(value) for name, value in request.body.items() if "Crc32c" not in name}
        assert sent.keys() == names | {"additionalAuthenticatedData"}
        assert sent["additionalAuthenticatedData"] == CONTEXT
        assert {name: int(request.body[f"{name}Crc32c"]) for name in sent} == {
            name: sum_of(data) for name, data in sent.items()
        }


def test_a_server_on_this_machine_gets_no_credentials(server: KmsServer, key: CloudKmsKey) -> None:
    key.wrap(SECRET, CONTEXT)
    assert "authorization" not in {name.lower() for name in server.requests[0].headers}


def test_another_context_opens_nothing(server: KmsServer, key: CloudKmsKey) -> None:
    wrapped = key.wrap(SECRET, CONTEXT)
    for sent, context in ((wrapped, b"data key 8 seal"), (wrapped[:-1], CONTEXT), (b"\1", CONTEXT)):
        with pytest.raises(CannotOpen):
            key.unwrap(sent, context)
    assert len(server.requests) == 4  # it is not tried again


def test_a_new_version_of_the_key_opens_what_older_ones_wrapped(server: KmsServer, key: CloudKmsKey) -> None:
    wrapped = key.wrap(SECRET, CONTEXT)
    server.rotate()
    assert key.unwrap(wrapped, CONTEXT) == SECRET
    assert key.wrap(SECRET, CONTEXT)[0] == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(flipped=True),
        Behaviour(unverified=True),
        Behaviour(other_key=True),
        Behaviour(status=503),
        Behaviour(status=500),
        Behaviour(status=429),
        Behaviour(silent=True),
    ],
)
def test_what_may_pass_is_tried_again_when_wrapping(server: KmsServer, key: CloudKmsKey, behaviour: Behaviour) -> None:
    server.script(behaviour)
    wrapped = key.wrap(SECRET, CONTEXT)
    assert len(server.requests) == 2
    assert key.unwrap(wrapped, CONTEXT) == SECRET


@pytest.mark.parametrize("behaviour", [Behaviour(flipped=True), Behaviour(status=503), Behaviour(silent=True)])
def test_what_may_pass_is_tried_again_when_unwrapping(
    server: KmsServer, key: CloudKmsKey, behaviour: Behaviour
) -> None:
    wrapped = key.wrap(SECRET, CONTEXT)
    server.script(behaviour)
    assert key.unwrap(wrapped, CONTEXT) == SECRET
    assert len(server.requests) == 3


@pytest.mark.parametrize("behaviour", [Behaviour(flipped=True), Behaviour(unverified=True), Behaviour(status=503)])
def test_what_does_not_pass_in_time_is_unavailable(
    server: KmsServer, impatient: CloudKmsKey, behaviour: Behaviour
) -> None:
    server.script(*[behaviour] * 100)
    with log_lines() as lines, pytest.raises(KeysUnavailable):
        impatient.wrap(SECRET, CONTEXT)
    assert (
        server.requests
    )  # how often it is tried in that short time is the machine's matter; that it is, the test above shows
    [line] = [line for line in lines if line["event"] == "keys.unavailable"]
    assert line["error_type"] in {"_NotWhole", "ServiceUnavailable"}
    labels = {"provider": "cloud-kms", "error_type": line["error_type"]}
    assert REGISTRY.get_sample_value("assistant_provider_errors_total", labels)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_tried_again(server: KmsServer, key: CloudKmsKey, status: int) -> None:
    server.script(Behaviour(status=status))
    with pytest.raises(KeysUnavailable):
        key.wrap(SECRET, CONTEXT)
    assert len(server.requests) == 1


def test_a_key_that_is_disabled_is_unavailable_for_it_may_be_enabled_again(server: KmsServer, key: CloudKmsKey) -> None:
    wrapped = key.wrap(SECRET, CONTEXT)
    server.script(Behaviour(disabled=True))
    with pytest.raises(KeysUnavailable):
        key.unwrap(wrapped, CONTEXT)
    assert key.unwrap(wrapped, CONTEXT) == SECRET


def test_a_server_that_is_gone_is_unavailable(server: KmsServer, impatient: CloudKmsKey) -> None:
    server.stop()
    with pytest.raises(KeysUnavailable):
        impatient.wrap(SECRET, CONTEXT)


def test_the_error_says_nothing_of_what_was_asked(server: KmsServer, key: CloudKmsKey) -> None:
    server.script(Behaviour(status=403))  # its message repeats the request
    with log_lines() as lines, pytest.raises(KeysUnavailable) as refused:
        key.wrap(SECRET, CONTEXT)
    status, document = problem_document(refused.value, request_id="r1")
    assert (status, document["type"]) == (503, "/problems/keys-unavailable")
    assert "detail" not in document
    assert refused.value.headers == {"Retry-After": "5"}
    assert refused.value.__suppress_context__
    assert base64.b64encode(SECRET).decode() not in str(lines)


def test_not_even_the_most_talkative_logs_hold_a_data_key(
    server: KmsServer, key: CloudKmsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("google"), "propagate", True)
    # Where an earlier test has set up our logging, it passes over such lines of libraries.
    monkeypatch.setattr("common.telemetry.log_capture._is_library", lambda _path: False)
    logging.getLogger("google").setLevel(logging.DEBUG)
    try:
        with log_lines() as lines:
            key.unwrap(key.wrap(SECRET, CONTEXT), CONTEXT)
    finally:
        logging.getLogger("google").setLevel(logging.NOTSET)
    assert any(line["event"].startswith("http://") for line in lines)  # DEBUG lines of others are there
    assert base64.b64encode(SECRET).decode() not in str(lines)


@pytest.mark.parametrize(
    "name", ["", "data", "projects/p/locations/l/keyRings/r/cryptoKeys/", f"{KEY}/cryptoKeyVersions/1"]
)
def test_a_name_that_is_no_keys_is_refused(name: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^KMS_KEY: must be as projects/"):
        CloudKmsKey(name)


@pytest.mark.parametrize(
    "endpoint",
    ["http://kms.example.com", "http://127.0.0.1.example.com", "ftp://127.0.0.1", "https://", "https://h/v1"],
)
def test_an_endpoint_that_others_could_listen_to_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^KMS_ENDPOINT: must be https://HOST, or http:// on this machine$"):
        CloudKmsKey(KEY, endpoint)


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [(None, "cloudkms.googleapis.com"), ("https://kms.example.com:8443", "kms.example.com:8443")],
)
def test_google_is_called_over_https_with_the_platforms_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str | None, host: str
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(tmp_path)))
    transport = cloud_kms._client(endpoint).transport
    assert transport.kind == "rest"
    assert transport._host == f"https://{host}"
    assert isinstance(transport._credentials, Credentials)
    assert transport._credentials.service_account_email == "functions@acme.example.com"


def account(folder: Path) -> Path:
    """A service account's file, of which only the form is real."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "account.json"
    fields = {"type": "service_account", "project_id": "acme", "client_email": "functions@acme.example.com"}
    fields |= {"token_uri": "http://127.0.0.1/token", "private_key": key.private_bytes(*form).decode()}
    file.write_text(json.dumps(fields))
    return file


def test_a_key_ring_moves_from_a_file_to_cloud_kms(database: Engine, key: CloudKmsKey) -> None:
    file = FileKey(bytes(32))
    mac = KeyRing.over(database, [file]).mac("mark", b"jane")
    assert KeyRing.over(database, [key, file]).rewrap() == len(PURPOSES)
    assert KeyRing.over(database, [key]).mac("mark", b"jane") == mac


def test_a_key_ring_asks_cloud_kms_once_for_each_key_that_it_uses(server: KmsServer, database: Engine) -> None:
    KeyRing.over(database, [CloudKmsKey(server.key, server.url)]).complete()
    server.requests.clear()
    ring = KeyRing.over(database, [CloudKmsKey(server.key, server.url)])
    for _ in range(10):
        ring.mac("mark", b"jane")
        ring.sealing()
    assert [request.verb for request in server.requests] == ["decrypt", "decrypt"]

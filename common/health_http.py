"""Whether a server answers: Gemini, a Chroma server. Over urllib, since neither client library is cheap to import."""

from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from urllib.parse import quote
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from common.health_runs import Check, Fault

GEMINI_URL = "https://generativelanguage.googleapis.com"
_SECONDS = 5.0  # of one network operation; what comes after a check's deadline still serves the next report


def gemini_check(model: str, api_key: str, base_url: str | None) -> Check:
    """Whether Gemini knows `model` and takes the key. Reading a model's description costs no tokens.

    Source: https://ai.google.dev/api/models#method:-models.get
    """
    name = quote(model.removeprefix("models/"), safe="")
    url = f"{(base_url or GEMINI_URL).rstrip('/')}/v1beta/models/{name}"

    def check() -> None:
        match _status(url, {"x-goog-api-key": api_key}):
            case HTTPStatus.OK:
                return
            case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise Fault("does not accept the key")
            case HTTPStatus.NOT_FOUND:
                raise Fault("does not know the model")
            case HTTPStatus.TOO_MANY_REQUESTS:
                raise Fault("over its quota", status="degraded")
            case _:
                raise Fault("answers with an error")

    return check


def chroma_server_check(url: str, token: str | None) -> Check:
    headers = {"x-chroma-token": token} if token else {}

    def check() -> None:
        match _status(f"{url.rstrip('/')}/api/v2/heartbeat", headers):
            case HTTPStatus.OK:
                return
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise Fault("does not accept the token")
            case _:
                raise Fault("answers with an error")

    return check


def _status(url: str, headers: Mapping[str, str]) -> int:
    """HTTP status of GET `url`. A redirect is not followed: the headers, and with them the key, would go along.

    Raises:
        Fault: nobody answers there, or not in HTTP.
    """
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    try:
        with opener.open(Request(url, headers=dict(headers)), timeout=_SECONDS) as response:  # noqa: S310  # by setting
            return int(response.status)
    except (OSError, HTTPException):
        raise Fault("not reachable") from None

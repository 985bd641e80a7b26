"""Call a function by the clock, with a key from a file: python call.py URL --key FILE --seconds N

Stands in the cluster as a ConfigMap and runs in the function's own image, with nothing but the standard library.
Exit codes: 0 done; 1 worth another attempt; 2 refused, or called wrongly: another attempt would end alike.
"""

import argparse
import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

_MAY_PASS = {408, 409, 429}  # too slow, one like it is running, too many


def call(url: str, key: str, seconds: float) -> tuple[int, str]:
    """Status of a POST without a body, and the type of its problem. No redirect is followed: the key stays here.

    Raises:
        OSError, http.client.HTTPException: no answer within `seconds`.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=seconds)
    try:
        connection.request("POST", parts.path, headers={"X-API-Key": key, "Content-Length": "0"})
        response = connection.getresponse()
        return response.status, _problem_type(response.read(100_000))
    finally:
        connection.close()


def _problem_type(body: bytes) -> str:
    try:
        return str(json.loads(body)["type"])
    except (ValueError, KeyError, TypeError):
        return "-"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="http://HOST:PORT/PATH")
    parser.add_argument("--key", type=Path, required=True, help="file with an API key that may events:receive")
    parser.add_argument("--seconds", type=float, required=True, help="how long an answer may take")
    given = parser.parse_args(arguments)
    if urlsplit(given.url).scheme != "http":
        parser.error("url: must begin with http://")
    try:
        key = given.key.read_text(encoding="ascii").strip()
        status, problem = call(given.url, key, given.seconds)
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{given.url}: {type(error).__name__}", file=sys.stderr)  # noqa: T201  # a command's words
        return 1
    is_done = http.HTTPStatus.OK <= status < http.HTTPStatus.MULTIPLE_CHOICES
    print(f"{given.url}: {status}" + ("" if is_done else f" {problem}"), file=sys.stdout if is_done else sys.stderr)
    if is_done:
        return 0
    return 1 if status in _MAY_PASS or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""WSGI applications as somebody on this machine reaches them: werkzeug's test client does not say where it is."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.servers import LOOPBACK

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def from_this_machine(app: "WSGIApplication") -> "WSGIApplication":
    """`app`, called from a loopback address."""

    def called(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return app({**environ, "REMOTE_ADDR": LOOPBACK}, start_response)

    return called

"""HTTP requests that stay with the host they were meant for.

urllib follows a redirect to whatever host it names, and sends the same headers there: a key or a password would go
along, and an answer would be trusted that comes from somewhere else.
"""

from urllib.request import HTTPRedirectHandler


class NoRedirects(HTTPRedirectHandler):
    """For `urllib.request.build_opener`: a redirect is an `HTTPError`, as any other answer that is none."""

    def redirect_request(self, *_: object) -> None:
        """None: it is not followed."""

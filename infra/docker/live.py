"""Whether the function in this container lives: exit code 0 or 1. HEALTHCHECK runs it often, so `socket` must do."""

import os
import socket
import sys

TIMEOUT_SECONDS = 4  # less than HEALTHCHECK's own
REQUEST = b"GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n"


def is_live(port: int) -> bool:
    """Whether /live is answered with 200 on loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(REQUEST)
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not is_live(int(os.environ.get("PORT", "8080"))))

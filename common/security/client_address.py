"""Where a request comes from: the address that limits count by and that refusals are noted with.

`X-Forwarded-For` is written by anybody. Each proxy adds the address that it was called from at the right, so the
entries that our own proxies wrote are counted from there, and whatever stands left of them is never read.
"""

import ipaddress

import flask

from common.settings import settings

UNKNOWN = "unknown"  # called through a Unix socket, or by a server that does not tell
_IPV6_HOME_BITS = 64  # what one home or host is given: limits by single addresses would be no limits

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request: flask.Request) -> str:
    """The caller's address as text, or "unknown": of the connection, or what the outermost trusted proxy saw.

    Where that entry is missing or is no address, it is the connection's: a request that came past the proxies.
    """
    connected = _parsed(request.remote_addr or "")
    proxies = _trusted_proxies()
    found = _parsed(_from_the_right(request.headers.get("X-Forwarded-For", ""), proxies)) if proxies else None
    return str(found or connected or UNKNOWN)


def limit_group(address: str) -> str:
    """What counts as one caller: an IPv4 address by itself, IPv6 addresses by their /64; any other text is itself."""
    parsed = _parsed(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return address
    return str(ipaddress.IPv6Network((parsed, _IPV6_HOME_BITS), strict=False))


def is_loopback(address: str) -> bool:
    """Whether `address` is this machine's own."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _trusted_proxies() -> int:
    chosen = settings()
    if chosen.trusted_proxies is not None:
        return chosen.trusted_proxies
    return 1 if chosen.k_service is not None else 0  # Cloud Run's front end


def _from_the_right(header: str, place: int) -> str:
    """The entry at `place`, 1 for the last; empty where there are fewer. Servers join repeated headers by commas."""
    entries = header.rsplit(",", place)  # what the caller wrote stays in one piece, however long it is
    return entries[-place].strip() if len(entries) >= place else ""


def _parsed(text: str) -> Address | None:
    """An address, IPv4 in place of IPv4 in IPv6. One with a zone (fe80::1%eth0) is none: a zone may be any text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address

"""The way in, the same for every route: who asks, whether they may, and whether their limits allow it.

A route says what it needs (`scope`, `limit`), its function's entry in `functions/functions.json` who may call it.
What authentication and limits take to import comes with the first request that needs them: health checks do not.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

import flask

from common.logging import bind_context
from common.problems import Forbidden, Unauthenticated
from common.security.callers import Callers
from common.security.principal import DEFAULT_TENANT, NOBODY, PUBLIC_SCOPE, Principal
from common.settings import settings

UNLIMITED = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What `route` ("GET /path") declares: see `common.function.Route`, and of its function's `callers`."""

    route: str
    scope: str
    limit: str
    callers: Callers


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A request that is let in. `headers` tell its limits; `close` gives back its place among those in flight."""

    principal: Principal
    headers: Mapping[str, str] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None


_PUBLIC = Admission(principal=NOBODY)


def admit(request: flask.Request, needs: Needs, *, request_id: str) -> Admission:
    """Let `request` in, or refuse it.

    Raises:
        Unauthenticated, Forbidden: noted in the audit, the like of them together.
        QuotaExceeded, Unavailable: a limit is used up, or what is asked about keys and limits is away.
    """
    if needs.scope == PUBLIC_SCOPE and needs.limit == UNLIMITED:
        return _PUBLIC
    from common.security.client_address import client_address, limit_group
    from common.security.limits import limits

    if settings().is_production:
        from common.security.settings_record import settings_recorded

        settings_recorded()
    address = client_address(request)
    group = limit_group(address)
    principal = NOBODY if needs.scope == PUBLIC_SCOPE else _principal(request, needs, address, request_id)
    # Whoever asks for what is public has no name: there the address alone counts.
    counted_as = group if principal is NOBODY else principal.id
    state = limits().check(needs.route, needs.limit, counted_as, group)
    if not principal.may(needs.scope):  # counted before: who may not is not asked as often as they like either
        _note_refusal("scope", principal, needs.route, address, request_id)
        raise Forbidden(headers=state.headers)
    closing = ExitStack()
    closing.enter_context(limits().running(counted_as))
    return Admission(principal=principal, headers=state.headers, close=closing.close)


def note_forbidden(admission: Admission, route: str, request_id: str) -> None:
    """Note in the audit that a handler refused what its principal has not the scope for, such as an agent."""
    _note_refusal("scope", admission.principal, route, "", request_id)


def _principal(request: flask.Request, needs: Needs, address: str, request_id: str) -> Principal:
    from common.security.authentication import authenticate

    try:
        principal = authenticate(request, needs.callers, address)
    except Unauthenticated:
        _note_refusal("credentials", None, needs.route, address, request_id)
        raise
    bind_context(principal=principal.id)
    return principal


def _note_refusal(
    reason: Literal["credentials", "scope"], principal: Principal | None, route: str, address: str, request_id: str
) -> None:
    from common.security.audit_refusals import note_refusal
    from common.security.client_address import limit_group

    note_refusal(
        tenant=principal.tenant if principal else DEFAULT_TENANT,
        actor=principal.id if principal else None,
        reason=reason,
        route=route,
        address_group=limit_group(address),
        request_id=request_id,
    )

"""Who asks: a principal with a tenant and scopes, and what each role may do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PUBLIC_SCOPE = "public"  # a route that asks nobody who they are
ALL_TENANTS = "costs:all"
DEFAULT_TENANT = "default"
TENANT_PATTERN = r"[a-z0-9][a-z0-9_-]{0,63}"

Role = Literal["admin", "analyst", "viewer", "service"]

_VIEWER = frozenset({"documents:read", "costs:read"})
_ANALYST = _VIEWER | {"query:ask"}
_OPERATOR = frozenset({"documents:read", "documents:write", "events:receive", "metrics:read", "health:read"})

ROLES: Mapping[Role, frozenset[str]] = {
    "admin": _ANALYST | _OPERATOR,
    "analyst": _ANALYST,
    "viewer": _VIEWER,
    "service": _OPERATOR | {"costs:read", ALL_TENANTS},  # it runs the product, for all tenants
}
"""What each role may do. A key may be given fewer scopes than its role has, never more.

`costs:all` sees what all tenants cost, and brings the cloud's budgets, which hold all of them; every other scope is for
the principal's own tenant, and admin is a tenant's.
"""

SCOPES = frozenset().union(*ROLES.values())
"""All that there are."""

_TENANT = re.compile(TENANT_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request comes from. `id` names the key or account and no person; it may stand in logs and in the ledger."""

    id: str
    tenant: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope == PUBLIC_SCOPE or scope in self.scopes


NOBODY = Principal(id="nobody", tenant=DEFAULT_TENANT, scopes=frozenset())
"""Whoever asks for what is public."""

ANONYMOUS = Principal(id="anonymous", tenant=DEFAULT_TENANT, scopes=SCOPES)
"""Whoever is at this machine in development: see `common.security.anonymous`."""


def is_tenant(name: str) -> bool:
    """Whether `name` can be a tenant's: 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit."""
    return _TENANT.fullmatch(name) is not None

"""Two tenants with a principal each, for tests of what belongs to whom."""

from common.security.principal import SCOPES, Principal

ACME = Principal(id="key-acme", tenant="acme", scopes=SCOPES)
OTHER = Principal(id="key-other", tenant="other", scopes=SCOPES)

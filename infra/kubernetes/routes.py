"""One host for all functions: a Gateway API route for each that is called from outside, with its listed paths.

The host and its certificate are the Gateway's (overlays/prod/gateway.yaml), and TLS ends there. Server-Sent Events need
nothing: no gateway holds an answer back unless it is told to. Bodies that are too large are refused by the functions.
"""

from collections.abc import Sequence

from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.pods import PORT, Object

GATEWAY = "loancheck"
LISTENER = "https"  # never the one without TLS, which is for a certificate's proof alone
_DESCRIPTION = "/openapi.json"


def routes(functions: Sequence[ListedFunction]) -> list[Object]:
    return [_route(one) for one in functions if one.is_called_from_outside]


def _route(function: ListedFunction) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": function.dns_name},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "sectionName": LISTENER}],
            "rules": [
                _rule(function, [{"path": {"type": "PathPrefix", "value": path}} for path in function.paths]),
                # As behind nginx: every function has a description at the same path, so here it is below its name.
                _rule(
                    function,
                    [{"path": {"type": "Exact", "value": f"/{function.name}{_DESCRIPTION}"}}],
                    filters=[_rewrite(_DESCRIPTION)],
                ),
            ],
        },
    }


def _rule(function: ListedFunction, matches: list[Object], **more: object) -> Object:
    return {
        "matches": matches,
        **more,
        "backendRefs": [{"name": function.dns_name, "port": PORT}],
        "timeouts": {"request": f"{function.timeout_seconds}s"},
    }


def _rewrite(path: str) -> Object:
    return {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": path}}}

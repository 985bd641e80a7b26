"""For the External Secrets Operator: one document in the team's own store becomes the Secrets that pods mount.

The document's fields are settings by their name, and three keys. A field must be there; one that is empty is as good as
not set.
"""

from collections.abc import Mapping, Sequence

from infra.kubernetes.listed import ListedFunction
from infra.kubernetes.migration import first
from infra.kubernetes.monitoring import KEY_SECRET as METRICS_KEY
from infra.kubernetes.parts import secrets_of
from infra.kubernetes.pods import KEY, SECRET_SETTINGS, Object
from infra.kubernetes.scheduled import KEY_NAME
from infra.kubernetes.scheduled import KEY_SECRET as SCHEDULER_KEY

DOCUMENT = "loancheck"  # in the store
STORE = "loancheck"  # the SecretStore, which is the team's


def external_secrets(functions: Sequence[ListedFunction]) -> list[Object]:
    settings = secrets_of({part for one in functions for part in one.uses}, is_scraped=False)
    return [
        first(_secret(SECRET_SETTINGS, {setting: setting for setting in settings})),
        first(_secret(KEY, {"key": "KEY_ENCRYPTION_KEY"}, decodingStrategy="Base64")),
        _secret(SCHEDULER_KEY, {KEY_NAME: "SCHEDULER_KEY"}),
        _secret(METRICS_KEY, {KEY_NAME: "METRICS_KEY"}),
    ]


def _secret(name: str, fields: Mapping[str, str], **more: str) -> Object:
    """The Secret `name`, with each of its keys from a field of the document."""
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name},
        "spec": {
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {"kind": "SecretStore", "name": STORE},
            # Pods go on with what they have when the store is away, or somebody empties it by mistake.
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [
                {"secretKey": key, "remoteRef": {"key": DOCUMENT, "property": field, **more}}
                for key, field in fields.items()
            ],
        },
    }

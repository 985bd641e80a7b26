"""As whom the golden questions are asked: by an API key, or by the operator's account with Google's ID token."""

import re
from collections.abc import Callable, Mapping, Sequence

from common.settings import Secret

Headers = Callable[[Sequence[str]], Mapping[str, str]]
"""The headers that let a caller in to the service with these addresses."""


class NoToken(Exception):
    """There is nothing to ask with; the message says what to do."""


def by_key(key: Secret) -> Headers:
    """Whoever has `key`."""
    return lambda _urls: {"X-API-Key": key.get_secret_value()}


def by_account(account: str) -> Headers:
    """The service account of that e-mail address, which the credentials of this machine may act as.

    That takes roles/iam.serviceAccountOpenIdTokenCreator on it, as Terraform's `operators` have it.
    """

    def headers(urls: Sequence[str]) -> Mapping[str, str]:
        import google.auth
        from google.auth import exceptions, impersonated_credentials
        from google.auth.transport.requests import Request

        try:
            own, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
            target = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]  # theirs has no types
                source_credentials=own, target_principal=account, target_scopes=[]
            )
            token = impersonated_credentials.IDTokenCredentials(  # type: ignore[no-untyped-call]
                target, target_audience=audience(urls), include_email=True
            )
            token.refresh(Request())
        except exceptions.GoogleAuthError as error:
            raise NoToken(
                f"no ID token as {account} ({type(error).__name__}): whoever deploys must be among Terraform's "
                "operators, or API_KEY be set to a key with the role analyst"
            ) from error
        return {"Authorization": f"Bearer {token.token}"}

    return headers


def audience(urls: Sequence[str]) -> str:
    """Of a service's addresses the one with the project's number, which is known before the service is made.

    Terraform names it as an audience to the functions. Source: https://cloud.google.com/run/docs/triggering/https-request
    """
    numbered = [url for url in urls if re.search(r"-\d+\.[a-z0-9-]+\.run\.app$", url)]
    return (numbered or list(urls))[0]

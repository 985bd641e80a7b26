"""The clouds' own clients, as a deploy uses them. Importing this needs requirements-deploy.txt."""

import google.auth
import grpc  # type: ignore[import-untyped]  # it ships no types
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from infra.deploy.environment import Environment, Refused
from infra.deploy.google_monitoring import GoogleMonitoring
from infra.deploy.google_run import ENDPOINT, GoogleRun, Patience


def google_run(environment: Environment, endpoint: str | None = None, patience: Patience | None = None) -> GoogleRun:
    """Cloud Run; at `endpoint`, as a local server's, without credentials.

    Raises:
        Refused: this machine has no credentials.
    """
    credentials = AnonymousCredentials() if endpoint else _credentials()  # type: ignore[no-untyped-call]  # of theirs
    return GoogleRun(environment.parent, credentials, endpoint=endpoint or ENDPOINT, patience=patience)


def google_monitoring(
    environment: Environment, target: str | None = None, patience: Patience | None = None
) -> GoogleMonitoring:
    """Cloud Monitoring; at `target` (host:port), as a local server's, without TLS and credentials.

    Raises:
        Refused: this machine has no credentials.
    """
    if target is None:
        client = monitoring_v3.MetricServiceClient(credentials=_credentials())
    else:
        transport = MetricServiceGrpcTransport(channel=grpc.insecure_channel(target))
        client = monitoring_v3.MetricServiceClient(transport=transport)
    waits = patience or Patience()
    return GoogleMonitoring(
        client,
        project=environment.project,
        region=environment.region,
        first_seconds=waits.first_seconds,
        attempts_seconds=waits.attempts_seconds,
    )


def _credentials() -> Credentials:
    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except DefaultCredentialsError:
        raise Refused(
            "no Google credentials here: gcloud auth application-default login, or a workflow's own identity"
        ) from None
    return credentials

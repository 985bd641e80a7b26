"""Every object has the shape that the cluster takes: by Kubernetes's own schemas, and for operators by those below.

The operators' schemas are in no package. Those here are written after their documentation, hold the fields that are
used and let no others through: a misspelt one is found, a rule between fields is not.
"""

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import kubernetes_validate  # type: ignore[import-untyped]  # nor has this
import pytest

from tests.unit.infra.kubernetes.rendered import APPLIED, rendered

Schema = dict[str, Any]  # Any: as JSON has it

VERSIONS = ("1.33", "1.35", "1.37")  # oldest and newest that are looked after, and one between
OWN_TO_KNATIVE = {"containerConcurrency", "timeoutSeconds"}  # beside a pod's own fields
OF_KUBERNETES = {"v1", "apps/v1", "autoscaling/v2", "batch/v1", "networking.k8s.io/v1", "policy/v1"}


def taking(_required: str = "", /, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": _required.split(),
        "additionalProperties": False,
    }


def some(items: Schema, **more: int) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, **more}


def one_of(*values: object) -> Schema:
    return {"enum": [*values]}


def text(pattern: str = r"\S") -> Schema:
    return {"type": "string", "pattern": pattern}


TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
BOOLEAN = {"type": "boolean"}
NUMBER = {"type": "integer", "minimum": 0}
DURATION = text(r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$")
NAME = text(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
KUBERNETES = {"type": "object"}  # looked at by Kubernetes's own schema below
KUBERNETES_LIST = {"type": "array"}

# https://gateway-api.sigs.k8s.io/reference/spec/
GATEWAY = taking(
    "gatewayClassName listeners",
    gatewayClassName=NAME,
    listeners=some(
        taking(
            "name protocol port",
            name=NAME,
            protocol=one_of("HTTP", "HTTPS"),
            port=NUMBER,
            hostname=NAME,
            tls=taking(
                "certificateRefs",
                mode=one_of("Terminate"),
                certificateRefs=some(taking("name", kind=one_of("Secret"), name=NAME)),
            ),
            allowedRoutes=taking(namespaces=taking("from", **{"from": one_of("Same", "All", "Selector")})),
        ),
        maxItems=64,
    ),
)
ROUTE = taking(
    "parentRefs rules",
    parentRefs=some(taking("name", name=NAME, sectionName=NAME)),
    rules=some(
        taking(
            "matches backendRefs",
            matches=some(
                taking(
                    "path",
                    path=taking("type value", type=one_of("Exact", "PathPrefix"), value=text(r"^/[a-z0-9_./-]*$")),
                )
            ),
            filters=some(
                taking(
                    "type urlRewrite",
                    type=one_of("URLRewrite"),
                    urlRewrite=taking(
                        "path", path=taking("type", type=one_of("ReplaceFullPath"), replaceFullPath=text("^/"))
                    ),
                )
            ),
            backendRefs=some(taking("name port", name=NAME, port=NUMBER)),
            timeouts=taking(request=text(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")),
        ),
        maxItems=16,
    ),
)
# https://prometheus-operator.dev/docs/api-reference/api/
MONITOR = taking(
    "selector podMetricsEndpoints",
    selector=taking("matchLabels", matchLabels=TEXTS),
    podTargetLabels=some(NAME),
    podMetricsEndpoints=some(
        taking(
            "port",
            port=NAME,
            path=text("^/"),
            interval=DURATION,
            scrapeTimeout=DURATION,
            honorLabels=BOOLEAN,
            authorization=taking(type=text(), credentials=taking("name key", name=NAME, key=text())),
            relabelings=some(taking(targetLabel=text(), replacement=text())),
        )
    ),
)
RULES = taking(
    "groups",
    groups=some(
        taking(
            "name rules",
            name=text(),
            interval=DURATION,
            rules=some(
                {
                    **taking(
                        "expr",
                        record=text(),
                        alert=text(),
                        expr={"type": ["string", "integer"]},
                        labels=TEXTS,
                        annotations=TEXTS,
                        keep_firing_for=DURATION,
                        **{"for": DURATION},
                    ),
                    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}],
                }
            ),
        )
    ),
)
# https://external-secrets.io/latest/api/spec/
SECRET = taking(
    "secretStoreRef target data",
    refreshInterval=DURATION,
    secretStoreRef=taking("name kind", name=NAME, kind=one_of("SecretStore", "ClusterSecretStore")),
    target=taking(
        "name",
        name=NAME,
        creationPolicy=one_of("Owner", "Orphan", "Merge", "None"),
        deletionPolicy=one_of("Delete", "Merge", "Retain"),
    ),
    data=some(
        taking(
            "secretKey remoteRef",
            secretKey=text(r"^[-._a-zA-Z0-9]+$"),
            remoteRef=taking(
                "key", key=text(), property=text(), decodingStrategy=one_of("Auto", "Base64", "Base64URL", "None")
            ),
        )
    ),
)
# https://knative.dev/docs/serving/reference/serving-api/; of a pod it takes no more than this.
PROBE = taking(
    "httpGet",
    httpGet=taking("path", path=text("^/")),
    periodSeconds=NUMBER,
    timeoutSeconds=NUMBER,
    failureThreshold=NUMBER,
)
CONTAINER = {
    "name": NAME,
    "image": text(),
    "imagePullPolicy": one_of("Always", "IfNotPresent"),
    "command": some(text()),
    "envFrom": KUBERNETES_LIST,
    "env": KUBERNETES_LIST,
    "volumeMounts": KUBERNETES_LIST,
    "resources": KUBERNETES,
    "securityContext": taking(
        runAsNonRoot=BOOLEAN,
        runAsUser=NUMBER,
        runAsGroup=NUMBER,
        allowPrivilegeEscalation=BOOLEAN,
        readOnlyRootFilesystem=BOOLEAN,
        capabilities=taking("drop", drop=some(text())),
        seccompProfile=taking("type", type=one_of("RuntimeDefault")),
    ),
}
KNATIVE = taking(
    "template",
    template=taking(
        "metadata spec",
        metadata=taking(labels=TEXTS, annotations=TEXTS),
        spec=taking(
            "containers",
            containerConcurrency=NUMBER,
            timeoutSeconds={"type": "integer", "minimum": 1, "maximum": 600},  # max-revision-timeout-seconds
            serviceAccountName=NAME,
            automountServiceAccountToken=one_of(False),
            enableServiceLinks=BOOLEAN,
            containers=some(
                taking(
                    "name image ports",
                    **CONTAINER,
                    ports=some(taking("containerPort", name=one_of("http1", "h2c"), containerPort=NUMBER), maxItems=1),
                    readinessProbe=PROBE,
                    livenessProbe=PROBE,
                )
            ),
            initContainers=some(taking("name image", **CONTAINER)),
            volumes=some(KUBERNETES),
        ),
    ),
)
OF_OPERATORS: dict[tuple[str, str], Schema] = {
    ("gateway.networking.k8s.io/v1", "Gateway"): GATEWAY,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): ROUTE,
    ("monitoring.coreos.com/v1", "PodMonitor"): MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): RULES,
    ("external-secrets.io/v1", "ExternalSecret"): SECRET,
    ("serving.knative.dev/v1", "Service"): KNATIVE,
}


def objects() -> dict[str, dict[str, Any]]:
    """All that are applied, each once: what overlays share is the same but for the settings' hash."""
    found = [one for applied in APPLIED for one in rendered(applied)]
    return {re.sub("settings-[a-z0-9]{10}", "settings", json.dumps(one, sort_keys=True)): one for one in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_and_every_field(version: str) -> None:
    seen = set()
    for one in objects().values():
        if one["apiVersion"] in OF_KUBERNETES:
            kubernetes_validate.validate(one, version, strict=True)
            seen.add(one["apiVersion"])
    assert seen == OF_KUBERNETES


@pytest.mark.parametrize(("version", "kind"), OF_OPERATORS)
def test_operators_take_their_objects(version: str, kind: str) -> None:
    found = [one for one in objects().values() if (one["apiVersion"], one["kind"]) == (version, kind)]
    assert found
    for one in found:
        jsonschema.validate(one["spec"], OF_OPERATORS[version, kind])


def test_there_is_a_schema_for_everything() -> None:
    others = {(one["apiVersion"], one["kind"]) for one in objects().values() if one["apiVersion"] not in OF_KUBERNETES}
    assert others == OF_OPERATORS.keys()


@pytest.mark.parametrize("version", VERSIONS[-1:])
def test_the_pod_of_a_knative_function_is_one_of_kubernetes(version: str) -> None:
    for one in objects().values():
        if one["apiVersion"] == "serving.knative.dev/v1":
            spec = {key: value for key, value in one["spec"]["template"]["spec"].items() if key not in OWN_TO_KNATIVE}
            for name in ("readinessProbe", "livenessProbe"):  # Knative puts its container's port there
                probe = spec["containers"][0][name]
                spec["containers"] = [
                    spec["containers"][0] | {name: probe | {"httpGet": probe["httpGet"] | {"port": 8080}}}
                ]
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
            kubernetes_validate.validate(pod, version, strict=True)


def test_a_misspelt_field_is_found() -> None:
    route = next(one for one in rendered("overlays/prod") if one["kind"] == "HTTPRoute")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(route["spec"] | {"parentRef": []}, ROUTE)
    deployment = next(one for one in rendered("overlays/prod") if one["kind"] == "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            deployment | {"spec": deployment["spec"] | {"replica": 2}}, VERSIONS[-1], strict=True
        )

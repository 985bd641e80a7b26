"""Who may talk to whom: nobody, and then what each pod's labels say it needs. Policies add up."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.kubernetes.migration import first
from infra.kubernetes.parts import WAYS, Way
from infra.kubernetes.pods import PORT, Object, labels
from infra.kubernetes.scheduled import NAME as SCHEDULED_CALL
from infra.kubernetes.workloads import FUNCTION

_COMPONENT = "app.kubernetes.io/component"
_FUNCTIONS = {_COMPONENT: FUNCTION}
_SCHEDULED_CALLS = {_COMPONENT: SCHEDULED_CALL}
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_PRIVATE_6 = ("fc00::/7",)
_LINK_LOCAL = ("169.254.0.0/16",)  # the cloud's metadata, and with it a machine's own credentials
# Where a cluster caches names on each machine, outside of pods:
# https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
_NODE_LOCAL_DNS = "169.254.20.10/32"
_TELEMETRY_PORTS = (4317, 4318, 9091)  # OTLP, and the Pushgateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The namespaces that bring people's requests, to which ports and to which pods; and where calls by the clock go:
    to the pods themselves, or to `entrance`, a namespace, at `entrance_ports`."""

    namespaces: tuple[str, ...]
    ports: tuple[int, ...]
    selected: tuple[tuple[str, str], ...]
    entrance: str | None = None
    entrance_ports: tuple[int, ...] = ()


GATEWAY = Callers(namespaces=("envoy-gateway-system",), ports=(PORT,), selected=(("from-gateway", "true"),))


def policies(callers: Callers = GATEWAY) -> list[Object]:
    monitoring = [_namespace("monitoring")]
    gateway = list(map(_namespace, callers.namespaces))
    dns = [_namespace("kube-system"), _block(_NODE_LOCAL_DNS)]
    return [
        _policy("default-deny", {}, ingress=[], egress=[]),
        _policy("to-dns", {}, egress=[_rule("to", dns, (53,), protocols=("UDP", "TCP"))]),
        _policy("from-gateway", dict(callers.selected), ingress=[_rule("from", gateway, callers.ports)]),
        _policy("from-prometheus", _FUNCTIONS, ingress=[_rule("from", monitoring, (PORT,))]),
        _policy("to-telemetry", _FUNCTIONS, egress=[_rule("to", monitoring, _TELEMETRY_PORTS)]),
        *_calls_by_the_clock(callers),
        *(_policy(f"to-{part}", {f"uses-{part}": "true"}, egress=[_egress(way)]) for part, way in WAYS.items()),
    ]


def _calls_by_the_clock(callers: Callers) -> list[Object]:
    if callers.entrance is not None:
        to = _rule("to", [_namespace(callers.entrance)], callers.entrance_ports)
        return [_policy("scheduled-calls", _SCHEDULED_CALLS, egress=[to])]
    scheduled = {"from-scheduler": "true"}
    return [
        _policy("scheduled-calls", _SCHEDULED_CALLS, egress=[_rule("to", [_pods(scheduled)], (PORT,))]),
        _policy("from-scheduled-calls", scheduled, ingress=[_rule("from", [_pods(_SCHEDULED_CALLS)], (PORT,))]),
    ]


def _egress(way: Way) -> Object:
    """To a server of one's own: in this namespace, or at a private address. To the internet: anywhere else."""
    if way.store is None:
        peers = [_block("0.0.0.0/0", (*_PRIVATE, *_LINK_LOCAL)), _block("::/0", _PRIVATE_6)]
    else:
        peers = [_pods(labels(way.store, "store")), *(_block(cidr) for cidr in (*_PRIVATE, *_PRIVATE_6))]
    return _rule("to", peers, way.ports)


def _policy(name: str, selected: dict[str, str], **rules: list[Object]) -> Object:
    """`rules` are of ingress or egress; none of a kind forbids all of it."""
    return first(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name},
            "spec": {
                "podSelector": {"matchLabels": selected} if selected else {},
                "policyTypes": [kind.capitalize() for kind in rules],
                **{kind: found for kind, found in rules.items() if found},
            },
        }
    )


def _rule(direction: str, peers: Sequence[Object], ports: Sequence[int], protocols: Sequence[str] = ("TCP",)) -> Object:
    pairs = [{"protocol": protocol, "port": port} for port in ports for protocol in protocols]
    return {direction: list(peers), "ports": pairs}


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _pods(selected: dict[str, str]) -> Object:
    return {"podSelector": {"matchLabels": selected}}


def _block(cidr: str, excepted: Sequence[str] = ()) -> Object:
    return {"ipBlock": {"cidr": cidr, **({"except": list(excepted)} if excepted else {})}}

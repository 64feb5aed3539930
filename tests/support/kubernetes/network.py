"""Which pod may reach which, by the NetworkPolicies of an overlay.

A connection is allowed if the policies of the source allow it as egress, and those of the destination as
ingress (https://kubernetes.io/docs/concepts/services-networking/network-policies/).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.kubernetes.rendered import Rendered
from tests.support.kubernetes.workload import Manifest


@dataclass(frozen=True)
class Peer:
    """A pod of the shop's namespace, or, with `namespace`, any pod of another one."""

    name: str
    labels: Mapping[str, str]
    namespace: str = ""


@dataclass(frozen=True)
class Connection:
    source: str
    destination: str
    port: int

    def __str__(self) -> str:
        return f"{self.source} to {self.destination}:{self.port}"


def allowed(found: Rendered, peers: list[Peer], ports: list[int]) -> set[Connection]:
    """All connections between different peers that the policies allow, at these ports."""
    return {
        Connection(source.name, destination.name, port)
        for source in peers
        for destination in peers
        for port in ports
        if source != destination
        and not (source.namespace and destination.namespace)
        and _allows(found, "Egress", source, destination, port)
        and _allows(found, "Ingress", destination, source, port)
    }


def _allows(found: Rendered, direction: str, pod: Peer, other: Peer, port: int) -> bool:
    """Other namespaces are not ours to restrict. A pod that no policy selects is not restricted either."""
    if pod.namespace:
        return True
    policies = [
        each["spec"]
        for each in found.of("NetworkPolicy").values()
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], pod.labels)
    ]
    return not policies or any(_permits(spec, direction, other, port) for spec in policies)


def _permits(spec: Manifest, direction: str, other: Peer, port: int) -> bool:
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        ("ports" not in rule or port in {each["port"] for each in rule["ports"]})
        and (peers not in rule or any(_is_peer(each, other) for each in rule[peers]))
        for rule in spec.get(key, ())
    )


def _is_peer(described: Manifest, other: Peer) -> bool:
    if "ipBlock" in described:  # addresses outside of the cluster
        return False
    namespace = {"kubernetes.io/metadata.name": other.namespace}
    if "namespaceSelector" in described:
        inside = bool(other.namespace) and selects(described["namespaceSelector"], namespace)
    else:
        inside = not other.namespace
    return inside and selects(described.get("podSelector", {}), other.labels)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects an object with these labels. An empty selector selects everything."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_meets(each, labels) for each in selector.get("matchExpressions", ()))


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "Exists":
            return value is not None
        case "In":
            return value in expression["values"]
        case other:
            raise ValueError(f"{other}: the rules do not know this operator of a label selector")


def pods(found: Rendered) -> Iterator[Peer]:
    """A pod of each Deployment and Job, and one of broker and database with their operators' labels."""
    for owner, template in found.pod_templates():
        yield Peer(owner.partition(" ")[2], template["metadata"]["labels"])
    for name in found.of("RabbitmqCluster"):
        keys = ("component", "part-of")
        labels = {f"app.kubernetes.io/{key}": "rabbitmq" for key in keys}
        yield Peer("rabbitmq", labels | {"app.kubernetes.io/name": name})
    for name in found.of("MongoDBCommunity"):
        yield Peer("mongo", {"app": f"{name}-svc"})

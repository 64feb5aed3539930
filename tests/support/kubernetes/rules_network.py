"""The NetworkPolicies allow what the programs need, and nothing else."""

from collections.abc import Iterator

from tests.support.kubernetes import names
from tests.support.kubernetes.network import Connection, Peer, allowed, pods
from tests.support.kubernetes.programs import dns_name, programs
from tests.support.kubernetes.rendered import Rendered

DNS_PORT = 53
MAIL_PORT = 1025
SPANS_PORT = 4318
_OUTSIDE = {
    "ingress controller": ("traefik", {}),
    "Prometheus": ("monitoring", {}),
    "KEDA": ("keda", {}),
    "collector": ("observability", {}),
    "DNS": ("kube-system", {"k8s-app": "kube-dns"}),
    "a stranger": ("default", {}),
}
_PORTS = [
    names.HTTP_PORT,
    names.PUBLIC_PORT,
    names.AMQPS_PORT,
    names.MANAGEMENT_PORT,
    names.BROKER_METRICS_PORT,
    names.MONGODB_PORT,
    DNS_PORT,
    MAIL_PORT,
    8025,  # the mailbox
    15692,  # the broker's metrics without TLS
    15672,
    5672,
]


def policies_allow_exactly_what_is_needed(found: Rendered) -> Iterator[str]:
    outside = [Peer(name, labels, namespace) for name, (namespace, labels) in _OUTSIDE.items()]
    peers = [*pods(found), *outside]
    actual = allowed(found, peers, [*_PORTS, SPANS_PORT])
    wanted = set(needed(found))
    for each in sorted(wanted - actual, key=str):
        yield f"no policy allows {each}"
    for each in sorted(actual - wanted, key=str):
        yield f"a policy allows {each}, which nothing needs"


def needed(found: Rendered) -> Iterator[Connection]:
    for pod in pods(found):
        yield Connection(pod.name, "DNS", DNS_PORT)
    for stores in ("database", *(program.dns for program in programs() if program.definition is not None)):
        yield Connection(stores, "mongo", names.MONGODB_PORT)
    for program in programs():
        yield Connection(program.dns, "rabbitmq", names.AMQPS_PORT)
        yield Connection("Prometheus", program.dns, names.HTTP_PORT)
        for called in program.calls:
            yield Connection(program.dns, dns_name(called), names.HTTP_PORT)
        if "OTEL_EXPORTER_OTLP_ENDPOINT" in found.settings():
            yield Connection(program.dns, "collector", SPANS_PORT)
    yield Connection("ingress controller", "gateway", names.PUBLIC_PORT)
    yield Connection("KEDA", "rabbitmq", names.AMQPS_PORT)
    yield Connection("Prometheus", "rabbitmq", names.BROKER_METRICS_PORT)
    for administrator in ("operations", "topology"):
        yield Connection(administrator, "rabbitmq", names.MANAGEMENT_PORT)
    yield Connection("topology", "rabbitmq", names.AMQPS_PORT)
    if "mail" in found.of("Deployment"):
        yield Connection("notification-svc", "mail", MAIL_PORT)


def nothing_escapes_the_default(found: Rendered) -> Iterator[str]:
    """A policy selects every pod and allows nothing."""
    denying = [
        spec
        for each in found.of("NetworkPolicy").values()
        if (spec := each["spec"])["podSelector"] == {}
        and set(spec["policyTypes"]) == {"Ingress", "Egress"}
        and not {"ingress", "egress"} & spec.keys()
    ]
    if not denying:
        yield "no NetworkPolicy denies by default what the others do not allow"

"""Each program of the registry has all its objects. They fit its definition, settings and compose.yaml."""

import re
import secrets
from collections.abc import Iterator, Mapping
from tempfile import NamedTemporaryFile

from pydantic import ValidationError

from chassis.messaging.partitions import parse_partitions
from chassis.settings import Settings
from journey.admin.registry import shop_topology
from tests.support.kubernetes import names
from tests.support.kubernetes.programs import Program, callers, compose, may_sleep, programs
from tests.support.kubernetes.rendered import Rendered, container_of, environment
from tests.support.kubernetes.workload import Manifest

_FOR_ALL = (
    "Deployment",
    "Service",
    "ServiceAccount",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ServiceMonitor",
)
_OF_LOCAL = {"mail"}
_REMEDY = "run `make documents` after a change of PARTITIONS in components/partitions/settings.env"


def each_program_has_all_objects(found: Rendered) -> Iterator[str]:
    for program in programs():
        kinds = (*_FOR_ALL, "ScaledObject") if program.queues else _FOR_ALL
        for kind in kinds:
            if program.dns not in found.of(kind):
                yield f"{program.name} has no {kind} {program.dns}; run `make documents`"
        if program.queues and names.broker_secret(program.dns) not in found.of("TriggerAuthentication"):
            yield f"{program.name} has no TriggerAuthentication; run `make documents`"
    known = {program.dns for program in programs()} | (_OF_LOCAL if found.overlay == "local" else set())
    for extra in found.of("Deployment").keys() - known:
        yield f"Deployment {extra} belongs to no program of the registry"


def objects_select_the_pods_of_their_program(found: Rendered) -> Iterator[str]:
    for program in programs():
        labels = found.of("Deployment")[program.dns]["spec"]["template"]["metadata"]["labels"]
        if labels.get(names.COMPONENT_LABEL) != program.name:
            yield f"{program.dns}: its pods must have the label {names.COMPONENT_LABEL}: {program.name}"
        selectors = {
            "Service": found.of("Service")[program.dns]["spec"]["selector"],
            "Deployment": _exact(found.of("Deployment")[program.dns]["spec"]["selector"]),
            "PodDisruptionBudget": _exact(found.of("PodDisruptionBudget")[program.dns]["spec"]["selector"]),
            "NetworkPolicy": _exact(found.of("NetworkPolicy")[program.dns]["spec"]["podSelector"]),
        }
        for kind, selector in selectors.items():
            if selector != {names.NAME_LABEL: program.dns}:
                yield f"{kind} {program.dns} does not select its own pods, and only those"


def names_images_ports_and_memory_agree_with_compose(found: Rendered) -> Iterator[str]:
    for program in programs():
        container = container_of(found.of("Deployment")[program.dns]["spec"]["template"])
        repository = container["image"].rpartition(":")[0]
        if not f"/{repository}".endswith(f"/{program.image.rpartition('/')[2]}"):
            yield f"{program.dns}: the image {container['image']} is not compose.yaml's {program.image}"
        if container["resources"]["limits"].get("memory") != program.memory:
            yield f"{program.dns}: the memory limit is not compose.yaml's {program.memory}"
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        if ports != _ports_of(program):
            yield f"{program.dns}: its ports are {ports}, those of compose.yaml {_ports_of(program)}"
        offered = {each["name"]: each["port"] for each in found.of("Service")[program.dns]["spec"]["ports"]}
        if offered != ports:
            yield f"{program.dns}: the Service has the ports {offered}, its pods {ports}"
    ours = {name for name, each in compose().items() if each["image"].startswith("order-journey/")}
    if missing := ours - {program.name for program in programs()} - {"operator"}:
        yield f"compose.yaml has programs that the registry lacks: {', '.join(sorted(missing))}"


def settings_accept_the_environment(found: Rendered) -> Iterator[str]:
    """Each variable is a setting, and no setting without a default is missing."""
    shared = found.settings()
    known = {field.upper() for program in programs() for field in program.settings.model_fields}
    for name in sorted(shared.keys() - known):
        if not name.startswith("OTEL_"):
            yield f"ConfigMap {names.SETTINGS_CONFIG_MAP}: no program has the setting {name}"
    for program in programs():
        container = container_of(found.of("Deployment")[program.dns]["spec"]["template"])
        own = environment(container)
        for name in sorted(own.keys() - _variables(program.settings)):
            yield f"{program.dns}: it has no setting {name}"
        given = own | shared
        for name, problem in _refused(program.settings, given):
            yield f"{program.dns}: the setting {name} is refused: {problem}"
        if shadowed := own.keys() & shared.keys():
            yield f"{program.dns}: sets {', '.join(sorted(shadowed))} in two places"


def each_partition_has_a_trigger(found: Rendered) -> Iterator[str]:
    """By the same setting as the topology and the pods."""
    text = found.settings().get("PARTITIONS", "")
    existing = {queue.name for queue in shop_topology(partitions=text).queues}
    numbers = parse_partitions(text)
    for program in programs():
        if not program.queues:
            continue
        spec = found.of("ScaledObject")[program.dns]["spec"]
        triggers = [each for each in spec["triggers"] if each["type"] == "rabbitmq"]
        queues = {each["metadata"]["queueName"]: each for each in triggers}
        wanted = program.partitions(numbers.get(program.name, 1))
        for queue in wanted.keys() - queues.keys():
            yield f"ScaledObject {program.dns}: it has no trigger for {queue}; {_REMEDY}"
        for queue in (queues.keys() - wanted.keys()) | (queues.keys() - existing):
            yield f"ScaledObject {program.dns}: there is no queue {queue} of this service; {_REMEDY}"
        if len(triggers) != len({each["name"] for each in triggers}) or len(triggers) != len(queues):
            yield f"ScaledObject {program.dns}: two triggers have one name or one queue"
        yield from _thresholds(program, wanted, queues)


def scaling_keeps_enough_instances(found: Rendered) -> Iterator[str]:
    for program in programs():
        if not program.queues:
            continue
        spec = found.of("ScaledObject")[program.dns]["spec"]
        if spec["scaleTargetRef"]["name"] != program.dns:
            yield f"ScaledObject {program.dns} scales another Deployment"
        if "replicas" in found.of("Deployment")[program.dns]["spec"]:
            yield f"Deployment {program.dns}: KEDA sets the number of replicas; remove it"
        lowest, highest = spec["minReplicaCount"], spec["maxReplicaCount"]
        if not 0 <= lowest <= highest:
            yield f"ScaledObject {program.dns}: {lowest} to {highest} replicas"
        if lowest == 0 and not may_sleep(program):
            yield f"ScaledObject {program.dns}: it must always run, for its deadlines or its callers"
        if found.overlay != "local" and lowest < 2:
            yield f"ScaledObject {program.dns}: at least two replicas, so that one can stop"
        if set(callers(program.name)) - {"operations"} and "cpu" not in {e["type"] for e in spec["triggers"]}:
            yield f"ScaledObject {program.dns}: it answers requests, but does not scale by CPU"


def _thresholds(program: Program, wanted: Mapping[str, int], queues: Mapping[str, Manifest]) -> Iterator[str]:
    for queue, trigger in queues.items():
        metadata = trigger["metadata"]
        if int(metadata["value"]) != wanted.get(queue) or metadata["mode"] != "QueueLength":
            yield f"ScaledObject {program.dns}: {queue} must count messages per prefetch of an instance"
        if "activationValue" not in metadata:
            yield f"ScaledObject {program.dns}: {queue} has no activationValue"
        if trigger.get("authenticationRef") != {"name": names.broker_secret(program.dns)}:
            yield f"ScaledObject {program.dns}: {queue} is not read as the service's own user"


def _ports_of(program: Program) -> dict[str, int]:
    """From what compose publishes: `any_port` and `"127.0.0.1:8080:8000"` end with the container's port."""
    published = [int(re.sub(r".*:", "", str(port))) for port in compose()[program.name].get("ports", ())]
    public = [("public", port) for port in published if port != names.HTTP_PORT]
    return {"http": names.HTTP_PORT, **dict(public)}


def _refused(settings: type[Settings], given: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The settings that the program refuses, and why. Each file that a variable names holds a token."""
    with NamedTemporaryFile("w") as file:
        file.write(secrets.token_urlsafe(24))
        file.flush()
        values = {name.lower(): file.name if name.endswith("_FILE") else text for name, text in given.items()}
        try:
            settings.model_validate(values)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False):
                yield str(problem["loc"][0]).upper(), problem["msg"]


def _variables(settings: type[Settings]) -> set[str]:
    return {name.upper() for name in settings.model_fields}


def _exact(selector: Manifest) -> Manifest:
    found: Manifest = {} if "matchExpressions" in selector else selector.get("matchLabels", {})
    return found

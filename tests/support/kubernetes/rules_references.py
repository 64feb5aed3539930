"""Every reference of one object to another resolves: names, keys, ports, accounts."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.support.kubernetes import external
from tests.support.kubernetes.programs import programs
from tests.support.kubernetes.rendered import Rendered, environment
from tests.support.kubernetes.workload import Manifest


class Reference(NamedTuple):
    """`keys`: those that the owner reads; empty for all."""

    owner: str
    kind: str
    name: str
    keys: tuple[str, ...] = ()


def configuration_and_secrets_exist(found: Rendered) -> Iterator[str]:
    """In the overlay, or among the objects that docs/kubernetes.md lists as created before. All are used."""
    known = {("Secret", name): keys for name, keys in external.secrets(found.overlay).items()}
    known |= {("ConfigMap", name): keys for name, keys in external.config_maps().items()}
    known |= {("ConfigMap", name): tuple(each["data"]) for name, each in found.of("ConfigMap").items()}
    used = set()
    for reference in references(found):
        used.add((reference.kind, reference.name))
        keys = known.get((reference.kind, reference.name))
        if keys is None:
            yield f"{reference.owner}: {reference.kind} {reference.name} does not exist"
        elif missing := set(reference.keys) - set(keys):
            lacks = ", ".join(sorted(missing))
            yield f"{reference.owner}: {reference.kind} {reference.name} has no key {lacks}"
    for kind, name in sorted(known.keys() - used):
        yield f"{kind} {name} is used nowhere"


def named_ports_and_accounts_exist(found: Rendered) -> Iterator[str]:
    for owner, template in found.pod_templates():
        if template["spec"].get("serviceAccountName") not in found.of("ServiceAccount"):
            yield f"{owner}: its ServiceAccount does not exist"
    for name, service in found.of("Service").items():
        template = found.of("Deployment")[name]["spec"]["template"]
        ports = {each["name"] for container in template["spec"]["containers"] for each in container["ports"]}
        for each in service["spec"]["ports"]:
            if each["targetPort"] not in ports:
                yield f"Service {name}: its pods have no port {each['targetPort']}"
    for name, ingress in found.of("Ingress").items():
        for backend in _backends(ingress):
            target = found.of("Service").get(backend["name"], {"spec": {"ports": ()}})
            if backend["port"]["name"] not in {each["name"] for each in target["spec"]["ports"]}:
                yield f"Ingress {name}: no Service {backend['name']} with the port {backend['port']['name']}"


def mounts_and_volumes_fit(found: Rendered) -> Iterator[str]:
    """Each volume is mounted, each mount has its volume, and each file that a variable names is mounted."""
    for owner, template, container in found.containers():
        volumes = {each["name"]: each for each in template["spec"].get("volumes", ())}
        mounts = {each["name"]: each["mountPath"] for each in container.get("volumeMounts", ())}
        if volumes.keys() != mounts.keys():
            yield f"{owner}: volumes {sorted(volumes)}, mounts {sorted(mounts)}"
            continue
        files = {f"{mounts[name]}/{file}" for name, volume in volumes.items() for file in _files(volume)}
        for name, file in (environment(container) | _shared(found, owner)).items():
            if name.endswith("_FILE") and file not in files:
                yield f"{owner}: {name} names {file}, which is not mounted"


def _shared(found: Rendered, owner: str) -> dict[str, str]:
    """The settings of the ConfigMap that the program knows."""
    known = {field.upper() for each in programs() if owner.endswith(f" {each.dns}") for field in each.fields}
    return {name: value for name, value in found.settings().items() if name in known}


def images_are_pinned(found: Rendered) -> Iterator[str]:
    for owner, _, container in found.containers():
        _, _, tag = container["image"].rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            yield f"{owner}: the image {container['image']} has no version"
    for name, cluster in found.of("RabbitmqCluster").items():
        if ":" not in cluster["spec"]["image"]:
            yield f"RabbitmqCluster {name}: the image has no version"


def references(found: Rendered) -> Iterator[Reference]:
    for owner, template, container in found.containers():
        yield from _of_pod(owner, template, container)
    for name, each in found.of("TriggerAuthentication").items():
        for kind, key in (("Secret", "secretTargetRef"), ("ConfigMap", "configMapTargetRef")):
            for target in each["spec"].get(key, ()):
                yield Reference(f"TriggerAuthentication {name}", kind, target["name"], (target["key"],))
    for name, each in found.of("ServiceMonitor").items():
        for endpoint in each["spec"]["endpoints"]:
            ca = endpoint["tlsConfig"]["ca"]["configMap"]
            yield Reference(f"ServiceMonitor {name}", "ConfigMap", ca["name"], (ca["key"],))
    for name, each in found.of("Ingress").items():
        for tls in each["spec"]["tls"]:
            yield Reference(f"Ingress {name}", "Secret", tls["secretName"], external.TLS)
    yield from _of_infrastructure(found)


def _of_infrastructure(found: Rendered) -> Iterator[Reference]:
    for name, each in found.of("RabbitmqCluster").items():
        owner, spec = f"RabbitmqCluster {name}", each["spec"]
        yield Reference(owner, "Secret", spec["tls"]["secretName"], external.TLS)
        admin = spec["secretBackend"]["externalSecret"]["name"]
        yield Reference(owner, "Secret", admin, external.BROKER_ADMIN)
    for name, each in found.of("MongoDBCommunity").items():
        owner, tls = f"MongoDBCommunity {name}", each["spec"]["security"]["tls"]
        yield Reference(owner, "Secret", tls["certificateKeySecretRef"]["name"], external.TLS)
        yield Reference(owner, "ConfigMap", tls["caConfigMapRef"]["name"], ("ca.crt",))
        for user in each["spec"]["users"]:
            password = user["passwordSecretRef"]
            yield Reference(owner, "Secret", password["name"], (password["key"],))


def _of_pod(owner: str, template: Manifest, container: Manifest) -> Iterator[Reference]:
    for source in container.get("envFrom", ()):
        yield Reference(owner, "ConfigMap", source["configMapRef"]["name"])
    for variable in container.get("env", ()):
        if source := variable.get("valueFrom", {}).get("configMapKeyRef"):
            yield Reference(owner, "ConfigMap", source["name"], (source["key"],))
    for volume in template["spec"].get("volumes", ()):
        for source in volume.get("projected", {"sources": [volume]})["sources"]:
            if secret := source.get("secret"):
                name = secret.get("secretName") or secret["name"]
                yield Reference(owner, "Secret", name, _keys(secret))
            if config_map := source.get("configMap"):
                yield Reference(owner, "ConfigMap", config_map["name"], _keys(config_map))


def _keys(source: Manifest) -> tuple[str, ...]:
    return tuple(item["key"] for item in source.get("items", ()))


def _files(volume: Manifest) -> Iterator[str]:
    """The files that a volume holds, as far as the manifest or the list of Secrets names them."""
    for source in volume.get("projected", {"sources": [volume]})["sources"]:
        described = source.get("secret") or source.get("configMap") or {}
        yield from (item["path"] for item in described.get("items", ()))
        if "items" not in described:
            name = described.get("secretName") or described.get("name", "")
            yield from external.config_maps().get(name, ())
            for overlay in ("local", "production"):
                yield from external.secrets(overlay).get(name, ())


def _backends(ingress: Manifest) -> Iterator[Manifest]:
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            yield path["backend"]["service"]

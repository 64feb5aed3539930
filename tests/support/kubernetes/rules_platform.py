"""Broker, database, ingress and monitoring: the same limits, users and labels as elsewhere."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from urllib.parse import urlsplit

from chassis.connection_urls import uses_tls
from chassis.messaging.envelope import OPERATOR
from journey.admin.registry import SERVICES, WEB_PROGRAMS, shop_database_users, shop_topology
from tests.support.alert_rules import OBSERVABILITY, parsed
from tests.support.image_requirements import OPERATOR as OPERATOR_MODULES
from tests.support.kubernetes import names
from tests.support.kubernetes.files import prometheus_rules
from tests.support.kubernetes.jobs import DATABASE_ADMIN
from tests.support.kubernetes.programs import compose, dns_name, programs
from tests.support.kubernetes.rendered import Rendered, container_of, environment

_BROKER_ARGUMENTS = ("collect_statistics_interval", "quorum_tick_interval", "max_message_size")


def broker_has_the_limits_of_compose(found: Rendered) -> Iterator[str]:
    arguments = compose()["rabbitmq"]["environment"]["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    for name, cluster in found.of("RabbitmqCluster").items():
        spec = cluster["spec"]
        configured = spec["rabbitmq"]["additionalConfig"] + spec["rabbitmq"]["advancedConfig"]
        for argument in _BROKER_ARGUMENTS:
            wanted = re.search(rf"{argument} (\d+)", arguments)
            actual = re.search(rf"{argument}(?: = |, )(\d+)", configured)
            if wanted is None or actual is None or wanted[1] != actual[1]:
                yield f"RabbitmqCluster {name}: {argument} differs from compose.yaml"
        if not spec["tls"]["disableNonTLSListeners"]:
            yield f"RabbitmqCluster {name}: it accepts connections without TLS"
        if spec["replicas"] % 2 == 0:
            yield f"RabbitmqCluster {name}: an even number of nodes has no better majority"
    if compose()["operator"]["environment"]["VHOST"] != names.VHOST:
        yield f"compose.yaml uses another virtual host than {names.VHOST}"


def broker_has_room_above_its_disk_limit(found: Rendered) -> Iterator[str]:
    """Below the limit the broker blocks all publishers."""
    for name, cluster in found.of("RabbitmqCluster").items():
        spec = cluster["spec"]
        limit = re.search(r"disk_free_limit.absolute = (\d+)GB", spec["rabbitmq"]["additionalConfig"])
        storage = re.fullmatch(r"(\d+)Gi", spec["persistence"]["storage"])
        if limit is None or storage is None or int(storage[1]) < 2 * int(limit[1]):
            yield f"RabbitmqCluster {name}: its storage must be at least twice its disk_free_limit, in GB"


def database_has_the_limits_and_users(found: Rendered) -> Iterator[str]:
    command = " ".join(compose()["mongo"]["command"])
    for name, cluster in found.of("MongoDBCommunity").items():
        spec = cluster["spec"]
        parameters = spec["additionalMongodConfig"]["setParameter"]
        for parameter, value in parameters.items():
            if f"--setParameter={parameter}={value}" not in command:
                yield f"MongoDBCommunity {name}: {parameter} differs from compose.yaml"
        if len(parameters) != command.count("--setParameter="):
            yield f"MongoDBCommunity {name}: a parameter of compose.yaml is missing"
        if spec["security"]["tls"].get("optional") or not spec["security"]["tls"]["enabled"]:
            yield f"MongoDBCommunity {name}: it accepts connections without TLS"
        wanted = {user.name: set(user.roles) for user in shop_database_users()}
        actual = {
            user["name"]: {(role["name"], role["db"]) for role in user["roles"]} for user in spec["users"]
        }
        if actual.pop(DATABASE_ADMIN, None) != {("userAdminAnyDatabase", "admin")}:
            yield f"MongoDBCommunity {name}: no user {DATABASE_ADMIN} that may only administer users"
        if actual != wanted:
            yield f"MongoDBCommunity {name}: users or roles are outdated; run `make documents`"
        secrets = [user["passwordSecretRef"]["name"] for user in spec["users"]]
        if len(set(secrets)) != len(secrets):
            yield f"MongoDBCommunity {name}: two users have one password"


def programs_use_their_own_users(found: Rendered) -> Iterator[str]:
    """At broker and database."""
    for program in programs():
        variables = environment(container_of(found.of("Deployment")[program.dns]["spec"]["template"]))
        user = program.name if program.definition is not None else OPERATOR
        for name in ("AMQP_URL", "MONGO_URL"):
            if name in variables and urlsplit(variables[name]).username != user:
                yield f"{program.dns}: {name} must name the user {user}"


def every_program_requires_tls(found: Rendered) -> Iterator[str]:
    """With TLS_REQUIRED a program of the registry refuses an address without TLS. The Jobs have no such
    setting, so their addresses themselves are checked.
    """
    for name in (*SERVICES, *WEB_PROGRAMS):
        deployment = found.of("Deployment").get(dns_name(name))
        variables = environment(container_of(deployment["spec"]["template"])) if deployment else {}
        if variables.get("TLS_REQUIRED") != "1":
            yield f"{dns_name(name)}: TLS_REQUIRED must be 1"
    for name, job in found.of("Job").items():
        for variable, value in environment(container_of(job["spec"]["template"])).items():
            if variable.endswith("_URL") and not uses_tls(str(value)):
                yield f"Job {name}: {variable} is without TLS"


def jobs_run_what_their_image_holds(found: Rendered) -> Iterator[str]:
    for name, job in found.of("Job").items():
        container = container_of(job["spec"]["template"])
        module = f"{container['command'][2]}.__main__"
        held = any(fnmatch(module, pattern) for pattern in OPERATOR_MODULES)
        if not held or "/operator:" not in container["image"]:
            yield f"Job {name}: no image holds {module}; add it to the operator's in the Dockerfile"


def topology_waits_for_all_nodes(found: Rendered) -> Iterator[str]:
    """Streams keep the replicas that they get when they are declared."""
    job = container_of(found.of("Job")["topology"]["spec"]["template"])
    for name, cluster in found.of("RabbitmqCluster").items():
        if environment(job).get("BROKER_NODES") != str(cluster["spec"]["replicas"]):
            yield f"Job topology: BROKER_NODES must be the number of nodes of {name}"


def topology_job_knows_every_user(found: Rendered) -> Iterator[str]:
    """Otherwise the Job would give a user a password that no program knows."""
    wanted = {
        "topology": set(shop_topology().program_users),
        "database": {f"mongo_{user.name}" for user in shop_database_users()},
    }
    for job, files in wanted.items():
        volumes = found.of("Job")[job]["spec"]["template"]["spec"]["volumes"]
        [credentials] = [each for each in volumes if each["name"] == "credentials"]
        mounted = {
            item["path"]
            for source in credentials["projected"]["sources"]
            for item in source["secret"]["items"]
        }
        if mounted != files:
            yield f"Job {job}: the password files differ from its users; run `make documents`"


def ingress_leads_to_the_gateway_with_tls(found: Rendered) -> Iterator[str]:
    for name, ingress in found.of("Ingress").items():
        spec, annotations = ingress["spec"], ingress["metadata"]["annotations"]
        hosts = [rule["host"] for rule in spec["rules"]]
        if hosts != spec["tls"][0]["hosts"] or hosts != [urlsplit(found.settings()["PUBLIC_URL"]).hostname]:
            yield f"Ingress {name}: host, certificate and PUBLIC_URL must name the same host"
        backends = {
            path["backend"]["service"]["name"] for each in spec["rules"] for path in each["http"]["paths"]
        }
        if backends != {"gateway"}:
            yield f"Ingress {name}: only the gateway is public"
        if annotations.get("traefik.ingress.kubernetes.io/router.entrypoints") != "websecure":
            yield f"Ingress {name}: it also answers without TLS"


def metrics_have_the_labels_of_the_alerts(found: Rendered) -> Iterator[str]:
    """The jobs of prometheus.yml, except those of the compose profile itself; and the same rules."""
    scraped = parsed(OBSERVABILITY / "prometheus" / "prometheus.yml")["scrape_configs"]
    wanted = {each["job_name"] for each in scraped} - {"collector"}
    jobs, services = set(), set()
    for name, monitor in found.of("ServiceMonitor").items():
        for endpoint in monitor["spec"]["endpoints"]:
            labels = {
                each["targetLabel"]: each["replacement"]
                for each in endpoint["relabelings"]
                if "replacement" in each
            }
            jobs.add(labels.get("job"))
            services |= {labels["service"]} if "service" in labels else set()
            if endpoint["scheme"] != "https" or "serverName" not in endpoint["tlsConfig"]:
                yield f"ServiceMonitor {name}: it does not verify whom it reads"
            by_pod = {
                each["targetLabel"]
                for each in endpoint["relabelings"]
                if each.get("sourceLabels") == ["__meta_kubernetes_pod_name"]
            }
            if labels.get("job") != "services" and by_pod != {"instance", "service"}:
                yield f"ServiceMonitor {name}: the alerts know a node by its labels instance and service"
            if "service" in labels and not endpoint.get("honorLabels"):
                yield f"ServiceMonitor {name}: a service names itself in its metrics; set honorLabels"
    if jobs != wanted:
        yield f"the jobs are {sorted(map(str, jobs))}, but the alerts know {sorted(wanted)}"
    if services != {program.name for program in programs()}:
        yield "the label `service` does not name each program once"
    if [each["spec"] for each in found.of("PrometheusRule").values()] != [prometheus_rules()["spec"]]:
        yield "the rules differ from deploy/observability/prometheus/rules; run `make documents`"

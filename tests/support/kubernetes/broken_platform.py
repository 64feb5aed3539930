"""Changes that the rules for broker, database, ingress and monitoring must refuse."""

from tests.support.kubernetes import rules_platform
from tests.support.kubernetes.broken import Break, removed, setting, spec, variable
from tests.support.kubernetes.rendered import container_of

PLATFORM = {
    "another limit of bodies": Break(
        rules_platform.broker_has_the_limits_of_compose,
        lambda found: spec("RabbitmqCluster", "rabbitmq")(found)["rabbitmq"].update(
            additionalConfig="collect_statistics_interval = 1000\nmax_message_size = 1024\n"
        ),
        "max_message_size differs",
    ),
    "a broker without TLS": Break(
        rules_platform.broker_has_the_limits_of_compose,
        lambda found: spec("RabbitmqCluster", "rabbitmq")(found)["tls"].update(disableNonTLSListeners=False),
        "connections without TLS",
    ),
    "a volume that is smaller than the limit of free space": Break(
        rules_platform.broker_has_room_above_its_disk_limit,
        lambda found: spec("RabbitmqCluster", "rabbitmq")(found)["persistence"].update(storage="2Gi"),
        "at least twice its disk_free_limit",
    ),
    "a user of the database with another role": Break(
        rules_platform.database_has_the_limits_and_users,
        lambda found: spec("MongoDBCommunity", "mongo")(found)["users"][1]["roles"].append(
            {"name": "read", "db": "user_svc"}
        ),
        "users or roles are outdated",
    ),
    "a database with optional TLS": Break(
        rules_platform.database_has_the_limits_and_users,
        lambda found: spec("MongoDBCommunity", "mongo")(found)["security"]["tls"].update(optional=True),
        "connections without TLS",
    ),
    "one password for two users": Break(
        rules_platform.database_has_the_limits_and_users,
        lambda found: spec("MongoDBCommunity", "mongo")(found)["users"][1]["passwordSecretRef"].update(
            name="user-svc-database"
        ),
        "two users have one password",
    ),
    "another user's address": Break(
        rules_platform.programs_use_their_own_users,
        variable("AMQP_URL", "amqps://operator@rabbitmq.order-journey.svc:5671/journey"),
        "AMQP_URL must name the user order_svc",
    ),
    "TLS that is not required": Break(
        rules_platform.every_program_requires_tls,
        variable("TLS_REQUIRED", "0"),
        "order-svc: TLS_REQUIRED must be 1",
    ),
    "a service of the registry without a Deployment": Break(
        rules_platform.every_program_requires_tls,
        removed("Deployment", "product-svc"),
        "product-svc: TLS_REQUIRED must be 1",
    ),
    "a Job that connects without TLS": Break(
        rules_platform.every_program_requires_tls,
        lambda found: container_of(found.of("Job")["database"]["spec"]["template"])["env"].append(
            {"name": "MONGO_ADMIN_URL", "value": "mongodb://admin@mongo/?replicaSet=mongo"}
        ),
        "Job database: MONGO_ADMIN_URL is without TLS",
    ),
    "a Job that misses a user": Break(
        rules_platform.topology_job_knows_every_user,
        lambda found: spec("Job", "topology")(found)["template"]["spec"]["volumes"][0]["projected"][
            "sources"
        ].pop(),
        "Job topology: the password files differ",
    ),
    "a Job whose command no image holds": Break(
        rules_platform.jobs_run_what_their_image_holds,
        lambda found: spec("Job", "topology")(found)["template"]["spec"]["containers"][0].update(
            command=["python", "-m", "journey.cli", "apply"]
        ),
        "no image holds journey.cli.__main__",
    ),
    "a Job that does not wait for all nodes": Break(
        rules_platform.topology_waits_for_all_nodes,
        lambda found: spec("RabbitmqCluster", "rabbitmq")(found).update(replicas=5),
        "BROKER_NODES must be the number of nodes",
    ),
    "another host": Break(
        rules_platform.ingress_leads_to_the_gateway_with_tls,
        setting("PUBLIC_URL", "https://other.example"),
        "must name the same host",
    ),
    "a public service": Break(
        rules_platform.ingress_leads_to_the_gateway_with_tls,
        lambda found: spec("Ingress", "shop")(found)["rules"][0]["http"]["paths"][0]["backend"][
            "service"
        ].update(name="operations"),
        "only the gateway is public",
    ),
    "an entry without TLS": Break(
        rules_platform.ingress_leads_to_the_gateway_with_tls,
        lambda found: found.of("Ingress")["shop"]["metadata"]["annotations"].clear(),
        "it also answers without TLS",
    ),
    "another job": Break(
        rules_platform.metrics_have_the_labels_of_the_alerts,
        lambda found: spec("ServiceMonitor", "rabbitmq")(found)["endpoints"].pop(),
        "the jobs are",
    ),
    "a label with another name": Break(
        rules_platform.metrics_have_the_labels_of_the_alerts,
        lambda found: spec("ServiceMonitor", "order-svc")(found)["endpoints"][0]["relabelings"][1].update(
            replacement="order-svc"
        ),
        "does not name each program once",
    ),
    "nodes of the broker that no label tells apart": Break(
        rules_platform.metrics_have_the_labels_of_the_alerts,
        lambda found: spec("ServiceMonitor", "rabbitmq")(found)["endpoints"][1]["relabelings"].pop(),
        "the alerts know a node by its labels instance and service",
    ),
    "another rule": Break(
        rules_platform.metrics_have_the_labels_of_the_alerts,
        lambda found: spec("PrometheusRule", "order-journey")(found)["groups"].pop(),
        "the rules differ",
    ),
}

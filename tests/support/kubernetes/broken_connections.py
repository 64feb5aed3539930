"""Changes that the rules for the network and for references must refuse."""

from tests.support.kubernetes import rules_network, rules_references
from tests.support.kubernetes.broken import Break, container, labels, pod, removed, setting, spec, variable

NETWORK = {
    "no egress to a called service": Break(
        rules_network.policies_allow_exactly_what_is_needed,
        lambda found: spec("NetworkPolicy", "notification-svc")(found).pop("egress"),
        "no policy allows notification-svc to user-svc:8080",
    ),
    "an open port": Break(
        rules_network.policies_allow_exactly_what_is_needed,
        lambda found: spec("NetworkPolicy", "gateway")(found)["ingress"][0].pop("from"),
        "allows a stranger to gateway:8080, which nothing needs",
    ),
    "the database for operations": Break(
        rules_network.policies_allow_exactly_what_is_needed,
        lambda found: labels(found, "operations").update({"order-journey/database": "client"}),
        "allows operations to mongo:27017, which nothing needs",
    ),
    "the management API for a service": Break(
        rules_network.policies_allow_exactly_what_is_needed,
        lambda found: labels(found, "order-svc").update({"order-journey/broker": "administrator"}),
        "allows order-svc to rabbitmq:15671, which nothing needs",
    ),
    "no database label": Break(
        rules_network.policies_allow_exactly_what_is_needed,
        lambda found: labels(found, "order-svc").pop("order-journey/database"),
        "no policy allows order-svc to mongo:27017",
    ),
    "no default": Break(
        rules_network.nothing_escapes_the_default,
        removed("NetworkPolicy", "default-deny"),
        "no NetworkPolicy denies by default",
    ),
    "a default that denies only one direction": Break(
        rules_network.nothing_escapes_the_default,
        lambda found: spec("NetworkPolicy", "default-deny")(found)["policyTypes"].pop(),
        "no NetworkPolicy denies by default",
    ),
}
REFERENCES = {
    "a Secret that does not exist": Break(
        rules_references.configuration_and_secrets_exist,
        lambda found: pod(found)["volumes"][1]["secret"].update(secretName="order-svc-cert"),
        "Deployment order-svc: Secret order-svc-cert does not exist",
    ),
    "a key that does not exist": Break(
        rules_references.configuration_and_secrets_exist,
        lambda found: pod(found)["volumes"][0]["projected"]["sources"][0]["secret"]["items"][0].update(
            key="pass"
        ),
        "has no key pass",
    ),
    "a ConfigMap that does not exist": Break(
        rules_references.configuration_and_secrets_exist,
        lambda found: container(found).update(envFrom=[{"configMapRef": {"name": "settings"}}]),
        "ConfigMap settings does not exist",
    ),
    "a Secret without a use": Break(
        rules_references.configuration_and_secrets_exist,
        lambda found: pod(found, "notification-svc")["volumes"].pop(0),
        "Secret smtp is used nowhere",
    ),
    "an account that does not exist": Break(
        rules_references.named_ports_and_accounts_exist,
        removed("ServiceAccount", "order-svc"),
        "Deployment order-svc: its ServiceAccount does not exist",
    ),
    "a port that the pods lack": Break(
        rules_references.named_ports_and_accounts_exist,
        lambda found: spec("Service", "order-svc")(found)["ports"][0].update(targetPort="https"),
        "its pods have no port https",
    ),
    "an Ingress to a missing port": Break(
        rules_references.named_ports_and_accounts_exist,
        lambda found: spec("Service", "gateway")(found)["ports"].pop(),
        "no Service gateway with the port public",
    ),
    "a volume that is not mounted": Break(
        rules_references.mounts_and_volumes_fit,
        lambda found: container(found)["volumeMounts"].pop(),
        "order-svc: volumes",
    ),
    "a file that is not mounted": Break(
        rules_references.mounts_and_volumes_fit,
        variable("AMQP_PASSWORD_FILE", "/credentials/amqp"),
        "AMQP_PASSWORD_FILE names /credentials/amqp, which is not mounted",
    ),
    "a shared file that is not mounted": Break(
        rules_references.mounts_and_volumes_fit,
        setting("SMTP_PASSWORD_FILE", "/smtp/pass"),
        "notification-svc: SMTP_PASSWORD_FILE names /smtp/pass",
    ),
    "an image without a version": Break(
        rules_references.images_are_pinned,
        lambda found: container(found).update(image="registry.example/order-journey/order_svc"),
        "has no version",
    ),
}

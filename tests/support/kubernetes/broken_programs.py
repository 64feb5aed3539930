"""Changes that the rules for programs must refuse."""

from tests.support.kubernetes import rules_programs
from tests.support.kubernetes.broken import Break, container, removed, setting, spec, triggers, variable
from tests.support.kubernetes.rendered import Rendered
from tests.support.kubernetes.workload import Manifest


def _trigger_of(found: Rendered, queue: str) -> Manifest:
    return next(each for each in triggers()(found) if each["metadata"].get("queueName") == queue)


def _copied(trigger: Manifest, queue: str) -> Manifest:
    return trigger | {"name": "another", "metadata": trigger["metadata"] | {"queueName": queue}}


PROGRAMS = {
    **{
        f"no {kind}": Break(
            rules_programs.each_program_has_all_objects, removed(kind, "order-svc"), f"has no {kind}"
        )
        for kind in (
            "Service",
            "ServiceAccount",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "ServiceMonitor",
            "ScaledObject",
        )
    },
    "no TriggerAuthentication": Break(
        rules_programs.each_program_has_all_objects,
        removed("TriggerAuthentication", "user-svc-broker"),
        "user_svc has no TriggerAuthentication",
    ),
    "a Deployment of no program": Break(
        rules_programs.each_program_has_all_objects,
        lambda found: found.objects.append({"kind": "Deployment", "metadata": {"name": "mail"}}),
        "mail belongs to no program",
    ),
    "a disruption budget for other pods": Break(
        rules_programs.objects_select_the_pods_of_their_program,
        lambda found: spec("PodDisruptionBudget", "order-svc")(found)["selector"]["matchLabels"].clear(),
        "PodDisruptionBudget order-svc does not select",
    ),
    "another image": Break(
        rules_programs.names_images_ports_and_memory_agree_with_compose,
        lambda found: container(found).update(image="registry.example/order-journey/payment_svc:1"),
        "is not compose.yaml's order-journey/order_svc",
    ),
    "another memory limit": Break(
        rules_programs.names_images_ports_and_memory_agree_with_compose,
        lambda found: container(found)["resources"]["limits"].update(memory="64Mi"),
        "memory limit is not",
    ),
    "another port": Break(
        rules_programs.names_images_ports_and_memory_agree_with_compose,
        lambda found: container(found, "gateway")["ports"][1].update(containerPort=8001),
        "gateway: its ports are",
    ),
    "an unknown variable": Break(
        rules_programs.settings_accept_the_environment,
        variable("AMQP_ADDRESS", "x"),
        "order-svc: it has no setting AMQP_ADDRESS",
    ),
    "a missing setting": Break(
        rules_programs.settings_accept_the_environment,
        setting("SMTP_URL", None),
        "notification-svc: the setting SMTP_URL is refused",
    ),
    "an unknown shared setting": Break(
        rules_programs.settings_accept_the_environment, setting("SHOP_URI", "x"), "has the setting SHOP_URI"
    ),
    "a value that the settings refuse": Break(
        rules_programs.settings_accept_the_environment, setting("DRAIN_S", "90"), "DRAIN_S"
    ),
    "a queue without a declaration": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: spec("ScaledObject", "order-svc")(found)["triggers"][0]["metadata"].update(
            queueName="order_svc.event"
        ),
        "there is no queue order_svc.event of this service",
    ),
    "a partition without a trigger": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: triggers()(found).pop(2),
        "it has no trigger for order_svc.events.2",
        overlay="partitioned",
    ),
    "added messages without a trigger": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: triggers()(found).remove(_trigger_of(found, "order_svc.commands.added")),
        "it has no trigger for order_svc.commands.added",
    ),
    "a trigger without a partition": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: triggers()(found).append(_copied(triggers()(found)[2], "order_svc.events.3")),
        "there is no queue order_svc.events.3 of this service",
        overlay="partitioned",
    ),
    "more partitions than triggers": Break(
        rules_programs.each_partition_has_a_trigger,
        setting("PARTITIONS", "order_svc=2"),
        "it has no trigger for order_svc.commands.1",
    ),
    "triggers without a setting": Break(
        rules_programs.each_partition_has_a_trigger,
        setting("PARTITIONS", ""),
        "there is no queue payment_svc.events.1 of this service",
        overlay="partitioned",
    ),
    "the threshold of a single queue": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: triggers("payment-svc")(found)[1]["metadata"].update(value="200"),
        "payment_svc.events.1 must count",
        overlay="partitioned",
    ),
    "two triggers of one name": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: triggers()(found)[0].update(name=triggers()(found)[1]["name"]),
        "two triggers have one name",
    ),
    "another threshold": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: spec("ScaledObject", "notification-svc")(found)["triggers"][1]["metadata"].update(
            value="200"
        ),
        "notification_svc.commands must count",
    ),
    "no activation": Break(
        rules_programs.each_partition_has_a_trigger,
        lambda found: spec("ScaledObject", "order-svc")(found)["triggers"][0]["metadata"].pop(
            "activationValue"
        ),
        "has no activationValue",
    ),
    "a number of replicas": Break(
        rules_programs.scaling_keeps_enough_instances,
        lambda found: spec("Deployment", "order-svc")(found).update(replicas=3),
        "KEDA sets the number",
    ),
    "a service with deadlines that sleeps": Break(
        rules_programs.scaling_keeps_enough_instances,
        lambda found: spec("ScaledObject", "order-svc")(found).update(minReplicaCount=0),
        "it must always run",
    ),
    "one replica in production": Break(
        rules_programs.scaling_keeps_enough_instances,
        lambda found: spec("ScaledObject", "payment-svc")(found).update(minReplicaCount=1),
        "at least two replicas",
    ),
    "no scaling by CPU": Break(
        rules_programs.scaling_keeps_enough_instances,
        lambda found: spec("ScaledObject", "user-svc")(found)["triggers"].pop(),
        "does not scale by CPU",
    ),
}

"""All rules for the rendered objects."""

from tests.support.kubernetes import (
    rules_network,
    rules_platform,
    rules_pods,
    rules_programs,
    rules_references,
)
from tests.support.kubernetes.rendered import Rule

RULES: tuple[Rule, ...] = (
    rules_programs.each_program_has_all_objects,
    rules_programs.objects_select_the_pods_of_their_program,
    rules_programs.names_images_ports_and_memory_agree_with_compose,
    rules_programs.settings_accept_the_environment,
    rules_programs.each_partition_has_a_trigger,
    rules_programs.scaling_keeps_enough_instances,
    rules_pods.pods_are_unprivileged,
    rules_pods.secrets_are_files,
    rules_pods.probes_use_the_health_endpoints,
    rules_pods.pods_stop_after_their_drain,
    rules_pods.resources_are_limited,
    rules_pods.pods_are_spread,
    rules_pods.updates_and_drains_keep_an_instance,
    rules_network.policies_allow_exactly_what_is_needed,
    rules_network.nothing_escapes_the_default,
    rules_references.configuration_and_secrets_exist,
    rules_references.named_ports_and_accounts_exist,
    rules_references.mounts_and_volumes_fit,
    rules_references.images_are_pinned,
    rules_platform.broker_has_the_limits_of_compose,
    rules_platform.broker_has_room_above_its_disk_limit,
    rules_platform.database_has_the_limits_and_users,
    rules_platform.programs_use_their_own_users,
    rules_platform.every_program_requires_tls,
    rules_platform.topology_job_knows_every_user,
    rules_platform.jobs_run_what_their_image_holds,
    rules_platform.topology_waits_for_all_nodes,
    rules_platform.ingress_leads_to_the_gateway_with_tls,
    rules_platform.metrics_have_the_labels_of_the_alerts,
)

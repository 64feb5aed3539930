"""The dashboards of what the shop runs on: messages and queues, dead letters, RabbitMQ, MongoDB."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tests.support.dashboards.panels import (
    Panel,
    Query,
    dashboard,
    lines,
    number,
    percentile,
    percentiles,
    rate,
    with_panels,
)

# A queue's figures come from the node of its leader; when the leader moves, for one scrape from two nodes.
_INBOXES = '{queue=~"[^.]+[.](events|commands)([.]([0-9]+|added))?"}'
_DEPTH = "rabbitmq_detailed_queue_messages"
_DATABASE = "db_client_operation_duration_seconds"


def messages() -> Dashboard:
    """How fast messages are handled, and where they wait."""
    board = dashboard("messages", "Messages and queues", "How fast messages are handled, and where they wait")
    group = "journey_group_size"
    mean = (
        f"sum by (service) (rate({group}_sum[$__rate_interval]))"
        f" / sum by (service) (rate({group}_count[$__rate_interval]))"
    )
    return with_panels(
        board,
        lines("Handled messages", "By service.", "ops", rate("journey_messages_handled_total", "service")),
        lines("Waiting messages", "In the queues of events and commands.", "none",
              Query(f"max by (queue) ({_DEPTH}_ready{_INBOXES})", "{{queue}}")),
        lines("Messages in progress", "Delivered, and not yet acknowledged.", "none",
              Query(f"max by (queue) ({_DEPTH}_unacked{_INBOXES})", "{{queue}}")),
        lines("Consumers", "A queue without any is not consumed.", "none",
              Query(f"max by (queue) (rabbitmq_detailed_queue_consumers{_INBOXES})", "{{queue}}")),
        lines("In the queue", "Time from the sending of a message to its first delivery.", "s",
              *percentiles("journey_message_queue_seconds")),
        lines("From sending to handled, 95th percentile", "By type, retries included.", "s",
              percentile(0.95, "journey_message_end_to_end_seconds", "type")),
        lines("Handling, 95th percentile", "By service.", "s",
              percentile(0.95, "messaging_process_duration_seconds", "service")),
        lines("Messages per write", "Mean, by service.", "none", Query(mean, "{{service}}")),
        lines("Retries", "By service and rung.", "ops", rate("journey_retries_total", "service, rung")),
        lines("Unpublished messages", "Aggregates with messages that the broker has not confirmed.", "none",
              Query("max by (service) (journey_unpublished_messages)", "{{service}}")),
        *_limits(),
    )  # fmt: skip


def _limits() -> tuple[Panel, ...]:
    lost = "sum(journey_lost_messages) or vector(0)"
    return (
        lines("Use of bounded queues", "At 100 % a queue drops its oldest messages.", "percentunit",
              Query("max by (queue) (journey_queue_fill_ratio)", "{{queue}}")),
        lines("Lost messages", "Dropped by full queues since the shop exists.", "none", Query(lost, "lost")),
    )  # fmt: skip


def dead_letters() -> Dashboard:
    """What was given up, why, and by whom it was sent."""
    board = dashboard("dead-letters", "Dead letters", "Messages that were given up, and why")
    return with_panels(
        board,
        number("Dead letters", "Messages that wait for an operator.", "none",
               Query(f'sum(max by (queue) ({_DEPTH}{{queue=~"[^.]+[.]dead"}}))')),
        number("Rejected messages", "Of clients and strangers; they break no guarantee.", "none",
               Query(f'sum(max by (queue) ({_DEPTH}{{queue=~"[^.]+[.]rejected"}}))')),
        lines("Waiting dead letters", "By queue.", "none",
              Query(f'max by (queue) ({_DEPTH}{{queue=~"[^.]+[.]dead"}})', "{{queue}}")),
        lines("New dead letters", "By service and reason.", "ops",
              rate("journey_dead_letters_total", "service, reason")),
        lines("New dead letters", "By type.", "ops", rate("journey_dead_letters_total", "type")),
        lines("Retries", "What may become dead letters.", "ops",
              rate("journey_retries_total", "service, type, rung")),
        lines("Forged messages", "By the role of the sender.", "ops",
              rate("journey_forged_messages_total", "service, role")),
        lines("Rejected messages", "By queue.", "none",
              Query(f'max by (queue) ({_DEPTH}{{queue=~"[^.]+[.]rejected"}})', "{{queue}}")),
    )  # fmt: skip


def rabbitmq() -> Dashboard:
    """The broker by its own exporter (rabbitmq_prometheus): resources of each node, sums of their traffic."""
    board = dashboard("rabbitmq", "RabbitMQ", "Resources and traffic of the broker, by its own exporter")
    alarms = ("memory_used_watermark", "free_disk_space_watermark")
    received = "rabbitmq_global_messages"
    return with_panels(
        board,
        lines("Memory", "Publishers are blocked at the limit.", "bytes",
              Query("rabbitmq_process_resident_memory_bytes", "used {{instance}}"),
              Query("rabbitmq_resident_memory_limit_bytes", "limit {{instance}}")),
        lines("Free disk space", "Publishers are blocked at the limit.", "bytes",
              Query("rabbitmq_disk_space_available_bytes", "free {{instance}}"),
              Query("rabbitmq_disk_space_available_limit_bytes", "limit {{instance}}")),
        lines("Alarms", "1 while this node makes the cluster block all publishers.", "none",
              *(Query(f"rabbitmq_alarms_{alarm}", f"{alarm} {{{{instance}}}}") for alarm in alarms)),
        lines("Messages", "Of all queues.", "none",
              Query("sum(rabbitmq_queue_messages_ready)", "ready"),
              Query("sum(rabbitmq_queue_messages_unacked)", "unacknowledged")),
        lines("Published messages", "Received from publishers, and confirmed to them.", "ops",
              rate(f"{received}_received_total", "protocol"),
              rate(f"{received}_confirmed_total", "protocol")),
        lines("Delivered messages", "By queue type; and those that were delivered again.", "ops",
              rate(f"{received}_delivered_total", "queue_type"),
              rate(f"{received}_redelivered_total", "queue_type")),
        lines("Unroutable messages", "Returned to their publishers.", "ops",
              rate(f"{received}_unroutable_returned_total", "protocol")),
        lines("Connections and channels", "Of all nodes.", "none",
              *(Query(f"sum(rabbitmq_{each})", each) for each in ("connections", "channels", "consumers"))),
        lines("Open files", "Of each node's process.", "none",
              Query("rabbitmq_process_open_fds", "open {{instance}}"),
              Query("rabbitmq_process_max_fds", "limit {{instance}}")),
        lines("Erlang processes", "By node.", "none", Query("erlang_vm_process_count", "{{instance}}")),
        lines("Topology drift", "Differences between the broker and the topology.", "none",
              Query("max(journey_topology_drift)", "differences")),
    )  # fmt: skip


def mongodb() -> Dashboard:
    """The database as the services see it. MongoDB has no exporter of its own."""
    board = dashboard("mongodb", "MongoDB", "The database as the services see it")
    return with_panels(
        board,
        lines("Operations", "By service.", "ops", rate(f"{_DATABASE}_count", "service")),
        lines("Operations by kind", "", "ops", rate(f"{_DATABASE}_count", "db_operation_name")),
        lines("Duration", "Of all operations.", "s", *percentiles(_DATABASE)),
        lines("Duration by operation, 95th percentile", "", "s",
              percentile(0.95, _DATABASE, "db_operation_name")),
        lines("Duration by collection, 95th percentile", "", "s",
              percentile(0.95, _DATABASE, "service, db_collection_name")),
        lines("Results", "No error type: the operation succeeded.", "ops",
              rate(f"{_DATABASE}_count", "service, error_type")),
        lines("Waiting for the database", "1 while a service consumes nothing, because the database does not "
              "respond.", "none", Query("max by (service) (journey_store_unavailable)", "{{service}}")),
        lines("Clock skew", "A service's clock minus the database's.", "s",
              Query("max by (service) (journey_clock_skew_seconds)", "{{service}}")),
        lines("Cache of aggregates", "Lookups that save the database a read.", "ops",
              rate("journey_cache_lookups_total", "service, result")),
    )  # fmt: skip

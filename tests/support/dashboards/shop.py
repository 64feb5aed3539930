"""The dashboards of the shop: the journey of orders, one service, and the public HTTP server."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from tests.support.dashboards.panels import (
    Panel,
    Query,
    choice,
    dashboard,
    lines,
    number,
    percentile,
    percentiles,
    rate,
    with_panels,
)

_ORDERS = '{service="order_svc"}'
_PUBLIC = '{listener="public"}'
_ONE = '{service="$service"}'
_HTTP = "http_server_request_duration_seconds"
_EFFECT = "journey_effect_duration_seconds"


def journey() -> Dashboard:
    """Objectives, orders by outcome, what they wait for, payments and mails."""
    board = dashboard("journey", "Journey of orders", "Whether orders end, how fast, and what they wait for")
    burn_rate = Query('slo:errors:ratio_rate1h{slo=~".+"} / on (slo) slo:budget:ratio', "{{slo}}")
    return with_panels(
        board,
        number("Orders a minute", "Orders that ended, confirmed or cancelled.", "none",
               Query("60 * sum(rate(journey_order_duration_seconds_count[5m]))")),
        number("Ended within a minute", "Of the last hour's orders. The objective is 99 %.", "percentunit",
               Query('1 - slo:errors:ratio_rate1h{slo="orders"}')),
        number("Oldest waiting order", "Time since its last change.", "s",
               Query(f"max(journey_oldest_open_aggregate_seconds{_ORDERS})")),
        number("Dead letters", "Messages that wait for an operator.", "none",
               Query('sum(max by (queue) (rabbitmq_detailed_queue_messages{queue=~"[^.]+[.]dead"}))')),
        lines("Burn rate", "At 1 the error budget of 30 days is used up after 30 days.", "none", burn_rate),
        *_order_lines(),
    )  # fmt: skip


def _order_lines() -> tuple[Panel, ...]:
    oldest = "max by (service, kind, status) (journey_oldest_open_aggregate_seconds)"
    return (
        lines("Orders", "By outcome.", "ops", rate("journey_order_duration_seconds_count", "outcome")),
        lines("Time until an order ends", "From its placing to its outcome.", "s",
              *percentiles("journey_order_duration_seconds")),
        lines("Open orders", "By the status in which they wait.", "none",
              Query(f"max by (status) (journey_open_aggregates{_ORDERS})", "{{status}}")),
        lines("Oldest open aggregates", "Orders, payments and mails that wait longest for a message.", "s",
              Query(oldest, "{{kind}} {{status}}")),
        lines("Deadlines", "Reminders that a deadline has passed.", "ops",
              rate("journey_deadlines_total", "service, kind")),
        lines("Provider and mail server", "95th percentile, by effect.", "s",
              percentile(0.95, _EFFECT, "effect")),
        lines("Effects", "By outcome.", "ops", rate(f"{_EFFECT}_count", "effect, outcome")),
        lines("Mail delay", "From the reason of a mail to its sending.", "s",
              *percentiles("journey_mail_delay_seconds")),
    )  # fmt: skip


def service() -> Dashboard:
    """One service, chosen by a variable: messages, dependencies, resources."""
    board = dashboard("service", "One service", "Messages, dependencies and resources of one service")
    board = board.with_variable(choice("service", "journey_consuming"))
    board = with_panels(board.with_row(Row("Messages")), *_message_panels())
    board = with_panels(board.with_row(Row("Dependencies")), *_dependency_panels())
    return with_panels(board.with_row(Row("Resources")), *_resource_panels())


def _message_panels() -> tuple[Panel, ...]:
    process, group = "messaging_process_duration_seconds", "journey_group_size"
    in_group = (
        f"sum(rate({group}_sum{_ONE}[$__rate_interval])) / sum(rate({group}_count{_ONE}[$__rate_interval]))"
    )
    return (
        lines("Handled messages", "By type.", "ops", rate("journey_messages_handled_total", "type", _ONE)),
        lines("Attempts", "Deliveries, by type; more than the handled ones after failures.", "ops",
              rate("journey_message_attempts_total", "type", _ONE)),
        lines("Handling, 95th percentile", "By type.", "s", percentile(0.95, process, "type", _ONE)),
        lines("In the queue, 95th percentile", "By type.", "s",
              percentile(0.95, "journey_message_queue_seconds", "type", _ONE)),
        lines("From sending to handled, 95th percentile", "By type, retries included.", "s",
              percentile(0.95, "journey_message_end_to_end_seconds", "type", _ONE)),
        lines("Retries", "By rung of the retry ladder.", "ops",
              rate("journey_retries_total", "type, rung", _ONE)),
        lines("Dead letters", "By reason.", "ops",
              rate("journey_dead_letters_total", "type, reason", _ONE)),
        lines("Messages per write", "Mean.", "none", Query(in_group, "messages")),
    )  # fmt: skip


def _dependency_panels() -> tuple[Panel, ...]:
    breaker = 'max by (circuit) (journey_circuit_breaker_state{service="$service",state="open"})'
    return (
        lines("MongoDB, 95th percentile", "By operation of the store.", "s",
              percentile(0.95, "db_client_operation_duration_seconds", "db_operation_name", _ONE)),
        lines("Cache of aggregates", "Lookups by result.", "ops",
              rate("journey_cache_lookups_total", "kind, result", _ONE)),
        lines("Effects, 95th percentile", "Calls of the provider or the mail server.", "s",
              percentile(0.95, _EFFECT, "effect, outcome", _ONE)),
        lines("Requests to other services, 95th percentile", "By service.", "s",
              percentile(0.95, "http_client_request_duration_seconds", "peer_service", _ONE)),
        lines("Circuit breakers", "1 while a circuit is open.", "none", Query(breaker, "{{circuit}}")),
        lines("Unpublished messages", "Aggregates with messages that the broker has not confirmed.", "none",
              Query(f"max by (kind) (journey_unpublished_messages{_ONE})", "{{kind}}")),
    )  # fmt: skip


def _resource_panels() -> tuple[Panel, ...]:
    return (
        lines("Instances", "Instances that respond, and those that consume.", "none",
              Query(f"sum(up{_ONE})", "respond"), Query(f"sum(journey_consuming{_ONE})", "consume")),
        lines("Lag of the event loop", "How much later than asked for it woke a task.", "s",
              *percentiles("journey_event_loop_lag_seconds", _ONE)),
        lines("CPU", "Seconds a second, by instance.", "none",
              Query(f"rate(process_cpu_seconds_total{_ONE}[$__rate_interval])", "{{instance}}")),
        lines("Memory", "By instance.", "bytes",
              Query(f"process_resident_memory_bytes{_ONE}", "{{instance}}")),
    )  # fmt: skip


def gateway() -> Dashboard:
    """The public HTTP server: traffic, failures, latency, and the services behind it."""
    board = dashboard(
        "gateway", "Public HTTP server", "Requests of customers and staff, and what they wait for"
    )
    good = f'{_HTTP}_bucket{{listener="public",http_response_status_code!~"5..",le="1.0"}}'
    total = f"{_HTTP}_count{_PUBLIC}"
    share = f"sum(rate({good}[$__rate_interval])) / sum(rate({total}[$__rate_interval]))"
    client = "http_client_request_duration_seconds"
    return with_panels(
        board,
        number("Requests a second", "All public requests.", "reqps", Query(f"sum(rate({total}[5m]))")),
        number("Answered within a second", "And not with 5xx. The objective is 99.9 %.", "percentunit",
               Query('1 - slo:errors:ratio_rate1h{slo="requests"}')),
        lines("Answered within a second", "Share, without 5xx.", "percentunit", Query(share, "share")),
        lines("Requests", "By status.", "reqps",
              rate(f"{_HTTP}_count", "http_response_status_code", _PUBLIC)),
        lines("Time until the response begins", "", "s", *percentiles(_HTTP, _PUBLIC)),
        lines("Slowest routes, 95th percentile", "", "s",
              percentile(0.95, _HTTP, "http_request_method, http_route", _PUBLIC)),
        lines("Requests by route", "", "reqps",
              rate(f"{_HTTP}_count", "http_request_method, http_route", _PUBLIC)),
        lines("Services behind it, 95th percentile", "Calls of the gateway.", "s",
              percentile(0.95, client, "peer_service", '{service="gateway"}')),
        lines("Services behind it", "Calls by result.", "reqps",
              rate(f"{client}_count", "peer_service, http_response_status_code, error_type",
                   '{service="gateway"}')),
        lines("Internal requests", "Of services to each other, by status.", "reqps",
              rate(f"{_HTTP}_count", "service, http_response_status_code", '{listener="internal"}')),
    )  # fmt: skip

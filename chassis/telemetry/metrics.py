"""The metrics of the chassis, in Prometheus' format. docs/metrics.md explains all metrics of the shop.

Names follow the OpenTelemetry semantic conventions where these have one, with dots replaced as the
OpenTelemetry exporter for Prometheus does. Durations are in seconds. No label takes its value from a client's
input.
"""

from chassis.telemetry.instruments import (
    FINE_S,
    KIND,
    SERVICE,
    TYPE,
    WAIT_S,
    Label,
    counter,
    gauge,
    histogram,
    own,
)

OBSERVER = "chassis/core/observer.py"

# Messages: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/
PROCESS_DURATION = histogram(
    "messaging_process_duration_seconds",
    "From the delivery of a message until it is stored, what it emitted is published, and it is acknowledged",
    labels=(SERVICE, TYPE),
    recorded_in=OBSERVER,
    buckets=FINE_S,
)
QUEUE_TIME = histogram(
    own("message_queue_seconds"),
    "From the time at which a message was sent until its first delivery; later deliveries are not observed",
    labels=(SERVICE, TYPE),
    recorded_in=OBSERVER,
    buckets=WAIT_S,
)
END_TO_END = histogram(
    own("message_end_to_end_seconds"),
    "From the time at which a message was sent until it is handled, retries included; redriven messages are "
    "not observed",
    labels=(SERVICE, TYPE),
    recorded_in=OBSERVER,
    buckets=WAIT_S,
)
HANDLED = counter(
    own("messages_handled_total"),
    "Messages handled and acknowledged",
    labels=(SERVICE, TYPE),
    recorded_in=OBSERVER,
)
ATTEMPTS = counter(
    own("message_attempts_total"),
    "Deliveries that the service began to handle, retries and redeliveries included",
    labels=(SERVICE, TYPE),
    recorded_in=OBSERVER,
)
RETRIES = counter(
    own("retries_total"),
    "Messages put on the retry ladder, also those that only wait for an unavailable provider",
    labels=(
        SERVICE,
        TYPE,
        Label("rung", "an exchange of the service's retry ladder, such as `retry.5s`"),
    ),
    recorded_in=OBSERVER,
)
WRITE_CONFLICTS = counter(
    own("write_conflicts_total"),
    "Writes that met a newer version of a document, or got no answer: each was read and decided again",
    labels=(SERVICE,),
    recorded_in="chassis/core/process.py",
)
DEAD_LETTERS = counter(
    own("dead_letters_total"),
    "Messages dead-lettered by the service",
    labels=(
        SERVICE,
        TYPE,
        Label(
            "reason",
            "`bug`, `effect_unavailable`, `forged`, `malformed`, `other_release`, `out_of_turn`, "
            "`poison`, `refused_by_store`, `too_old` or `unroutable`",
        ),
    ),
    recorded_in=OBSERVER,
)
FORGED = counter(
    own("forged_messages_total"),
    "Messages rejected because of their sender, exchange or routing key, by the role of the verified "
    "broker user",
    labels=(
        SERVICE,
        Label("role", "a role of the catalog, `none` (no verified user) or `other` (a user of no role)"),
    ),
    recorded_in=OBSERVER,
)
GROUP_SIZE = histogram(
    own("group_size"),
    "Messages that shared one write",
    labels=(SERVICE,),
    recorded_in=OBSERVER,
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
EFFECT_DURATION = histogram(
    own("effect_duration_seconds"),
    "Calls of a decider's effect to the outside world",
    labels=(
        SERVICE,
        Label("effect", "the class of the effect, such as `Authorize`"),
        Label("outcome", "`ended`, `unavailable`, `circuit_open`, `cancelled` or `bug`"),
    ),
    recorded_in=OBSERVER,
    buckets=FINE_S,
)
STORE_UNAVAILABLE = gauge(
    own("store_unavailable"),
    "1 while a batch of messages waits for the database, and nothing is consumed; else 0",
    labels=(SERVICE,),
    recorded_in=OBSERVER,
)

# Background work
CONSUMING = gauge(
    own("consuming"),
    "1 while the service consumes its queues; else 0",
    labels=(SERVICE,),
    recorded_in="chassis/runtime.py",
)
SWEPT = counter(
    own("swept_total"),
    "Messages published by the sweeper instead of their writer",
    labels=(SERVICE,),
    recorded_in="chassis/core/sweeper.py",
)
DEADLINES = counter(
    own("deadlines_total"),
    "Deadline reminders sent: an aggregate waited longer than its deadline allows",
    labels=(SERVICE, KIND),
    recorded_in="chassis/core/timers.py",
)
BACKGROUND_ERRORS = counter(
    own("background_errors_total"),
    "Errors that ended a background task; the service starts it again",
    labels=(
        SERVICE,
        Label("task", "`timers`, `sweeper`, `retention`, `health`, `samples` or `event loop lag`"),
    ),
    recorded_in="chassis/core/background.py",
)
RETENTION = counter(
    own("retention_documents_total"),
    "Documents compared with their retention rule (examined), and given the correct expiry time (dated)",
    labels=(
        SERVICE,
        KIND,
        Label("what", "`examined` or `dated`"),
    ),
    recorded_in="chassis/retention.py",
)

# Samples of the database, taken every few seconds by a background task
SAMPLER = "chassis/sampling.py"
STATUS = Label("status", "a status in which aggregates of the kind wait for a message")
OPEN_AGGREGATES = gauge(
    own("open_aggregates"),
    "Aggregates that wait for a message in this status; counted up to 10,000. Each instance reports the same",
    labels=(SERVICE, KIND, STATUS),
    recorded_in=SAMPLER,
)
OLDEST_OPEN = gauge(
    own("oldest_open_aggregate_seconds"),
    "Time since the last change of the open aggregate that waits longest, among the 500 with the lowest "
    "keys; 0 if there is none",
    labels=(SERVICE, KIND, STATUS),
    recorded_in=SAMPLER,
)
UNPUBLISHED = gauge(
    own("unpublished_messages"),
    "Aggregates whose last outgoing messages the broker has not confirmed yet; counted up to 10,000",
    labels=(SERVICE, KIND),
    recorded_in=SAMPLER,
)
EVENT_LOOP_LAG = histogram(
    own("event_loop_lag_seconds"),
    "How much later than asked for the event loop woke a sleeping task",
    labels=(SERVICE,),
    recorded_in=SAMPLER,
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)

# Health
READY = gauge(
    own("ready"),
    "1 while the last probe reached database and broker; else 0",
    labels=(SERVICE,),
    recorded_in="chassis/health.py",
)
CLOCK_SKEW = gauge(
    own("clock_skew_seconds"),
    "How far this machine's clock is outside the time of the round trip to the database; 0 if it is inside",
    labels=(SERVICE,),
    recorded_in="chassis/health.py",
)

# The aggregate cache
CACHE_LOOKUPS = counter(
    own("cache_lookups_total"),
    "Aggregates looked up in the cache of the message path",
    labels=(
        SERVICE,
        KIND,
        Label("result", "`hit`, `miss`, `new` (assumed not to exist yet, not read) or `bypassed`"),
    ),
    recorded_in="chassis/store/cached.py",
)

# Circuit breakers
CIRCUIT_STATE = gauge(
    own("circuit_breaker_state"),
    "1 for the state in which the circuit breaker is, 0 for the other states",
    labels=(
        SERVICE,
        Label("circuit", "`effects`, `rate_limits`, or the service that is called"),
        Label("state", "`closed`, `open` or `half_open`"),
    ),
    recorded_in="chassis/telemetry/circuits.py",
)

# HTTP: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
METHOD = Label(
    "http_request_method", "`GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS` or `_OTHER`"
)
STATUS_CODE = Label("http_response_status_code", "an HTTP status code")
HTTP_SERVER_DURATION = histogram(
    "http_server_request_duration_seconds",
    "From the arrival of a request until its response begins; the length of a stream does not count",
    labels=(
        SERVICE,
        Label("listener", "`public` (customers and staff) or `internal`"),
        METHOD,
        Label("http_route", "a route's pattern, or `none`"),
        STATUS_CODE,
    ),
    recorded_in="chassis/web/request_metrics.py",
    buckets=FINE_S,
)
HTTP_CLIENT_DURATION = histogram(
    "http_client_request_duration_seconds",
    "Requests to another service, retries included",
    labels=(
        SERVICE,
        Label("peer_service", "the service that is called"),
        METHOD,
        Label("http_response_status_code", "an HTTP status code; empty without a response"),
        Label("error_type", "empty, `timeout`, `unavailable` or `circuit_open`"),
    ),
    recorded_in="chassis/web/http_client.py",
    buckets=FINE_S,
)

# MongoDB: https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
DB_CLIENT_DURATION = histogram(
    "db_client_operation_duration_seconds",
    "Operations of a service's store on MongoDB; a batch of messages is one load and one save",
    labels=(
        SERVICE,
        Label("db_operation_name", "a method of the store, such as `load` or `save`"),
        Label(
            "db_collection_name", "a kind of aggregate of the service; `several` for a write of more than one"
        ),
        Label("error_type", "empty, `StoreUnavailable` or `StoreRefused`"),
    ),
    recorded_in="chassis/store/mongodb.py",
    buckets=FINE_S,
)

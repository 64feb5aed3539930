"""Names of span attributes, from OpenTelemetry's semantic conventions 1.43.

Those of messaging are still in development, so they stand here and nowhere else. Sources: messaging
(https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/), HTTP (…/http/http-spans/), databases
(…/database/mongodb/). Names with the prefix `journey.` are our own.
"""

ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION_NAME = "messaging.operation.name"
MESSAGING_OPERATION_TYPE = "messaging.operation.type"
MESSAGING_DESTINATION_NAME = "messaging.destination.name"
MESSAGING_ROUTING_KEY = "messaging.rabbitmq.destination.routing_key"
MESSAGING_MESSAGE_ID = "messaging.message.id"
MESSAGING_CONVERSATION_ID = "messaging.message.conversation_id"
MESSAGING_BODY_SIZE = "messaging.message.body.size"
MESSAGING_BATCH_COUNT = "messaging.batch.message_count"
RABBITMQ = "rabbitmq"

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_SCHEME = "url.scheme"

DB_SYSTEM = "db.system.name"
DB_OPERATION = "db.operation.name"
DB_BATCH_SIZE = "db.operation.batch.size"
MONGODB = "mongodb"

ATTEMPT = "journey.attempt"
EFFECT = "journey.effect"
NEXT_STOP = "journey.next_stop"

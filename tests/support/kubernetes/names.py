"""Names, ports and paths that the manifests share."""

NAMESPACE = "order-journey"
PART_OF = "order-journey"
VHOST = "journey"

HTTP_PORT = 8080  # health, readiness, metrics and the internal API: HTTP_PORT of the images
PUBLIC_PORT = 8000
AMQPS_PORT = 5671
MANAGEMENT_PORT = 15671
BROKER_METRICS_PORT = 15691
MONGODB_PORT = 27017

CONTAINER = "service"  # of each Deployment, so that one patch fits all
CREDENTIALS = "/credentials"
CA_FILE = "/etc/journey/ca/ca.crt"
CA_CONFIG_MAP = "journey-ca"
SETTINGS_CONFIG_MAP = "journey-settings"
BROKER_CONFIG_MAP = "journey-broker"

# RabbitMQ's operator names the Service after the RabbitmqCluster. MongoDB's operator adds "-svc", and a SRV
# record for each member.
BROKER_HOST = f"rabbitmq.{NAMESPACE}.svc"
DATABASE_HOST = f"mongo-svc.{NAMESPACE}.svc.cluster.local"

NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
PART_OF_LABEL = "app.kubernetes.io/part-of"
BROKER_LABEL = "order-journey/broker"
DATABASE_LABEL = "order-journey/database"


def broker_secret(dns: str) -> str:
    """The Secret with the keys `username` and `password` of a program's broker user."""
    return f"{dns}-broker"


def database_secret(dns: str) -> str:
    """The Secret with the keys `username` and `password` of a program's database user."""
    return f"{dns}-database"


def tls_secret(dns: str) -> str:
    """The Secret of the type kubernetes.io/tls with the certificate of a program's HTTP API."""
    return f"{dns}-tls"


SERVICE_TOKEN_SECRET = "service-token"  # its key: token

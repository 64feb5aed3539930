"""The objects that exist before an overlay is applied: Secrets, and the certificate authority."""

from collections.abc import Mapping

from chassis.messaging.envelope import OPERATOR
from journey.admin.registry import shop_database_users, shop_topology
from tests.support.kubernetes import names
from tests.support.kubernetes.jobs import DATABASE_ADMIN
from tests.support.kubernetes.programs import dns_name, programs

LOGIN = ("username", "password")
TLS = ("tls.crt", "tls.key")
# The cluster operator reads the administrator from default_user.conf, and offers the other keys to clients.
BROKER_ADMIN = (*LOGIN, "default_user.conf", "host", "port", "provider", "type")


def secrets(overlay: str) -> Mapping[str, tuple[str, ...]]:
    """Name of a Secret -> its keys."""
    found: dict[str, tuple[str, ...]] = {
        names.broker_secret(dns_name(user.name)): LOGIN for user in shop_topology().users
    }
    found[names.broker_secret(OPERATOR)] = BROKER_ADMIN
    for user in (DATABASE_ADMIN, *(user.name for user in shop_database_users())):
        found[names.database_secret(dns_name(user))] = LOGIN
    for program in programs():
        found[names.tls_secret(program.dns)] = TLS
    found |= {"rabbitmq-tls": TLS, "mongo-tls": TLS, "shop-tls": TLS}
    found[names.SERVICE_TOKEN_SECRET] = ("token",)
    of_overlay: dict[str, tuple[str, ...]] = (
        {"mail-tls": TLS} if overlay == "local" else {"smtp": ("password",)}
    )
    return found | of_overlay


def config_maps() -> Mapping[str, tuple[str, ...]]:
    return {names.CA_CONFIG_MAP: ("ca.crt",)}

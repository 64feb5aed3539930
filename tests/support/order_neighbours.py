"""The services that exchange messages with order_svc, by their definitions."""

from journey.admin.registry import SERVICES

ORDER_SVC = "order_svc"


def _senders_to(service: str) -> set[str]:
    """The services whose messages a service handles."""
    return {contract.OWNER for contract in SERVICES[service]().by_type} if service in SERVICES else set()


def exchanging_with_order_svc() -> tuple[str, ...]:
    """order_svc, the services that handle its messages, and those whose messages it handles."""
    senders = _senders_to(ORDER_SVC)
    return tuple(name for name in SERVICES if name in senders or ORDER_SVC in _senders_to(name))


def part_in_orders(service: str) -> int:
    """3 if order_svc and the service handle each other's messages, 2 if only the service does, else 1."""
    if ORDER_SVC not in _senders_to(service):
        return 1
    return 3 if service in _senders_to(ORDER_SVC) else 2

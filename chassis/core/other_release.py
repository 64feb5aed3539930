"""Messages that another release of the same service handles.

During a rolling update the instances of both releases consume from the same queues. The topology of the newer
release already routes its new messages there, so an older instance receives them, too.
"""

from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import UNREADABLE, Malformed, WireMessage
from chassis.messaging.origin import Origin


class OtherRelease(Malformed):
    """This release cannot read or does not handle the message, and the topology says that another one does.

    Tools that know one release only may treat it as any other message that they cannot read.
    """


def why_other_release(wire_message: WireMessage, service: ServiceDefinition) -> str:
    """Why another release of the service has to judge this message; empty if this one can.

    Bindings exist for the exact wire types that some release handles, and the broker checks the sender's
    right to each of them. So a message that was routed here under its own type is no mistake of its sender.
    The release that knows its contract checks its sender, its exchange and its body.
    """
    wire_type = wire_message.type
    if not wire_type or wire_type in service.catalog or UNREADABLE in wire_message.headers:
        return ""
    origin = Origin.of(wire_message, service.name)
    names = service.catalog.names
    is_routed = origin.exchange in (names.commands, names.events) and origin.key == wire_type
    if not is_routed or not origin.user or origin.detour:
        return ""
    return (
        f"{wire_type!r} is unknown to this release of {service.name}, and the broker has a binding for it; "
        f"update {service.name}, or remove the binding (`journey topology apply --remove`)"
    )

"""RabbitMQ's sender-selected distribution (CC and BCC headers), for the in-memory broker."""

from dataclasses import replace

from chassis.messaging.envelope import WireMessage


def routing_keys(wire_message: WireMessage) -> tuple[list[str], WireMessage]:
    """The routing keys of a message, and the message as delivered.

    RabbitMQ also routes by the headers CC and BCC, checks no permission for them, and removes BCC before
    delivery.
    """
    copies = [wire_message.headers.get(name) for name in ("CC", "BCC")]
    keys = [str(key) for keys in copies if isinstance(keys, list) for key in keys]
    kept = (
        {name: value for name, value in wire_message.headers.items() if name != "BCC"}
        if keys
        else wire_message.headers
    )
    return [wire_message.routing_key, *keys], replace(wire_message, headers=kept) if keys else wire_message

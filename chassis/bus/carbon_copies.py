"""How RabbitMQ copies a message to further routing keys, for the broker in memory, which must do the same."""

from dataclasses import replace

from contracts.envelope import WireMessage


def routing_keys(wire_message: WireMessage) -> tuple[list[str], WireMessage]:
    """RabbitMQ routes by the headers CC and BCC too, checks no right for them, and delivers without BCC."""
    copies = [wire_message.headers.get(name) for name in ("CC", "BCC")]
    keys = [str(key) for keys in copies if isinstance(keys, list) for key in keys]
    kept = (
        {name: value for name, value in wire_message.headers.items() if name != "BCC"} if keys else wire_message.headers
    )
    return [wire_message.routing_key, *keys], replace(wire_message, headers=kept) if keys else wire_message

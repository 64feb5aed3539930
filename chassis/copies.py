"""How RabbitMQ copies a message to further routing keys, for the broker in memory, which must do the same."""

from dataclasses import replace

from contracts.envelope import Parcel


def routing_keys(parcel: Parcel) -> tuple[list[str], Parcel]:
    """RabbitMQ routes by the headers CC and BCC too, checks no right for them, and delivers without BCC."""
    copies = [parcel.headers.get(name) for name in ("CC", "BCC")]
    keys = [str(key) for keys in copies if isinstance(keys, list) for key in keys]
    kept = {name: value for name, value in parcel.headers.items() if name != "BCC"} if keys else parcel.headers
    return [parcel.routing_key, *keys], replace(parcel, headers=kept) if keys else parcel

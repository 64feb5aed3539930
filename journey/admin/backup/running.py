"""Whether instances of a service run, because its database must not change below them."""

from collections.abc import Mapping

import aio_pika
import httpx
from aiormq.exceptions import ChannelNotFoundEntity

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.core.definition import ServiceDefinition
from journey.admin import instances
from journey.admin.ssl_context import tls

_RESPONSE_S_MAX = 10.0


async def consumers(service: ServiceDefinition, amqp_url: str) -> int:
    """Consumers of its queues, now. Raises BusUnavailable."""
    count = 0
    async with aiormq_connection.broker_call(aiormq_connection.CONNECT_S_MAX):
        connection = await aio_pika.connect(amqp_url, client_properties={"connection_name": "restore"})
    async with connection:
        for queue in (service.events_queue, service.commands_queue):
            try:
                async with aiormq_connection.broker_call(_RESPONSE_S_MAX):
                    channel = await connection.channel()
                    declared = await channel.declare_queue(queue, passive=True)
                    count += declared.declaration_result.consumer_count or 0
            except ChannelNotFoundEntity:
                continue  # the topology is not applied yet
    return count


async def responding(service: ServiceDefinition, addresses: Mapping[str, str]) -> list[str]:
    """The addresses of its instances that respond.

    Raises httpx.HTTPError if something listens at an address and does not respond: it may be an instance.
    """
    found = []
    async with httpx.AsyncClient(timeout=_RESPONSE_S_MAX, verify=tls()) as http:
        for process, address in addresses.items():
            if instances.service_of(process) == service.name:
                try:
                    await http.get(f"{address}/healthz")
                except httpx.ConnectError:
                    continue
                found.append(address)
    return found

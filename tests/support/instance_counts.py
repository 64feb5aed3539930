"""What each running instance of a service counts: read from `/metrics`."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from journey.admin.instances import number_of, service_of

HANDLED = "journey_messages_handled_total"
CONFLICTS = "journey_write_conflicts_total"


async def counted(addresses: Mapping[str, str], service: str, metric: str, type_: str = "") -> dict[int, int]:
    """Instance number -> the sum of a counter, of messages of one type or of all types.

    `addresses`: by process name, as in `ShopEndpoints.http`.
    """
    own = {number_of(name): url for name, url in addresses.items() if service_of(name) == service}
    async with httpx.AsyncClient(timeout=30) as http:
        return {
            number: _sum((await http.get(f"{url}/metrics")).raise_for_status().text, metric, type_)
            for number, url in sorted(own.items())
        }


def _sum(text: str, metric: str, type_: str) -> int:
    samples = (
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == metric and (not type_ or sample.labels.get("type") == type_)
    )
    return int(sum(sample.value for sample in samples))

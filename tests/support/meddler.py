"""An operator who changes a running broker by hand."""

import re
from urllib.parse import quote

import httpx

from chassis.bus.topology_model import Policy
from contracts.catalog import NAMES
from journey.admin.registry import shop_topology
from tests.support.eventually import until

WAIT_S_MAX = 120.0


class Meddler:
    """Changes policies and bindings of one virtual host, through the management API."""

    def __init__(self, http: httpx.AsyncClient, vhost: str) -> None:
        self._http = http
        self._vhost = vhost

    async def bound(self, queue: str, messages: int) -> None:
        """The usual policy, with a much lower limit."""
        usual = usual_policy(queue)
        policy = {
            "pattern": f"^{queue.replace('.', '[.]')}$",
            "apply-to": "queues",
            "priority": 10,
            "definition": {**usual.definition, "max-length": messages},
        }
        (await self._http.put(f"policies/{self._vhost}/tight", json=policy)).raise_for_status()
        await until(lambda: self._policy(queue), lambda name: name == "tight", within_s=WAIT_S_MAX)

    async def unbound(self, queue: str) -> None:
        (await self._http.delete(f"policies/{self._vhost}/tight")).raise_for_status()
        await until(
            lambda: self._policy(queue), lambda name: name == usual_policy(queue).name, within_s=WAIT_S_MAX
        )

    async def unbind(self, queue: str, key: str) -> None:
        path = f"bindings/{self._vhost}/e/{NAMES.events}/q/{queue}/{quote(key, safe='')}"
        (await self._http.delete(path)).raise_for_status()

    async def _policy(self, queue: str) -> object:
        return (await self._http.get(f"queues/{self._vhost}/{queue}")).raise_for_status().json().get("policy")


def usual_policy(queue: str) -> Policy:
    return next(policy for policy in shop_topology().policies if re.search(policy.pattern, queue))

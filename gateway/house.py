"""Everything that the routes of the door need, put together once."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
from fastapi import APIRouter, Depends

from chassis import instances
from chassis.runtime import Runtime
from contracts.problem import answers
from gateway.access_versions import AccessVersions
from gateway.accounts import Accounts
from gateway.baskets import Baskets
from gateway.catalogue import Catalogue
from gateway.cookies import Cookies
from gateway.doorman import Doorman
from gateway.keys import Keys
from gateway.limits import Limits
from gateway.orders import Orders
from gateway.sessions import Sessions
from gateway.settings import GatewaySettings
from gateway.stream import Live
from gateway.upstream import Upstream


class House:
    """`visitor`, `member` and `staff` are dependencies for routes: Depends(house.member). `identified` says for an open
    stream who its reader is by now.

    `stopping` is set when the instance goes: streams then say farewell. `transports`: by the name of the service, for
    tests in which it does not listen.
    """

    def __init__(
        self, runtime: Runtime, settings: GatewaySettings, transports: Mapping[str, httpx.AsyncBaseTransport] = {}
    ) -> None:
        def upstream(name: str, url: str) -> Upstream:
            several = transports.get(name) or instances.transport(settings.instances_file)
            return Upstream(name, url, transport=several, limit_s=settings.upstream_s_max)

        self.runtime, self.settings = runtime, settings
        self.stopping = asyncio.Event()
        self.users = upstream("user_svc", settings.user_svc_url)
        self.products = upstream("product_svc", settings.product_svc_url)
        self.stock = upstream("inventory_svc", settings.inventory_svc_url)
        self.operations = upstream("operations", settings.operations_url)
        self.cookies = Cookies(settings.cookies_insecure)
        self.limits = Limits()
        self.versions = AccessVersions(runtime)
        self.accounts = Accounts(self.users, settings.service_token, self.versions)
        self.keys = Keys(self.users)
        self.sessions = Sessions(runtime, self.accounts, self.cookies, self.versions)
        self.orders = Orders(runtime, settings)
        self.baskets = Baskets(runtime, self.cookies)
        self.catalogue = Catalogue(self.products, self.stock)
        self.live = Live(runtime, self.stopping, timedelta(seconds=settings.order_deadline_s))
        doorman = Doorman(settings, self.keys, self.sessions, self.limits, self.versions)
        self.visitor, self.member, self.staff = doorman.visitor, doorman.member, doorman.staff
        self.identified = doorman.identified

    def api(self, tag: str, *, responses: Mapping[int | str, dict[str, Any]] = {}, **how: Any) -> APIRouter:
        """For programs. Who it is gets found out, and counted, before any of its routes."""
        usual = answers(400, 401, 403, 405, 413, 422, 429)
        # Without a content type a body is JSON, too: the threshold has refused what pages of other sites send.
        how = {"strict_content_type": False, **how}
        return APIRouter(tags=[tag], dependencies=[Depends(self.visitor)], responses={**usual, **responses}, **how)

    def pages(self, prefix: str = "") -> APIRouter:
        """For people; who it is as for an api."""
        return APIRouter(prefix=prefix, dependencies=[Depends(self.visitor)], include_in_schema=False)

    async def close(self) -> None:
        self.stopping.set()
        for upstream in (self.users, self.products, self.stock, self.operations):
            await upstream.close()

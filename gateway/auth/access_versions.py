"""Which access tokens are still valid: read from the gateway's database for every authenticated request.

Nothing is cached, so a change holds on every instance as soon as it is written. It is written when user_svc answers the
request that made the change, before that answer is passed on, and once more when the event about it arrives.
"""

from uuid import UUID

import httpx

from chassis import telemetry
from chassis.core.execute import execute, load_state
from chassis.runtime import Runtime
from chassis.store.protocol import StoreUnavailable
from contracts.access import USER_HEADER, VERSION_HEADER
from contracts.users import AccessChanged
from gateway.auth.access import Access
from gateway.service import ACCESS


class AccessVersions:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def required(self, user_id: UUID) -> int:
        """Access tokens of this user with a lower version do not count. Raises StoreUnavailable."""
        access: Access = await load_state(self._runtime, ACCESS, str(user_id))
        return access.version

    async def learn(self, response: httpx.Response) -> None:
        """Keeps what an answer of user_svc says about versions. If the database is away, the event is to come."""
        if not response.is_success or VERSION_HEADER not in response.headers:
            return
        try:
            user_id, version = UUID(response.headers[USER_HEADER]), int(response.headers[VERSION_HEADER])
            await execute(self._runtime, ACCESS, str(user_id), AccessChanged(user_id=user_id, version=version))
        except (KeyError, ValueError) as error:
            telemetry.log.warning("user_svc names no version that can be read", error=type(error).__name__)
        except StoreUnavailable:
            telemetry.log.warning("the new access version is not written yet: its event will bring it")

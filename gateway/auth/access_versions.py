"""Which access tokens are still valid: read from the gateway's database for every authenticated request.

Nothing is cached, so a change applies on every instance as soon as it is written. The gateway writes it
before it returns user_svc's response to the request that made the change, and again when the AccessChanged
event arrives.
"""

from uuid import UUID

import httpx

from chassis import telemetry
from chassis.core.execute import execute, load_state
from chassis.runtime import Runtime
from chassis.store.protocol import StoreUnavailable
from contracts.http.access import USER_HEADER, VERSION_HEADER
from contracts.users import AccessChanged
from gateway.auth.aggregates import REQUIRED_ACCESS_VERSIONS
from gateway.auth.required_access_version import RequiredAccessVersion


class AccessVersions:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def required(self, user_id: UUID) -> int:
        """The lowest valid version of the user's access tokens. Raises StoreUnavailable."""
        required: RequiredAccessVersion = await load_state(
            self._runtime, REQUIRED_ACCESS_VERSIONS, str(user_id)
        )
        return required.version

    async def learn(self, response: httpx.Response) -> None:
        """Stores the access version in a response of user_svc.

        If the database is unavailable, the event brings it.
        """
        if not response.is_success or VERSION_HEADER not in response.headers:
            return
        try:
            user_id, version = UUID(response.headers[USER_HEADER]), int(response.headers[VERSION_HEADER])
            changed = AccessChanged(user_id=user_id, version=version)
            await execute(self._runtime, REQUIRED_ACCESS_VERSIONS, str(user_id), changed)
        except (KeyError, ValueError) as error:
            telemetry.log.warning("user_svc sent an unreadable access version", error=type(error).__name__)
        except StoreUnavailable:
            telemetry.log.warning("access version not written: the AccessChanged event will bring it")

"""Identifies API clients by their access tokens."""

from chassis.web.jwks import JwksClient
from contracts.http import access
from contracts.http.access import NotValid
from gateway.auth.access_versions import AccessVersions
from gateway.auth.principal import Principal


class AccessTokens:
    def __init__(self, keys: JwksClient, versions: AccessVersions) -> None:
        self._keys = keys
        self._versions = versions

    async def identify(self, authorization: str) -> Principal | None:
        """The user of an Authorization header; None for schemes other than Bearer.

        Raises NotValid, UpstreamUnavailable, StoreUnavailable.
        """
        scheme, _, compact = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        compact = compact.strip()
        token = access.check(compact, await self._keys.lookup(access.kid_of(compact)))
        if token.access_version < await self._versions.required(token.user_id):
            raise NotValid("the password or the roles have changed; refresh the token, or log in again")
        return Principal(token.user_id, token.roles, compact)

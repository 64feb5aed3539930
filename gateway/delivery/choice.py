"""Where a request wants an order to be delivered, and the address that this means."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chassis.web.problems import WrongField
from contracts.http.users import AddressView, DeliveryAddress
from gateway.auth.principal import Principal
from gateway.auth.user_client import UserClient
from gateway.http.problems import ProblemError

ADDRESS_FIELD, LABEL_FIELD = "delivery_address", "delivery_address_label"
_NO_ADDRESS = (
    "needed, because the account has no address yet; or add one with POST /api/v1/users/me/addresses"
)
_NO_SUCH_LABEL = "the account has no address with this label"


@dataclass(frozen=True)
class DeliveryChoice:
    """`address`: the whole address. `label`: of one of the account's addresses. By default its first one."""

    address: DeliveryAddress | None = field(default=None, repr=False)
    label: str | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """What was requested, in canonical form; empty for the default."""
        if self.address is not None:
            return json.dumps(self.address.model_dump(mode="json"), sort_keys=True)
        return "" if self.label is None else json.dumps(self.label)


@dataclass(frozen=True)
class RequestedDelivery:
    """`text`: the choice, so that a repeated request can be compared. `resolve`: returns the address."""

    text: str = field(repr=False)
    resolve: Callable[[], Awaitable[AddressView]]


def delivery_for(user_client: UserClient, user: Principal, choice: DeliveryChoice) -> RequestedDelivery:
    """`resolve` raises a 422 that names the field, and UpstreamUnavailable if it must ask user_svc."""

    async def resolve() -> AddressView:
        if choice.address is not None:
            return AddressView.model_validate(choice.address)
        addresses = (await user_client.account(user)).addresses
        if choice.label is None:
            chosen = addresses[0] if addresses else None
        else:
            chosen = next((address for address in addresses if address.label == choice.label), None)
        if chosen is None:
            raise _missing(choice)
        return AddressView.model_validate(chosen)

    return RequestedDelivery(choice.text, resolve)


def _missing(choice: DeliveryChoice) -> ProblemError:
    if choice.label is not None:
        wrong = WrongField(pointer=f"#/{LABEL_FIELD}", detail=_NO_SUCH_LABEL)
    else:
        wrong = WrongField(pointer=f"#/{ADDRESS_FIELD}", detail=_NO_ADDRESS)
    return ProblemError("not-valid", errors=[wrong])

"""Encrypts delivery addresses with the key of their customer."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from pydantic import ValidationError

from chassis import telemetry
from chassis.core.execute import execute, load_state
from chassis.messaging.identity import derived_id
from chassis.runtime import Runtime
from contracts.http.users import AddressView
from gateway.delivery.address_key import AddressKey, AddressKeyStatus, CreateKey
from gateway.delivery.aggregates import ADDRESS_KEYS
from gateway.http.problems import ProblemError

_CREATE = "address key"


class AccountErased(ProblemError):
    """The account was erased while the request was in progress."""

    def __init__(self) -> None:
        super().__init__("log-in", "this account was erased")


class Sealing:
    """Seals and opens the addresses of one customer. `key`: a Fernet key; empty once it is erased."""

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def is_erased(self) -> bool:
        return not self._key

    def seal(self, address: AddressView) -> str:
        return Fernet(self._key).encrypt(address.model_dump_json().encode()).decode()

    def open(self, sealed: str) -> AddressView | None:
        """None without an address, and for one that can no longer be read."""
        if not sealed or self.is_erased:
            return None
        try:
            return AddressView.model_validate_json(Fernet(self._key).decrypt(sealed))
        except (InvalidToken, ValidationError) as error:
            telemetry.log.warning("a delivery address cannot be read", error=type(error).__name__)
            return None

    def digest(self, text: str) -> str:
        """Identifies the text, but only as long as the key exists. Empty for an empty text."""
        return hmac.new(self._key.encode(), text.encode(), sha256).hexdigest() if text else ""


class AddressSealing:
    """All methods raise StoreUnavailable while the database is unavailable."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def for_reading(self, customer_id: UUID) -> Sealing:
        """Opens nothing if the customer has no key, or no longer one."""
        return Sealing((await self._load(customer_id)).key)

    async def for_reading_many(self, customer_ids: Iterable[UUID]) -> dict[UUID, Sealing]:
        """By customer, in one read."""
        keys = {str(each): each for each in customer_ids}
        loaded = await self._runtime.store.load(ADDRESS_KEYS.kind, list(keys))
        return {keys[key]: Sealing(ADDRESS_KEYS.read(each).key) for key, each in loaded.items()}

    async def for_writing(self, customer_id: UUID) -> Sealing:
        """Creates a key if the customer has none. Raises AccountErased."""
        known = await self._load(customer_id)
        if known.status is AddressKeyStatus.NEW:
            # One message id, so that concurrent requests do not compete: the first one creates the key.
            key, create = str(customer_id), CreateKey(Fernet.generate_key().decode())
            once = derived_id(_CREATE, key)
            known = (await execute(self._runtime, ADDRESS_KEYS, key, create, message_id=once)).state
        if known.status is AddressKeyStatus.ERASED:
            raise AccountErased
        return Sealing(known.key)

    async def _load(self, customer_id: UUID) -> AddressKey:
        known: AddressKey = await load_state(self._runtime, ADDRESS_KEYS, str(customer_id))
        return known

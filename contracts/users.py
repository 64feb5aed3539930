"""What user_svc says. Ids only: names and addresses stay in user_svc."""

from uuid import UUID

from contracts.message import Event


class UserRegistered(Event, type="user.registered.v1", subject="user_id"):
    """Somebody has an account."""

    user_id: UUID


class UserErased(Event, type="user.erased.v1", subject="user_id"):
    """The account and everything personal in it are gone."""

    user_id: UUID

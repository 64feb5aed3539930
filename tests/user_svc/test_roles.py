"""Roles come over the broker, from the staff only, and show in the next access token."""

from chassis.memory import MemoryBus
from contracts import users
from contracts.envelope import OPERATOR, seal
from contracts.identity import new_id
from contracts.message import Command
from contracts.roles import Role
from tests.until import until
from tests.user_svc.house import Guest, House


async def tell(house: House, command: Command, answers: int) -> None:
    """As the operator, until so many events are out."""
    envelope = seal(command, id=str(new_id()), source=OPERATOR, now=house.now, correlation_id=command.subject)
    assert await MemoryBus(house.broker, OPERATOR).publish([envelope.parcel()]) == [None]
    await until(lambda: len(house.said()) >= answers)


async def test_a_role_is_in_the_next_access_token_until_it_is_revoked(house: House) -> None:
    ada = await house.moved_in()
    said = len(house.said())
    await tell(house, users.GrantRole(user_id=ada.user_id, role=Role.STAFF), said + 2)
    assert house.said_types()[-1] == users.RoleGranted.TYPE
    ada = Guest(house, (await house.refresh(ada.refresh_token)).json())
    assert (await ada.me())["roles"] == ["customer", "staff"]
    assert (await house.log_in()).json()["roles"] == ["customer", "staff"]
    await tell(house, users.RevokeRole(user_id=ada.user_id, role=Role.STAFF), said + 4)
    assert (await house.refresh(ada.refresh_token)).json()["roles"] == ["customer"]


async def test_a_role_for_nobody_is_refused_and_leaves_the_id_free(house: House) -> None:
    user_id = new_id()
    await tell(house, users.GrantRole(user_id=user_id, role=Role.STAFF), 1)
    assert house.said_types() == [users.UserCommandRefused.TYPE]
    ada = await house.moved_in(user_id=str(user_id))
    assert (await ada.me())["roles"] == ["customer"]

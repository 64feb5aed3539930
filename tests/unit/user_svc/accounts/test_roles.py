"""Role commands come over the broker, from the staff only, and take effect in the next access token."""

from chassis.bus.memory import MemoryBus
from chassis.messaging.envelope import OPERATOR, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from contracts import users
from contracts.catalog import CATALOG
from contracts.roles import Role
from tests.support.eventually import until
from tests.support.shops.user import LoggedInClient, UserApp


async def publish(user_app: UserApp, command: Command, responses: int) -> None:
    """Send the command as the operator, and wait for this many events."""
    envelope = wrap(
        command, id=str(new_id()), source=OPERATOR, now=user_app.now, correlation_id=command.subject
    )
    assert await MemoryBus(user_app.broker, OPERATOR).publish([envelope.wire_message(CATALOG)]) == [None]
    await until(lambda: len(user_app.published_messages()) >= responses)


async def test_a_granted_role_is_in_the_next_access_token(user_app: UserApp) -> None:
    ada = await user_app.logged_in_user()
    published_messages = len(user_app.published_messages())
    await publish(user_app, users.GrantRole(user_id=ada.user_id, role=Role.STAFF), published_messages + 2)
    assert user_app.published_types()[-1] == users.RoleGranted.TYPE
    ada = LoggedInClient(user_app, (await user_app.refresh(ada.refresh_token)).json())
    assert (await ada.me())["roles"] == ["customer", "staff"]
    assert (await user_app.log_in()).json()["roles"] == ["customer", "staff"]
    await publish(user_app, users.RevokeRole(user_id=ada.user_id, role=Role.STAFF), published_messages + 4)
    assert (await user_app.refresh(ada.refresh_token)).json()["roles"] == ["customer"]


async def test_a_role_for_an_unknown_user_is_refused(user_app: UserApp) -> None:
    user_id = new_id()
    await publish(user_app, users.GrantRole(user_id=user_id, role=Role.STAFF), 1)
    assert user_app.published_types() == [users.UserCommandRefused.TYPE]
    ada = await user_app.logged_in_user(user_id=str(user_id))
    assert (await ada.me())["roles"] == ["customer"]

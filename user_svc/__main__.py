"""`python -m user_svc`: run user_svc as its own process."""

from functools import partial

from chassis.runtime import run
from chassis.settings import load_settings
from user_svc.http.sessions_api import routes
from user_svc.service import user_service
from user_svc.settings import UserSettings


def main() -> None:
    settings: UserSettings = load_settings(UserSettings)
    run(
        user_service(),
        settings,
        routes=partial(routes, service_token=settings.service_token, policy=settings.auth_policy()),
    )


if __name__ == "__main__":
    main()

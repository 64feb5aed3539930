"""What the routes of user_svc need, built once per process: accounts, logins, signing keys,
and the login throttle.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from chassis.runtime import Runtime
from user_svc.accounts.account_service import AccountService
from user_svc.accounts.email_change_service import EmailChangeService
from user_svc.accounts.login_service import LoginService
from user_svc.auth.login_throttle import Throttle
from user_svc.auth.passwords import Passwords
from user_svc.settings import AuthPolicy
from user_svc.signing.signer import TokenSigner


class UserDependencies:
    def __init__(
        self,
        runtime: Runtime,
        service_tokens: Callable[[], Sequence[str]],
        passwords: Passwords | None,
        min_response_s: float,
        policy: AuthPolicy,
    ) -> None:
        self.service_tokens = service_tokens
        self.clock = runtime.clock
        self.signing = TokenSigner(runtime, lambda: service_tokens()[0], timedelta(days=policy.keys_days))
        self.logins = LoginService(runtime, self.signing, timedelta(seconds=policy.refresh_grace_s))
        self.accounts = AccountService(
            runtime, passwords or Passwords(), self.signing, self.logins, min_response_s, policy.mails_per_day
        )
        self.email_changes = EmailChangeService(runtime, self.accounts, self.logins, self.signing)
        self.throttle = Throttle(runtime, policy.tries_per_minute)

"""What the routes of user_svc need, built once per process: accounts, logins, signing keys,
and the login throttle.
"""

from datetime import timedelta

from chassis.runtime import Runtime
from user_svc.accounts.account_service import AccountService
from user_svc.accounts.login_service import LoginService
from user_svc.auth.login_throttle import Throttle
from user_svc.auth.passwords import Passwords
from user_svc.settings import AuthPolicy
from user_svc.signing.signer import TokenSigner


class UserDependencies:
    def __init__(
        self,
        runtime: Runtime,
        service_token: str,
        passwords: Passwords | None,
        min_response_s: float,
        policy: AuthPolicy,
    ) -> None:
        self.service_token = service_token
        self.signing = TokenSigner(runtime, service_token, timedelta(days=policy.keys_days))
        self.logins = LoginService(runtime, self.signing, timedelta(seconds=policy.refresh_grace_s))
        self.accounts = AccountService(
            runtime, passwords or Passwords(), self.signing, self.logins, min_response_s, policy.mails_per_day
        )
        self.throttle = Throttle(runtime.clock, policy.tries_per_minute)

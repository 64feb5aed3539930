"""What the doors of user_svc lead to, put together: accounts, log-ins, keys, and the watch over guessing."""

from datetime import timedelta

from chassis.runtime import Runtime
from user_svc.accounts import Accounts
from user_svc.log_ins import LogIns
from user_svc.passwords import Passwords
from user_svc.settings import Terms
from user_svc.signing import Signing
from user_svc.throttle import Throttle


class House:
    def __init__(
        self, runtime: Runtime, service_token: str, passwords: Passwords | None, even_s: float, terms: Terms
    ) -> None:
        self.service_token = service_token
        self.signing = Signing(runtime, service_token, timedelta(days=terms.keys_days))
        self.log_ins = LogIns(runtime, self.signing, timedelta(seconds=terms.refresh_grace_s))
        self.accounts = Accounts(
            runtime, passwords or Passwords(), self.signing, self.log_ins, even_s, terms.mails_per_day
        )
        self.throttle = Throttle(runtime.clock, terms.tries_per_minute)

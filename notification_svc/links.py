"""The shop page that a mail links to.

Some links contain a token that authenticates the recipient at user_svc.
"""

from urllib.parse import quote

from contracts.notifications import MailKind
from notification_svc.mail import Mail

_TOKEN_PAGES = {
    MailKind.USER_REGISTERED: "/proofs",
    MailKind.ADDRESS_PROOF: "/proofs",
    MailKind.PASSWORD_RESET: "/password-resets/confirm",
}
_PLAIN_PAGES = {
    MailKind.REGISTERED_AGAIN: "/login",
    MailKind.PASSWORD_CHANGED: "/password-resets",
}


class LinkTokenMissing(Exception):
    """The mail is useless without its link, and user_svc returned no token for it."""


def link(mail: Mail, shop_url: str, token: str | None) -> str:
    """Raises LinkTokenMissing."""
    if (page := _TOKEN_PAGES.get(mail.kind)) is not None:
        if not token:
            raise LinkTokenMissing
        return f"{shop_url}{page}?token={quote(token, safe='')}"
    return shop_url + _PLAIN_PAGES.get(mail.kind, f"/orders/{mail.about}")

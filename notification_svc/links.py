"""Where a mail leads: to a page of the shop. Some links hold a token, by which user_svc knows who followed them."""

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
    """The mail is of no use without its link, and user_svc gave no token for it."""


def link(mail: Mail, shop_url: str, token: str | None) -> str:
    """Raises NoLink."""
    if (page := _TOKEN_PAGES.get(mail.kind)) is not None:
        if not token:
            raise LinkTokenMissing
        return f"{shop_url}{page}?token={quote(token, safe='')}"
    return shop_url + _PLAIN_PAGES.get(mail.kind, f"/orders/{mail.about}")

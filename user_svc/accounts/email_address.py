"""The normal form of e-mail addresses, and which of them an account may have."""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from contracts.http.users import EMAIL_LENGTH_MAX

_NOT_AN_ADDRESS = "this is not an e-mail address"
_PARTS = re.compile(r"[^@\s]+@[^@\s]+")


def normalise_email(email: str) -> str:
    """The normal form in which an address is compared, stored and written to. Raises ValueError.

    ASCII only: look-alike letters cannot impersonate each other, and case folding cannot turn one mailbox
    into another (ß into ss). Apart from that only the two parts are checked, so that every account can log
    in, also one whose address is refused for new accounts now.
    """
    folded = unicodedata.normalize("NFKC", email.strip())
    if not folded.isascii():
        raise ValueError("use ASCII letters, and the xn-- form of an international domain")
    folded = folded.casefold()
    if len(folded) > EMAIL_LENGTH_MAX or not folded.isprintable() or not _PARTS.fullmatch(folded):
        raise ValueError(_NOT_AN_ADDRESS)
    return folded


def new_email(email: str) -> str:
    """The normal form of an address for a new account. Raises ValueError.

    email-validator checks the syntax and refuses domains that are reserved for other uses, such as localhost.
    It looks nothing up in the DNS. The reserved domain `test` is accepted, for shops under test.
    """
    folded = normalise_email(email)
    try:
        validate_email(
            folded, allow_smtputf8=False, check_deliverability=False, test_environment=True, strict=True
        )
    except EmailNotValidError:
        raise ValueError(_NOT_AN_ADDRESS) from None
    return folded

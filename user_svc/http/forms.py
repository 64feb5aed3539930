"""Request bodies with the rules that user_svc adds to contracts.http.users."""

from typing import Annotated

from pydantic import AfterValidator

from contracts.http import users
from contracts.values import Id
from user_svc.accounts.email_address import new_email, normalise_email

Email = Annotated[users.EmailText, AfterValidator(normalise_email)]
NewEmail = Annotated[users.EmailText, AfterValidator(new_email)]


class RegistrationBody(users.Registration):
    """The client may choose `user_id`, so that a repeated request creates only one account."""

    email: NewEmail
    user_id: Id | None = None


class EmailChangeBody(users.EmailChangeRequest):
    email: NewEmail


class EmailBody(users.EmailAddressOnly):
    email: Email


class CustomerLookupBody(users.CustomerLookup):
    email: Email


class LoginBody(users.Credentials):
    email: Email

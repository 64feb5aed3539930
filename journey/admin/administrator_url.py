"""The URL of a server with the credentials of its administrator, as the environment describes it."""

from collections.abc import Collection, Mapping
from pathlib import Path

from chassis.connection_urls import password_of, user_of, with_password
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable


def administrator_url(
    environ: Mapping[str, str], url_variable: str, password_variable: str, *, schemes: Collection[str]
) -> str:
    """The URL, with the password of the file that `password_variable` names, if it is set.

    Raises InfrastructureUnavailable with the variable's name, and without the URL's password, if the URL is
    missing, has another scheme, no user or no password, or if the file cannot be used.
    """
    url = environ.get(url_variable, "")
    if url.partition("://")[0] not in schemes:
        expected = " or ".join(f"{scheme}://" for scheme in schemes)
        raise InfrastructureUnavailable(
            f"{url_variable} is not set" if not url else f"{url_variable} must begin with {expected}",
            f"set {url_variable}, for example to {next(iter(schemes))}://admin@host",
        )
    if not user_of(url):
        raise InfrastructureUnavailable(
            f"{url_variable} names no user", "write the name of the administrator before the host: admin@host"
        )
    if file := environ.get(password_variable):
        return with_password(url, password_from(password_variable, Path(file)))
    if not password_of(url):
        raise InfrastructureUnavailable(
            f"{url_variable} has no password, and {password_variable} is not set",
            f"set {password_variable} to the name of a file that holds it",
        )
    return url


def password_from(variable: str, file: Path) -> str:
    """The password in the file. Raises InfrastructureUnavailable with the name of the variable."""
    try:
        password = file.read_text().strip()
    except OSError as error:
        raise InfrastructureUnavailable(
            f"{variable}: {file} cannot be read: {error.strerror}", "write the user's password into this file"
        ) from None
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise InfrastructureUnavailable(
            f"{variable}: {file} holds no password", "write the user's password into this file"
        )
    return password

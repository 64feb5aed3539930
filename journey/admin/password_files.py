"""Passwords in files: one file per secret, created once with a random content. And copies for services."""

import secrets
from collections.abc import Iterable
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import write_private


def existing_or_new(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Name -> content of the file. A missing file gets a random password.

    Raises InfrastructureUnavailable with the file's name if it is missing and cannot be created.
    """
    found = {}
    for name in names:
        file = directory / name
        try:
            if not file.exists():
                write_private(file, secrets.token_urlsafe(24))
            found[name] = file.read_text().strip()
        except OSError as error:
            raise InfrastructureUnavailable(
                f"the password file {file} can be neither read nor created: {error.strerror}",
                f"write a random password into it, for example with `openssl rand -hex 24 > {file}`",
            ) from None
    return found


def distribute(directory: Path, folders: Path) -> None:
    """Copy the files of each service to its own folder, so that it can read no other's.

    The folder NAME in `folders` gets the files NAME and mongo_NAME of `directory`, as far as they exist.
    Raises InfrastructureUnavailable with the file's name if one cannot be copied.
    """
    for folder in sorted(each for each in folders.iterdir() if each.is_dir()):
        for file in (directory / folder.name, directory / f"mongo_{folder.name}"):
            copy = folder / file.name
            try:
                if file.exists() and (not copy.exists() or copy.read_text() != file.read_text()):
                    write_private(copy, file.read_text())
            except OSError as error:
                raise InfrastructureUnavailable(
                    f"{file} cannot be copied to {folder}: {error.strerror}",
                    f"let the user of this program write into {folder}",
                ) from None

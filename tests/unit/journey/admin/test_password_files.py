"""Copies of passwords: each service gets its own, in a folder of its own."""

from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.password_files import distribute


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    """The directory with the passwords of all users, and one folder for each of two services."""
    directory = tmp_path / "passwords"
    directory.mkdir()
    for name in ("order_svc", "mongo_order_svc", "user_svc", "mongo_user_svc", "client", "service_token"):
        (directory / name).write_text(f"of {name}\n")
    for name in ("order_svc", "user_svc", "service_token", "unknown"):
        (tmp_path / "folders" / name).mkdir(parents=True)
    return directory


def contents(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Folder -> file -> content."""
    folders = (tmp_path / "folders").iterdir()
    return {folder.name: {file.name: file.read_text() for file in folder.iterdir()} for folder in folders}


EXPECTED = {
    "order_svc": {"order_svc": "of order_svc\n", "mongo_order_svc": "of mongo_order_svc\n"},
    "user_svc": {"user_svc": "of user_svc\n", "mongo_user_svc": "of mongo_user_svc\n"},
    "service_token": {"service_token": "of service_token\n"},
    "unknown": {},
}


def test_each_folder_gets_the_files_of_its_service_only(passwords: Path, tmp_path: Path) -> None:
    distribute(passwords, tmp_path / "folders")
    assert contents(tmp_path) == EXPECTED
    copies = [file for folder in EXPECTED for file in (tmp_path / "folders" / folder).iterdir()]
    assert [file.stat().st_mode & 0o777 for file in copies] == [0o600] * len(copies)


def test_a_replaced_password_replaces_its_copy_and_no_other(passwords: Path, tmp_path: Path) -> None:
    distribute(passwords, tmp_path / "folders")
    other = tmp_path / "folders" / "user_svc" / "user_svc"
    before = other.stat().st_ino
    (passwords / "order_svc").write_text("a new one\n")
    (passwords / "service_token").write_text("a new one\nan old one\n")
    distribute(passwords, tmp_path / "folders")
    assert contents(tmp_path) == EXPECTED | {
        "order_svc": {"order_svc": "a new one\n", "mongo_order_svc": "of mongo_order_svc\n"},
        "service_token": {"service_token": "a new one\nan old one\n"},
    }
    assert other.stat().st_ino == before, "an unchanged file is not written again"


def test_a_folder_that_cannot_be_written_is_named(passwords: Path, tmp_path: Path) -> None:
    copy = tmp_path / "folders" / "order_svc" / "order_svc"
    copy.mkdir()  # also root cannot replace a folder by a file
    with pytest.raises(InfrastructureUnavailable, match="order_svc cannot be copied to "):
        distribute(passwords, tmp_path / "folders")

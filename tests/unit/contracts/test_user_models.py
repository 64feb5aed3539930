"""The HTTP models of users exist once: services and gateway share them."""

import ast

from contracts.http import users
from contracts.http.users import Me, PostalAddress, Recipient, Registered, Registration, Tokens
from tests.support.source_files import PACKAGES, sources

FIELDS_OF_USERS = [
    frozenset(model.model_fields)
    for model in (Me, PostalAddress, Recipient, Registered, Registration, Tokens)
]


def test_no_other_package_declares_a_model_of_users_again() -> None:
    """Subclasses that refine a field are fine; a class with all the fields is a second declaration."""
    found = [
        f"{source.path}:{each.lineno}: {each.name}; use the model of contracts/http/users.py"
        for source in sources(*PACKAGES)
        if source.path.parts[:2] != ("contracts", "http")
        for each in ast.walk(source.tree)
        if isinstance(each, ast.ClassDef)
        and any(ast.unparse(base) in ("BaseModel", "RequestBody", "AccountRequest") for base in each.bases)
        and _fields(each) in FIELDS_OF_USERS
        and len(_fields(each)) > 1
    ]
    assert not found, "\n" + "\n".join(found)


def test_the_saved_address_has_the_fields_of_the_requested_one() -> None:
    assert set(users.SavedAddress.model_fields) == set(users.PostalAddress.model_fields)


def _fields(model: ast.ClassDef) -> frozenset[str]:
    return frozenset(
        line.target.id
        for line in model.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    )

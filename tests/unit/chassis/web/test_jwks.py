"""Which keys of a JWKS (RFC 7517) are used: public Ed25519 keys for signatures, by their key id."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from chassis.web.jwks import parse_jwks

PRIVATE = Ed25519PrivateKey.generate()
KEY: dict[str, Any] = OKPAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True)


def test_a_public_ed25519_key_is_found_by_its_id() -> None:
    keys = parse_jwks(
        {"keys": [KEY | {"kid": "first"}, KEY | {"kid": "second", "use": "sig", "alg": "EdDSA"}]}
    )
    assert list(keys) == ["first", "second"]
    assert all(isinstance(key, Ed25519PublicKey) for key in keys.values())
    assert keys["first"].public_bytes_raw() == PRIVATE.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "other",
    [
        KEY | {"use": "enc"},
        KEY | {"x": "AAAA"},
        KEY | {"x": 7},
        KEY | {"crv": "X25519"},
        KEY | {"kid": 7},
        KEY | {"kid": None},
        OKPAlgorithm.to_jwk(PRIVATE, as_dict=True),
        RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True),
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "unheard-of"},
        "no key",
    ],
    ids=[
        "encryption",
        "short",
        "number",
        "curve",
        "id",
        "no-id",
        "private",
        "rsa",
        "symmetric",
        "type",
        "text",
    ],
)
def test_another_key_in_the_set_is_ignored(other: Any) -> None:
    other = {"kid": "other"} | other if isinstance(other, dict) else other
    assert list(parse_jwks({"keys": [other, KEY | {"kid": "first"}]})) == ["first"]


@pytest.mark.parametrize(
    "jwks", [[], None, {}, {"keys": {}}, {"keys": []}, {"keys": "keys"}, {"keys": [7]}], ids=str
)
def test_without_a_usable_key_the_set_is_refused(jwks: Any) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        parse_jwks(jwks)


def test_a_set_with_very_many_keys_is_read_in_part() -> None:
    assert len(parse_jwks({"keys": [KEY | {"kid": str(number)} for number in range(100)]})) == 20

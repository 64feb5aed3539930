"""Conditional requests with ETags."""

import pytest

from gateway.http.etag import etag_matches

ETAG = '"received.1"'


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"placed.2", {ETAG}', True),
        ("*", True),
        ("", False),
        ("received.1", False),
        (f'"x{ETAG[1:]}', False),
    ],
)
def test_a_matching_etag_gets_304(given: str, known: bool) -> None:
    assert etag_matches(ETAG, given) is known

"""Names of clients: coarse, and never a text that the client chose."""

import pytest

from gateway.http.client_name import client_name

_MOZILLA = "Mozilla/5.0"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{_MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (f"{_MOZILLA} (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36 Edg/140.0", "Edge on Windows"),
        (f"{_MOZILLA} (Linux; Android 15) {_CHROME} Mobile Safari/537.36", "Chrome on Android"),
        (f"{_MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18 Safari/604", "Safari on iPhone"),
        (f"{_MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) Version/18 Safari/605", "Safari on macOS"),
        (f"{_MOZILLA} (owner: Ada Lovelace)", "A browser"),
        ("python-httpx/0.28 Ada Lovelace", "A program"),
        ("", "A program"),
    ],
)
def test_a_client_has_a_coarse_name(user_agent: str, name: str) -> None:
    assert client_name(user_agent) == name

"""URLs of brokers and databases: passwords, options and TLS."""

import pytest

from chassis import connection_urls as urls

SEVERAL = "mongodb://order_svc:o%40ne@a:1,b:2/?replicaSet=rs0"


def test_a_password_is_replaced_encoded_and_removed() -> None:
    assert urls.with_password(SEVERAL, "t/wo") == "mongodb://order_svc:t%2Fwo@a:1,b:2/?replicaSet=rs0"
    assert urls.without_password(SEVERAL) == "mongodb://order_svc@a:1,b:2/?replicaSet=rs0"
    assert urls.without_password("amqp://broker:5672/") == "amqp://broker:5672/"
    assert (urls.user_of(SEVERAL), urls.password_of(SEVERAL)) == ("order_svc", "o@ne")
    assert urls.user_of("mongodb://a:1,b:2/?x=y@z") == urls.password_of("amqp://broker/") == ""


@pytest.mark.parametrize("host", ["a:1,b:2/?x=y@z", "a:1?x=y@z", "a/v@host", "a"])
def test_an_at_sign_after_the_hosts_names_no_user(host: str) -> None:
    plain, named = f"mongodb://{host}", f"mongodb://me@{host}"
    assert urls.without_password(plain) == plain
    assert urls.without_password(f"mongodb://me:it@{host}") == named
    assert urls.with_password(named, "p@") == f"mongodb://me:p%40@{host}"


@pytest.mark.parametrize("url", ["amqp://broker:5672/", "mongodb://a:1,b:2/?x=y@z", "amqp://:pw@broker/"])
def test_a_url_without_a_user_gets_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="names no user; it must, before the host"):
        urls.with_password(url, "secret")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mongodb://a:1,b:2", "mongodb://a:1,b:2/?tlsCAFile=%2Fca"),
        ("mongodb://a/?tls=true", "mongodb://a/?tls=true&tlsCAFile=%2Fca"),
        ("mongodb://a/?tlscafile=own", "mongodb://a/?tlscafile=own"),
    ],
)
def test_an_option_is_added_unless_it_is_there(url: str, expected: str) -> None:
    assert urls.with_option(url, "tlsCAFile", "/ca") == expected


@pytest.mark.parametrize(
    "url",
    [
        "amqps://a/",
        "https://a",
        "smtps://a",
        "mongodb://a/?tls=true",
        "mongodb://a/?SSL=True",
        "mongodb+srv://a",
    ],
)
def test_addresses_with_tls_are_recognised(url: str) -> None:
    assert urls.uses_tls(url)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://a/",
        "http://a",
        "smtp://a",
        "mongodb://a,b/",
        "mongodb://a/?tls=false",
        "mongodb+srv://a/?tls=false",
    ],
)
def test_addresses_without_tls_are_recognised(url: str) -> None:
    assert not urls.uses_tls(url)


@pytest.mark.parametrize(
    ("user", "password", "public"),
    [("a", "guest", True), ("a", "ChangeMe", True), ("a", "a", True), ("a", "", False), ("a", "Xk2v", False)],
)
def test_default_passwords_are_public(user: str, password: str, public: bool) -> None:
    assert urls.is_public(user, password) is public

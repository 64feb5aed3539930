"""TLS by settings: what a client accepts, and which settings a service refuses to start with."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chassis import instances
from chassis.settings import BadSettings, Settings, load_settings
from chassis.web.app import Server
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from gateway.settings import GatewaySettings
from notification_svc.settings import NotificationSettings
from operations.settings import OperationsSettings
from tests.support.certificates import UNFIT, CertificateFiles, certificate_files

ENCRYPTED = {
    "amqp_url": "amqps://order_svc:s3cret@broker/journey",
    "mongo_url": "mongodb://order_svc:s3cret@mongo/?replicaSet=rs0&tls=true",
}


@asynccontextmanager
async def service(files: CertificateFiles | None) -> AsyncIterator[int]:
    """The HTTP server of a service, with the certificate of its settings; its port."""
    given: dict[str, Any] = {**ENCRYPTED, "http_port": 0}
    if files is not None:
        given |= {"tls_certificate_file": files.certificate, "tls_key_file": files.key}
    app = FastAPI()
    app.add_api_route("/stock", lambda: "there is some")
    server = Server(app, load_settings(Settings, **given))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.finish()
        await serving


def client(address: str, ca: Path | None, instances_file: Path | None = None) -> UpstreamClient:
    context = load_settings(Settings, **ENCRYPTED, tls_ca_file=ca).client_tls()
    transport = instances.transport(instances_file, context)
    return UpstreamClient("inventory_svc", address, transport=transport, verify=context)


@pytest.mark.parametrize("through_file", [False, True])
@pytest.mark.parametrize("flaw", ["", *UNFIT])
async def test_a_service_is_called_only_with_a_good_certificate(
    tmp_path: Path, flaw: str, through_file: bool
) -> None:
    files = certificate_files(tmp_path, flaw)
    async with service(files) as port:
        address = f"https://localhost:{port}"
        listed = tmp_path / "instances.json"
        listed.write_text(f'{{"inventory_svc": ["{address}"]}}')
        caller = client(address, files.ca, listed if through_file else None)
        try:
            if flaw:
                with pytest.raises(UpstreamUnavailable):
                    await caller.get("/stock")
            else:
                assert (await caller.get("/stock")).json() == "there is some"
        finally:
            await caller.close()


async def test_certificate_authorities_of_the_system_are_not_trusted(tmp_path: Path) -> None:
    files = certificate_files(tmp_path)
    async with service(files) as port:
        caller = client(f"https://localhost:{port}", None)
        with pytest.raises(UpstreamUnavailable):
            await caller.get("/stock")
        await caller.close()


async def test_a_service_with_a_certificate_accepts_nothing_in_the_clear(tmp_path: Path) -> None:
    async with service(certificate_files(tmp_path)) as port, httpx.AsyncClient() as http:
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://localhost:{port}/stock")


async def test_a_service_accepts_no_old_protocol(tmp_path: Path) -> None:
    files = certificate_files(tmp_path)
    old = ssl.create_default_context(cafile=str(files.ca))
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    async with service(files) as port:
        with pytest.raises(OSError):
            await asyncio.open_connection("localhost", port, ssl=old)


def test_the_certificate_authorities_reach_broker_and_database(tmp_path: Path) -> None:
    ca = certificate_files(tmp_path).ca
    settings = load_settings(Settings, **ENCRYPTED, tls_ca_file=ca)
    assert settings.broker_url() == f"{ENCRYPTED['amqp_url']}?cafile={str(ca).replace('/', '%2F')}"
    assert settings.database_url() == f"{ENCRYPTED['mongo_url']}&tlsCAFile={str(ca).replace('/', '%2F')}"


UPSTREAM = {
    "user_svc_url": "https://user_svc:8080",
    "product_svc_url": "https://product_svc:8080",
    "inventory_svc_url": "https://inventory_svc:8080",
    "service_token": "a-token-of-this-test",
}
OPERATED = {
    "amqp_url": ENCRYPTED["amqp_url"],
    "service_url": "https://{}:8080",
    "rabbitmq_management_url": "https://broker:15671",
}


@pytest.mark.parametrize(
    ("kind", "given", "refused"),
    [
        (Settings, ENCRYPTED | {"amqp_url": "amqp://order_svc:s3cret@broker/"}, "AMQP_URL"),
        (Settings, ENCRYPTED | {"mongo_url": "mongodb://order_svc:s3cret@mongo/"}, "MONGO_URL"),
        (Settings, ENCRYPTED | {"mongo_url": "mongodb+srv://u:s3cret@mongo/?tls=false"}, "MONGO_URL"),
        (GatewaySettings, ENCRYPTED | UPSTREAM | {"user_svc_url": "http://user_svc"}, "USER_SVC_URL"),
        (GatewaySettings, ENCRYPTED | UPSTREAM | {"operations_url": "http://operations"}, "OPERATIONS_URL"),
        (OperationsSettings, OPERATED | {"service_url": "http://{}:8080"}, "SERVICE_URL"),
        (
            OperationsSettings,
            OPERATED | {"rabbitmq_management_url": "http://broker:15672"},
            "RABBITMQ_MANAGEMENT_URL",
        ),
    ],
)
def test_with_tls_required_each_address_without_tls_is_refused(
    tmp_path: Path, kind: type[Settings], given: dict[str, Any], refused: str
) -> None:
    files = certificate_files(tmp_path)
    own = {"tls_certificate_file": files.certificate, "tls_key_file": files.key}
    load_settings(kind, **given | own)
    with pytest.raises(BadSettings, match=f"{refused}: .*TLS_REQUIRED is set"):
        load_settings(kind, **given | own, tls_required=True)


def test_with_tls_required_the_own_certificate_is_needed() -> None:
    with pytest.raises(BadSettings, match=r"TLS_CERTIFICATE_FILE: .*it is missing, and TLS_REQUIRED is set"):
        load_settings(Settings, **ENCRYPTED, tls_required=True)


def test_with_tls_required_everything_encrypted_is_accepted(tmp_path: Path) -> None:
    files = certificate_files(tmp_path)
    own: dict[str, Any] = {
        "tls_certificate_file": files.certificate,
        "tls_key_file": files.key,
        "tls_required": True,
    }
    load_settings(GatewaySettings, **ENCRYPTED | UPSTREAM | own, public_url="http://localhost:8080")
    load_settings(OperationsSettings, **OPERATED | own)
    mail = {"smtp_url": "smtp://mail", "shop_url": "http://localhost:8080"}
    load_settings(NotificationSettings, **ENCRYPTED | UPSTREAM | own | mail)


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"tls_ca_file": "nowhere.pem"}, "TLS_CA_FILE: .*there is no file nowhere.pem"),
        ({"tls_key_file": "nowhere.pem"}, "TLS_KEY_FILE: .*TLS_CERTIFICATE_FILE and TLS_KEY_FILE"),
    ],
)
def test_incomplete_files_are_named(given: dict[str, Any], refused: str) -> None:
    with pytest.raises(BadSettings, match=refused):
        load_settings(Settings, **ENCRYPTED | given)

"""Every list knows every service. A failure names the list, the service and the line to add.

docs/new-service.md describes how to add a service.
"""

import sys
from types import ModuleType

import pytest

from chassis.application import application_of
from journey.admin.registry import CONSUMING_SERVICES, PORTS, SERVICES
from journey.cli.watch import COLOURS
from operations.monitoring import service_map
from operations.settings import OperationsSettings
from tests.support.applications import parts_of
from tests.support.registration import LISTS
from tests.support.service_lists import with_services
from tests.support.source_files import PACKAGES, ROOT, SERVICE_PACKAGES, deciding, sources

UNKNOWN = "unknown_svc"


@pytest.mark.parametrize("name", LISTS)
def test_a_list_contains_every_service(name: str) -> None:
    wanted, complaints = LISTS[name]
    found = list(complaints(wanted))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("name", sorted(LISTS.keys() - {"setuptools"}))
def test_a_service_missing_in_a_list_is_named(name: str) -> None:
    """Otherwise the test above would pass because it checks nothing."""
    found = list(LISTS[name][1]([UNKNOWN]))
    assert found and all("unknown" in sentence for sentence in found)
    assert any(remedy in " ".join(found) for remedy in ("add", "write", "make documents", "the line"))


def test_every_package_but_the_tests_is_one_of_the_packages() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {
        path.name for path in ROOT.glob("*_svc")
    }
    assert found - {"tests", "tools"} == set(PACKAGES), "add it to PACKAGES in tests/support/source_files.py"


def test_the_registry_names_each_service_after_its_folder() -> None:
    assert {name: make().name for name, make in CONSUMING_SERVICES.items()} == {
        name: name for name in CONSUMING_SERVICES
    }
    assert set(SERVICES) <= set(SERVICE_PACKAGES)


@pytest.mark.parametrize("name", SERVICES)
def test_the_application_of_a_service_builds_its_definition(name: str) -> None:
    assert parts_of(name).service.name == name
    assert "APPLICATION.run()" in (ROOT / name / "__main__.py").read_text()


@pytest.mark.parametrize("package", ["tests", "empty_svc"])
def test_a_package_without_an_application_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "empty_svc.application", ModuleType("empty_svc.application"))
    monkeypatch.setitem(sys.modules, "empty_svc", ModuleType("empty_svc"))
    with pytest.raises(LookupError, match=rf"{package}/application.py: write APPLICATION = Application\("):
        application_of(package)


def test_derived_lists_contain_every_service() -> None:
    settings = OperationsSettings(
        amqp_url="amqp://operator:x@rabbit/journey",
        rabbitmq_management_url="http://rabbit:15672",
        service_url="http://{}:8080",
    )
    derived = {
        "settings of operations": settings.addresses,
        "service map": [node.name for node in service_map.nodes()],
        "colours": COLOURS,
        "ports": PORTS,
        "style rules": {source.path.parts[0] for source in sources()},
    }
    for what, known in derived.items():
        assert set(SERVICE_PACKAGES) <= set(known), what
    assert set(SERVICE_PACKAGES) <= {source.path.parts[0] for source in deciding()}, (
        "a service without a decider"
    )


def test_make_documents_adds_and_removes_services_in_lists() -> None:
    services = (*SERVICE_PACKAGES, UNKNOWN)
    text = (ROOT / "pyproject.toml").read_text()
    added = with_services(text, services)
    assert added.count(f'"{UNKNOWN}"') == text.count('"order_svc"')
    assert f"user_svc | {UNKNOWN} | gateway" in added
    assert with_services(added, SERVICE_PACKAGES) == with_services(text, SERVICE_PACKAGES) == text

"""A new service needs a few files only, and every rule of `make check` applies to it.

tests/support/sample_service.toml contains the service. A test breaks one rule at a time and sees the refusal.
"""

from dataclasses import dataclass

import pytest

from tests.support.new_service import BY_HAND, FILES, NAME, Checkout, add_service, copy_to

pytestmark = pytest.mark.timeout(900)  # its commands check types and imports of a whole checkout

GENERATED = {
    "README.md",
    "compose.tools.yaml",
    "journey/admin/broker/topology.json",
    "journey/admin/database/users.json",
    "pyproject.toml",
    "docs/permissions.md",
    "docs/retention.md",
    "deploy/observability/prometheus/prometheus.yml",
    "deploy/kubernetes/base/mongodb-users.yaml",
    "deploy/kubernetes/base/services/jobs.yaml",
    "deploy/kubernetes/base/services/kustomization.yaml",
    "deploy/kubernetes/base/services/operations.yaml",
    "docs/kubernetes.md",
}
RUFF = ("python", "-m", "ruff", "check", ".")
IMPORTS = ("lint-imports",)
MYPY = ("python", "-m", "mypy", "-p", NAME)
SCHEMATHESIS = "tests/conformance/http/test_schemathesis.py"
DAYS = "tests/simulation/test_regressions.py::test_each_recorded_regression_stays_fixed"
RULES = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/style/test_rules.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = copy_to(tmp_path_factory.mktemp("checkout") / "shop")
    add_service(made)
    return made


def test_a_new_service_changes_few_files_and_passes(checkout: Checkout) -> None:
    assert checkout.changed() == set(BY_HAND) | GENERATED
    tests = (
        "tests/style/test_names.py",
        "tests/style/test_registration.py",
        "tests/style/test_retention_doc.py",
        "tests/conformance/deciders/test_decision_tables.py",
        DAYS,
        f"tests/unit/{NAME}",
    )
    api = f"{SCHEMATHESIS}::test_a_service_conforms_to_its_openapi_document[{NAME}]"
    for command in (
        RUFF,
        ("python", "-m", "ruff", "format", "--check", "."),
        IMPORTS,
        MYPY,
        (*RULES, *tests, api),
    ):
        code, output = checkout.run(*command)
        assert code == 0, output


@dataclass(frozen=True)
class Break:
    """`old` in a file of the service becomes `new`; `command` must refuse that and print `complaint`."""

    file: str
    old: str
    new: str
    command: tuple[str, ...]
    complaint: str


BREAKS = {
    "random in a decider": Break(
        "decider.py",
        "            return RunEffect(Credit(award))",
        "            return RunEffect(Credit(award)) if random.random() < 1 else Decision(award)",
        (*RULES, "-k", "deciders_use_only"),
        "loyalty_svc/decider.py:18: random is banned here",
    ),
    "another module in a decider": Break(
        "decider.py",
        "from dataclasses import replace\n",
        "import random\nfrom dataclasses import replace\n",
        (*RULES, "-k", "deciders_import_only"),
        "loyalty_svc/decider.py: imports random",
    ),
    "a decider that the rules do not see": Break(
        "decider.py",
        " -> Decision[Award] | RunEffect:",
        ' -> "Decided":',
        (*RULES, "-k", "every_aggregate_is_checked"),
        "loyalty_svc: the rules for deciders do not see the one of 'awards'",
    ),
    "a driver in an API": Break(
        "api.py",
        "from fastapi import APIRouter\n",
        "from fastapi import APIRouter\nfrom motor import motor_asyncio\n",
        IMPORTS,
        "loyalty_svc.api -> motor",
    ),
    "an import of a sibling": Break(
        "api.py",
        "from loyalty_svc.award import Award,",
        "from order_svc.order import Order\nfrom loyalty_svc.award import Award,",
        IMPORTS,
        "loyalty_svc.api -> order_svc.order",
    ),
    "a cycle": Break(
        "award.py",
        "from contracts.values import NIL_UUID\n",
        "from contracts.values import NIL_UUID\nfrom loyalty_svc import decider\n",
        IMPORTS,
        "no cycles between packages, or between the modules of one BROKEN",
    ),
    "a type error": Break(
        "award.py",
        "POINTS = 10",
        'POINTS: int = "ten"',
        MYPY,
        "loyalty_svc/award.py:9: error: Incompatible types",
    ),
    "an unused import": Break(
        "award.py", "from uuid import UUID\n", "import json\nfrom uuid import UUID\n", RUFF, "F401"
    ),
    "a swallowed error": Break(
        "partner.py",
        "    yield credit\n",
        "    try:\n        yield credit\n    except Exception:\n        pass\n",
        (*RULES, "-k", "swallowed"),
        "loyalty_svc/partner.py:16: swallows every error",
    ),
    "an effect that fails in the simulation": Break(
        "partner.py",
        "    return Credited()",
        '    raise RuntimeError("no points")',
        ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", DAYS),
        "a dead letter that nothing explains: CreditPoints",
    ),
    "a message without its module in front": Break(
        "decider.py",
        "from contracts import loyalty, orders\n",
        "from contracts import loyalty, orders\nfrom contracts.loyalty import PointsCredited\n",
        (*RULES, "-k", "qualify_messages"),
        "loyalty_svc/decider.py: imports PointsCredited from contracts.loyalty",
    ),
    "a second class with one name": Break(
        "award.py",
        "POINTS = 10\n",
        "POINTS = 10\n\n\nclass BrokerUser:\n    pass\n",
        (*RULES, "-k", "no_two_public_classes"),
        "BrokerUser is the name of 2 classes",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_in_a_new_service_is_refused(name: str, checkout: Checkout) -> None:
    broken = BREAKS[name]
    file = f"{NAME}/{broken.file}"
    checkout.replace(file, broken.old, broken.new)
    try:
        code, output = checkout.run(*broken.command)
    finally:
        (checkout.root / file).write_text(FILES[file])
    assert code != 0 and broken.complaint in output, output

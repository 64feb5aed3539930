"""Each rule for the Kubernetes manifests refuses what breaks it."""

import pytest

from tests.support.kubernetes.broken_connections import NETWORK, REFERENCES
from tests.support.kubernetes.broken_platform import PLATFORM
from tests.support.kubernetes.broken_pods import PODS
from tests.support.kubernetes.broken_programs import PROGRAMS
from tests.support.kubernetes.rendered import rendered
from tests.support.kubernetes.rules import RULES

BREAKS = PROGRAMS | PODS | NETWORK | REFERENCES | PLATFORM


@pytest.mark.parametrize("name", BREAKS)
def test_a_rule_refuses(name: str) -> None:
    broken = BREAKS[name]
    found = list(broken.rule(rendered(broken.overlay).changed(broken.change)))
    assert any(broken.complaint in sentence for sentence in found), found


def test_every_rule_has_an_example_that_it_refuses() -> None:
    assert {each.rule for each in BREAKS.values()} == set(RULES)

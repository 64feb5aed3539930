"""The injected bug affects its article only, and is never active by accident."""

import pytest

from chassis.settings import BadSettings, load_settings
from inventory_svc.faults import with_fault
from inventory_svc.service import inventory_service
from inventory_svc.settings import InventorySettings
from tests.support.decision_tables import outcome_of
from tests.support.messages import CANCELLED, KETTLE, PLACED, RECEIVE, SHELVES

URLS = {"amqp_url": "amqp://inventory_svc@rabbitmq/journey", "mongo_url": "mongodb://mongo/?replicaSet=rs0"}


def test_only_orders_with_the_faulty_article_raise() -> None:
    whole, broken = inventory_service(), with_fault(inventory_service(), KETTLE)
    with pytest.raises(RuntimeError, match=f"INVENTORY_FAULT_SKU={KETTLE}"):
        outcome_of(broken.by_type[type(PLACED)], [PLACED], SHELVES)
    without = PLACED.model_copy(update={"lines": PLACED.lines[1:]})
    for story in ([without], [without, CANCELLED], [RECEIVE]):
        kind = type(story[0])
        assert outcome_of(broken.by_type[kind], story, SHELVES) == outcome_of(
            whole.by_type[kind], story, SHELVES
        )


def test_without_the_switch_nothing_is_broken() -> None:
    service = inventory_service()
    assert with_fault(service, "") is service
    assert load_settings(InventorySettings, **URLS).inventory_fault_sku == ""


def test_the_switch_is_refused_where_faults_are_not_allowed() -> None:
    with pytest.raises(BadSettings, match=r"INVENTORY_FAULT_SKU: .*JOURNEY_ALLOW_FAULTS"):
        load_settings(InventorySettings, **URLS, inventory_fault_sku=KETTLE)
    allowed = load_settings(InventorySettings, **URLS, inventory_fault_sku=KETTLE, journey_allow_faults=True)
    assert allowed.inventory_fault_sku == KETTLE

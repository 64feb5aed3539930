"""The card provider of the simulation."""

from typing import Any

from chassis.core.definition import EffectHandler
from tests.simulation import virtual_time
from tests.simulation.external_services import ProviderLine
from tests.simulation.instance import Instance


def effect_handler(instance: Instance) -> EffectHandler[Any, Any]:
    world = instance.world
    return world.performs(ProviderLine(world.provider, instance, world.name), virtual_time.now)

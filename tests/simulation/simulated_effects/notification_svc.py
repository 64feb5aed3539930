"""The mail server of the simulation."""

from typing import Any

from chassis.core.definition import EffectHandler
from tests.simulation.external_services import MailBox
from tests.simulation.instance import Instance


def effect_handler(instance: Instance) -> EffectHandler[Any, Any]:
    world = instance.world
    return MailBox(world.post, instance, world.name).deliver

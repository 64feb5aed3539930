"""The simulated outside world of services with effects: one module for each, named after the service.

Its function `effect_handler(instance)` returns the handler that the service gets in the simulation.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.core.definition import EffectHandler

if TYPE_CHECKING:
    from tests.simulation.instance import Instance

FOLDER = Path(__file__).parent
SIMULATED_EFFECTS = frozenset(path.stem for path in FOLDER.glob("*_svc.py"))
"""The services whose effects have a simulated outside world."""


def effect_handler(instance: "Instance") -> EffectHandler[Any, Any]:
    module = import_module(f"{__name__}.{instance.name}")
    make: Callable[[Instance], EffectHandler[Any, Any]] = module.effect_handler
    return make(instance)

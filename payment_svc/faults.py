"""The faults of the simulated card provider that staff can switch on. Never for production."""

from collections.abc import Iterable

from chassis.fault_switches import SwitchableFault
from payment_svc.simulator import SLOW_S, ProviderFault, SimulatedProvider

_DESCRIPTIONS = {
    ProviderFault.SLOW: f"the card provider responds {SLOW_S:g} s later",
    ProviderFault.DECLINING: "the card provider declines every new authorisation",
    ProviderFault.SILENT: "the card provider does not respond, and does nothing",
}


def provider_faults(provider: SimulatedProvider) -> Iterable[SwitchableFault]:
    return (_fault(provider, kind, description) for kind, description in _DESCRIPTIONS.items())


def _fault(provider: SimulatedProvider, kind: ProviderFault, description: str) -> SwitchableFault:
    async def switch(on: bool) -> None:
        if on:
            provider.faults.add(kind)
        else:
            provider.faults.discard(kind)

    return SwitchableFault(kind.value, description, switch)

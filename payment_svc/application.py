"""What payment_svc runs: its definition, its routes, and its simulated card provider."""

from chassis.application import Application, ApplicationParts, OpenStore
from payment_svc.faults import provider_faults
from payment_svc.service import payment_service
from payment_svc.settings import PaymentSettings
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator


def build(settings: PaymentSettings, open_store: OpenStore) -> ApplicationParts:
    provider = SimulatedProvider(open_store(settings.provider_database), settings.simulator_latency_ms)
    routes, effects = with_simulator(provider, faults=settings.journey_allow_faults)
    faults = tuple(provider_faults(provider))
    return ApplicationParts(payment_service(settings.ttl), routes, effects, faults=faults)


APPLICATION = Application(PaymentSettings, build)

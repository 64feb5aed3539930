"""`python -m payment_svc`: run payment_svc as its own process, with its simulated card provider."""

from chassis.runtime import run
from chassis.settings import load_settings
from chassis.store.mongodb import MongoStore
from payment_svc.service import payment_service
from payment_svc.settings import PaymentSettings
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator


def main() -> None:
    settings: PaymentSettings = load_settings(PaymentSettings)
    store = MongoStore(settings.mongo_url, settings.provider_database, settings.mongo_driver)
    provider = SimulatedProvider(store, settings.simulator_latency_ms)
    routes, effects = with_simulator(provider, faults=settings.journey_allow_faults)
    run(payment_service(settings.ttl), settings, routes=routes, effects=effects)


if __name__ == "__main__":
    main()

"""The JSON files of all dashboards."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tests.support.dashboards import infrastructure, shop

FOLDER = Path("deploy/observability/grafana/dashboards")
_BUILDERS = (
    shop.journey,
    shop.service,
    shop.gateway,
    infrastructure.messages,
    infrastructure.dead_letters,
    infrastructure.rabbitmq,
    infrastructure.mongodb,
)


def dashboard_files() -> dict[Path, str]:
    """File -> JSON, as Grafana provisions it."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    built = [build().build() for build in _BUILDERS]
    return {FOLDER / f"{board.uid}.json": encoder.encode(board) + "\n" for board in built}

"""Panels and the frame that all dashboards share, built with Grafana's Foundation SDK."""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, QueryVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel

Panel = Builder[PanelModel]
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
TAG = "order-journey"
_WIDTH, _HEIGHT = 12, 8
_STAT_WIDTH, _STAT_HEIGHT = 6, 4


@dataclass(frozen=True)
class Query:
    """One PromQL expression. `legend`: the name of a series, with labels in double braces."""

    expression: str
    legend: str = ""
    exemplars: bool = False


def dashboard(name: str, title: str, description: str) -> Dashboard:
    """An empty dashboard. Its file is called `name`, which is also its id in URLs."""
    others = DashboardLink("Order Journey").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        Dashboard(title)
        .uid(name)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .link(others.as_dropdown(True).keep_time(True))
    )


def with_panels(board: Dashboard, *panels: Panel) -> Dashboard:
    """The dashboard with these panels added, from left to right and from top to bottom."""
    for panel in panels:
        board = board.with_panel(panel)
    return board


def lines(title: str, meaning: str, unit: str, *queries: Query) -> TimeSeries:
    """Lines over time. `unit`: a unit of Grafana, such as `s` or `reqps`."""
    legend = options.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = options.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = (
        TimeSeries()
        .title(title)
        .description(meaning)
        .unit(unit)
        .min(0)
        .datasource(PROMETHEUS)
        .legend(legend.show_legend(True))
        .tooltip(tooltip)
        .span(_WIDTH)
        .height(_HEIGHT)
    )
    for reference, query in zip("ABCDEF", queries, strict=False):
        panel = panel.with_target(_target(query).ref_id(reference))
    return panel


def number(title: str, meaning: str, unit: str, query: Query) -> Stat:
    """One number: the present value."""
    return (
        Stat()
        .title(title)
        .description(meaning)
        .unit(unit)
        .datasource(PROMETHEUS)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(_STAT_WIDTH)
        .height(_STAT_HEIGHT)
        .with_target(_target(query).ref_id("A"))
    )


def choice(label: str, expression: str) -> QueryVariable:
    """A variable named like the label, whose values are those of the label in the series of `expression`."""
    return (
        QueryVariable(label)
        .datasource(PROMETHEUS)
        .query(f"label_values({expression}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def percentiles(metric: str, selector: str = "", by: str = "") -> tuple[Query, ...]:
    """The 50th, 95th and 99th percentile of a histogram, for each value of the label `by`."""
    labels = f"le, {by}" if by else "le"
    name = "{{" + by + "}} " if by else ""
    buckets = f"sum by ({labels}) (rate({metric}_bucket{selector}[$__rate_interval]))"
    return tuple(
        Query(
            f"histogram_quantile({share}, {buckets})",
            f"{name}p{share * 100:.0f}",
            exemplars=True,
        )
        for share in (0.5, 0.95, 0.99)
    )


def percentile(share: float, metric: str, by: str, selector: str = "") -> Query:
    """One percentile of a histogram, for each value of the labels `by`."""
    legend = " ".join("{{" + label.strip() + "}}" for label in by.split(","))
    return Query(
        f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{selector}[$__rate_interval])))",
        legend,
        exemplars=True,
    )


def rate(counter: str, by: str, selector: str = "") -> Query:
    """Events per second of a counter, for each value of the labels `by`."""
    legend = " ".join("{{" + label.strip() + "}}" for label in by.split(","))
    return Query(f"sum by ({by}) (rate({counter}{selector}[$__rate_interval]))", legend)


def _target(query: Query) -> Dataquery:
    target = Dataquery().expr(query.expression).legend_format(query.legend or "__auto").range()
    return target.exemplar(True) if query.exemplars else target

"""The waterfall and the sequence diagram on an order's page."""

import re
from xml.etree import ElementTree

import pytest

from journey.admin.diagnosis.timeline import build_timeline
from journey.admin.diagnosis.waterfall import BarKind, build_waterfall
from operations.orders.diagrams import DrawnCut, OrderDiagrams
from tests.support.history_fixtures import after, confirmed, pending
from tests.support.shops.operations import OperationsApp


def diagrams_of(*silent: str) -> OrderDiagrams:
    history = confirmed().without(*silent)
    messages = build_timeline(history, pending(history))
    return OrderDiagrams(build_waterfall(messages, history.silent, now=after(1.0)))


def test_bars_stand_at_their_times_and_are_never_invisible() -> None:
    diagrams = diagrams_of()
    [authorize] = [row for row in diagrams.waterfall.rows if row.message_id == "Authorize"]
    [queue, handling, effect, last] = diagrams.bars(authorize)
    assert (queue.kind, effect.kind) == (BarKind.QUEUE, BarKind.EFFECT)
    assert effect.x == 11.11 and effect.width == 33.33, "from 0.1 s to 0.4 s of 0.9 s"
    assert last.width == 0.5, "it took no time"
    assert all(bar.x + bar.width <= 100.01 for row in diagrams.waterfall.rows for bar in diagrams.bars(row))
    assert handling.width == 1.11


@pytest.mark.parametrize(("x", "label"), [(40.0, (44.0, "middle")), (92.0, (100, "end"))])
def test_the_label_of_a_pause_stays_in_the_chart(x: float, label: tuple[float, str]) -> None:
    cut = DrawnCut(x, 8.0, "12.6 s")
    assert (cut.label_x, cut.label_anchor) == label


def test_arrows_lead_from_sender_to_consumer() -> None:
    drawn = diagrams_of().sequence
    assert [lifeline.name for lifeline in drawn.lifelines][:3] == ["outside", "order_svc", "payment_svc"]
    outside, order, *_ = (lifeline.x for lifeline in drawn.lifelines)
    assert drawn.arrows[0].path.startswith(f"M{outside:.0f} ")
    assert drawn.arrows[0].path.endswith(f"H{order - 2:.0f}")
    [own] = [arrow for arrow in drawn.arrows if arrow.row.message_id == "Authorize"]
    assert "h30v10h-28" in own.path
    assert max(arrow.y for arrow in drawn.arrows) < drawn.height


async def test_an_order_shows_where_its_time_went(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    page = await operations_app.page(f"/ops/orders/{await operations_app.ordered()}")
    waterfall = section(page, "time")
    assert re.findall(r'scope="rowgroup"[^>]*>(\w+)', waterfall) == [
        *("order_svc", "inventory_svc", "payment_svc"),
        *(("notification_svc",) if "notification_svc</th>" in waterfall else ()),
    ]
    assert re.search(r"Authorize</th>.*? ms in queue, \d+ ms handling, \d+ ms effect", waterfall, re.DOTALL)
    assert 'class="bar effect"' in waterfall
    sequence = section(page, "sequence")
    assert "<desc" in sequence and "The diagram as a table" in sequence
    assert re.search(
        r"OrderPlaced</th><td data-label=\"From\">order_svc</td><td data-label=\"To\">inventory", sequence
    )
    assert "style=" not in waterfall + sequence, "the content security policy forbids it"


async def test_a_declined_payment_is_in_the_diagrams(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    page = await operations_app.page(f"/ops/orders/{await operations_app.ordered(card='tok_declined')}")
    assert "PaymentDeclined</text>" in section(page, "sequence")


async def test_a_silent_service_is_marked_as_unknown(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered()
    operations_app.services.away = {"payment_svc"}
    waterfall = section(await operations_app.page(f"/ops/orders/{order_id}"), "time")
    assert "does not respond</span>" in waterfall and 'class="bar unknown"' in waterfall
    assert "unknown: payment_svc does not respond" in waterfall


async def test_a_message_links_to_its_list_entry(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    page = await operations_app.page(f"/ops/orders/{await operations_app.ordered()}")
    links = re.findall(r'<a href="#(m-[^"]+)"', section(page, "time"))
    assert links and all(f'<li id="{link}"' in page for link in links)


def section(page: str, heading: str) -> str:
    """The section with this heading; its SVG is well-formed."""
    found = re.search(rf'<section[^>]*aria-labelledby="{heading}">.*?</section>', page, re.DOTALL)
    assert found, heading
    for drawn in re.findall(r"<svg.*?</svg>", found[0], re.DOTALL):
        ElementTree.fromstring(drawn)
    return found[0]

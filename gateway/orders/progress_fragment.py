"""The HTML fragment of an order's progress: part of the order's page,
and sent again when the progress changes.
"""

from typing import Any

from gateway.orders.authorized_order import AuthorizedOrder
from gateway.orders.progress import OrderProgress
from gateway.orders.timeline import OrderTimeline
from gateway.web.templating import TEMPLATES


def render_fragment(progress: OrderProgress, order: AuthorizedOrder, timeline: OrderTimeline) -> str:
    return TEMPLATES.get_template("_journey.html").render(progress_context(progress, order, timeline))


def progress_context(
    progress: OrderProgress, order: AuthorizedOrder, timeline: OrderTimeline
) -> dict[str, Any]:
    """The context of _journey.html. `timeline`: the newest one, whereas `order` may be older."""
    return {
        "progress": progress,
        "order_id": order.order_id,
        "seq": timeline.seq,
        "owned": timeline.customer_id == order.user.user_id,
    }

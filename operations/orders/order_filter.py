"""What staff search orders by: the fields of the search form, checked, as order_svc's query."""

import re
from collections.abc import Mapping
from datetime import date
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from contracts.http.orders import OrderStatus
from contracts.values import Sku
from operations.web.forms import StaffForm

FIELDS = ("q", "customer", "status", "sku", "from", "until")
STATUSES = tuple(status.value for status in OrderStatus if status is not OrderStatus.NEW)
_TEXT_MAX = 64
_NUMBER = re.compile(r"[0-9a-f]{4,32}")
_SKU: TypeAdapter[str] = TypeAdapter(Sku)
_HINTS = {
    "q": "Enter the whole id, or its last digits, e.g. 7F3A9B: at least four of 0 to 9 and A to F.",
    "customer": "Enter the whole id of the customer, e.g. 0198c0de-….",
    "status": "Choose one of the statuses.",
    "sku": "Use letters, digits and dashes, e.g. KETTLE-BLUE; 32 characters at most.",
    "from": "Enter a day, e.g. 2031-05-06.",
    "until": "Enter a day, e.g. 2031-05-06.",
}


class OrderFilter:
    """`form`: the input, with an error for each wrong field. `order_id`: if a whole id was given.

    `query`: the parameters of order_svc's search, empty for fields that are not given.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self.form = StaffForm({name: given.get(name, "").strip()[:_TEXT_MAX] for name in FIELDS})
        self.order_id = _uuid(self.form["q"])
        days = {name: self._day(name) for name in ("from", "until")}
        if days["from"] and days["until"] and days["from"] > days["until"]:
            self.form.errors["until"] = "The last day is before the first one."
        self.query = {
            "number": self._number(),
            "customer_id": self._customer(),
            "status": self._status(),
            "sku": self._sku(),
            "placed_from": str(days["from"] or ""),
            "placed_until": str(days["until"] or ""),
        }

    @property
    def given(self) -> dict[str, str]:
        """The fields that are filled in, for links and for the form of the export."""
        return {name: text for name, text in self.form.given.items() if text}

    @property
    def description(self) -> str:
        """For the audit log."""
        used = [f"{name.replace('_', ' ')} {value}" for name, value in self.query.items() if value]
        return ", ".join(used) or "all orders"

    def _number(self) -> str:
        if self.order_id is not None:
            return self.order_id.hex
        text = self.form["q"].removeprefix("#").replace("-", "").lower()
        return text if not text or _NUMBER.fullmatch(text) else self._refuse("q")

    def _customer(self) -> str:
        text = self.form["customer"]
        if not text:
            return ""
        return str(_uuid(text) or self._refuse("customer"))

    def _status(self) -> str:
        text = self.form["status"]
        return text if not text or text in STATUSES else self._refuse("status")

    def _sku(self) -> str:
        text = self.form["sku"].upper()
        try:
            return _SKU.validate_python(text) if text else ""
        except ValidationError:
            return self._refuse("sku")

    def _day(self, name: str) -> date | None:
        text = self.form[name]
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self._refuse(name)
            return None

    def _refuse(self, name: str) -> str:
        self.form.errors[name] = _HINTS[name]
        return ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

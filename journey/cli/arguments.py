"""Arguments of commands, checked by the models of messages and values."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.values import OrderLine
from journey.cli.console import UsageError

Checked = TypeVar("Checked", bound=BaseModel)


def order_line(text: str) -> OrderLine:
    """Parse `SKU=QUANTITY`. Raises UsageError."""
    sku, separator, quantity = text.partition("=")
    if not separator or not quantity.lstrip("-").isdigit():
        raise UsageError(f"{text!r} is not SKU=QUANTITY, e.g. TEA-GREEN=2")
    return checked(OrderLine, sku=sku, quantity=int(quantity))


def checked(kind: type[Checked], **values: Any) -> Checked:
    """Build a message or a value from arguments. Raises UsageError with the first wrong field."""
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

"""Places an order, follows it, cancels it, and prints each event.

AMQP_URL=… python main.py CUSTOMER_ID SKU=QUANTITY…
"""

import os
import sys

from pika.exceptions import AMQPError
from shop import Shop


def main(customer_id: str, *words: str) -> None:
    lines = {sku: int(quantity) for sku, _, quantity in (word.partition("=") for word in words)}
    with Shop(os.environ["AMQP_URL"]) as shop:
        order_id = shop.place(customer_id, lines, "tok_visa")
        print(order_id)
        for event in shop.follow(order_id):
            print(event["type"])
        shop.cancel(order_id, customer_id)
        for event in shop.follow(order_id, until=("order.cancelled.v1", "order.cancellation_refused.v1")):
            print(event["type"])


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AMQPError as error:
        sys.exit(f"{type(error).__name__}: {error}")

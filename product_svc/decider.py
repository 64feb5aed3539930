"""The catalogue's rules: every change raises the revision, whatever changes nothing is not told."""

from dataclasses import replace

from chassis.decision import Decision, OutOfTurn
from contracts import products
from product_svc.product import Product, RenewWords, Status

Heard = products.ListProduct | products.ChangePrice | products.WithdrawProduct


def decide(product: Product, message: Heard | RenewWords) -> Decision[Product]:
    match product.status, message:
        # into the catalogue
        case Status.LISTED, products.ListProduct() if same_listing(product, message):
            return Decision(product.with_current_words())  # a catalogue that is seeded twice
        case _, products.ListProduct():
            return list_product(product, message)

        # another price
        case Status.LISTED, products.ChangePrice(price=price) if price == product.price:
            return Decision(product)
        case Status.LISTED, products.ChangePrice(price=price):
            return change_price(product.revised(Status.LISTED, price))
        case Status.WITHDRAWN, products.ChangePrice():
            return refuse(product, message, "it is withdrawn; list it again, at the new price")

        # out of the catalogue
        case Status.LISTED, products.WithdrawProduct():
            return withdraw(product.revised(Status.WITHDRAWN))
        case Status.WITHDRAWN, products.WithdrawProduct():
            return Decision(product)

        # an earlier version stored other words
        case Status.LISTED | Status.WITHDRAWN, RenewWords():
            return Decision(product.with_current_words())

        case Status.NEW, products.ChangePrice() | products.WithdrawProduct():
            return refuse(product, message, "it was never listed")
        case _:
            raise OutOfTurn(product, message)


def same_listing(product: Product, asked: products.ListProduct) -> bool:
    listed = (product.title, product.description, product.category, product.price)
    return listed == (asked.title, asked.description, asked.category, asked.price)


def list_product(product: Product, asked: products.ListProduct) -> Decision[Product]:
    described = replace(
        product,
        sku=asked.sku,
        title=asked.title,
        description=asked.description,
        category=asked.category,
    )
    listed = described.with_current_words().revised(Status.LISTED, asked.price)
    news = products.ProductListed(
        sku=listed.sku,
        title=listed.title,
        category=listed.category,
        price=listed.price,
        revision=listed.revision,
    )
    return Decision(listed, news)


def change_price(changed: Product) -> Decision[Product]:
    news = products.PriceChanged(sku=changed.sku, price=changed.price, revision=changed.revision)
    return Decision(changed, news)


def withdraw(withdrawn: Product) -> Decision[Product]:
    return Decision(withdrawn, products.ProductWithdrawn(sku=withdrawn.sku, revision=withdrawn.revision))


def refuse(product: Product, asked: products.ChangePrice | products.WithdrawProduct, detail: str) -> Decision[Product]:
    return Decision(product, products.ProductCommandRefused(sku=asked.sku, detail=detail))

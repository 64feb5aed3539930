"""The catalogue's rules: every change raises the revision; a command that changes nothing emits nothing."""

from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts import products
from product_svc.product import Product, ProductStatus, RenewWords

Handles = products.ListProduct | products.ChangePrice | products.WithdrawProduct
Recalled = products.ProductListed | products.PriceChanged | products.ProductWithdrawn


def decide(product: Product, message: Handles | RenewWords, _: Context[object]) -> Decision[Product]:
    match product.status, message:
        # listing
        case ProductStatus.LISTED, products.ListProduct() if same_listing(product, message):
            return Decision(product.with_current_words())  # for example a catalogue that is seeded twice
        case _, products.ListProduct():
            return list_product(product, message)

        # price changes
        case ProductStatus.LISTED, products.ChangePrice(price=price) if price == product.price:
            return Decision(product)
        case ProductStatus.LISTED, products.ChangePrice(price=price):
            return change_price(product.revised(ProductStatus.LISTED, price))
        case ProductStatus.WITHDRAWN, products.ChangePrice():
            return refuse(product, message, "it is withdrawn; list it again, at the new price")

        # withdrawal
        case ProductStatus.LISTED, products.WithdrawProduct():
            return withdraw(product.revised(ProductStatus.WITHDRAWN))
        case ProductStatus.WITHDRAWN, products.WithdrawProduct():
            return Decision(product)

        # renewal of search words that an earlier version stored
        case ProductStatus.LISTED | ProductStatus.WITHDRAWN, RenewWords():
            return Decision(product.with_current_words())

        case ProductStatus.NEW, products.ChangePrice() | products.WithdrawProduct():
            return refuse(product, message, "it was never listed")
        case _:
            raise OutOfTurn(product, message)


def same_listing(product: Product, command: products.ListProduct) -> bool:
    listed = (product.title, product.description, product.category, product.price)
    return listed == (command.title, command.description, command.category, command.price)


def list_product(product: Product, command: products.ListProduct) -> Decision[Product]:
    described = replace(
        product,
        sku=command.sku,
        title=command.title,
        description=command.description,
        category=command.category,
    )
    listed = described.with_current_words().revised(ProductStatus.LISTED, command.price)
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


def refuse(
    product: Product, command: products.ChangePrice | products.WithdrawProduct, detail: str
) -> Decision[Product]:
    return Decision(product, products.ProductCommandRefused(sku=command.sku, detail=detail))


def recall(product: Product, event: Recalled, _: Context[object]) -> Decision[Product]:
    """What is known again about an article from product_svc's own events, after its database was set back.

    Without it the revisions would start again, and other services ignore a revision that they have seen. The
    description is in no event: staff add it again.
    """
    if event.revision <= product.revision:
        return Decision(product)
    match event:
        case products.ProductListed(title=title, category=category, price=price):
            listed = replace(product, sku=event.sku, title=title, category=category, price=price)
            known = replace(listed.with_current_words(), status=ProductStatus.LISTED)
        case products.PriceChanged(price=price):
            known = replace(product, sku=event.sku, price=price)
        case products.ProductWithdrawn():
            known = replace(product, sku=event.sku, status=ProductStatus.WITHDRAWN)
    return Decision(replace(known, revision=event.revision))

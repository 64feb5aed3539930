"""A stand-in for product_svc that gives every article one title."""

from collections.abc import Callable

from fastapi import FastAPI


def one_title_catalogue(title: Callable[[], str]) -> FastAPI:
    """A product_svc that returns the same title for every article."""
    app = FastAPI()

    @app.get("/products")
    async def products(skus: str) -> dict[str, object]:
        euros = {"amount_minor": 100, "currency": "EUR"}
        article = {"title": title(), "description": "", "category": "kitchen", "price": euros}
        items = [article | {"sku": sku, "revision": 1, "withdrawn": False} for sku in skus.split(",")]
        return {"items": items, "next": None}

    return app

"""What the routes of the basket need."""

from typing import Protocol

from gateway.basket.repository import BasketRepository
from gateway.catalogue.dependencies import CatalogueDependencies


class BasketDependencies(CatalogueDependencies, Protocol):
    baskets: BasketRepository

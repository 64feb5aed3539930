"""What the routes of the catalogue need."""

from typing import Protocol

from gateway.auth.dependencies import AuthDependencies
from gateway.catalogue.client import CatalogueClient


class CatalogueDependencies(AuthDependencies, Protocol):
    catalogue: CatalogueClient

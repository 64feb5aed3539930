"""The start catalogue: `catalogue.json` beside this module,
with a few scarce articles and one that is sold out.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.products import Category
from contracts.values import Sku, Title

CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")


class CatalogueError(ValueError):
    """The catalogue's file is missing or invalid. The text names the file, the article and the field."""


class CatalogueEntry(BaseModel):
    """An article for sale. `cents`: its price in euro cents. `pieces`: its first stock.

    `staple`: its stock is large, because the demo, the benchmark and the tests order thousands of pieces.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: Sku
    title: Title
    category: Category
    cents: Annotated[int, Field(strict=True, gt=0)]
    pieces: Annotated[int, Field(strict=True, ge=0)]
    staple: Annotated[bool, Field(strict=True)] = False
    description: Annotated[str, Field(strict=True, min_length=1, max_length=4000)]


class _Catalogue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    articles: Annotated[tuple[CatalogueEntry, ...], Field(min_length=1)]


def read_catalogue(path: Path = CATALOGUE_FILE) -> tuple[CatalogueEntry, ...]:
    """The articles in the order of the file. Raises CatalogueError."""
    try:
        articles = _Catalogue.model_validate_json(path.read_bytes()).articles
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise CatalogueError("; ".join(_mistakes(path, error))) from error
    repeated = [sku for sku, count in Counter(article.sku for article in articles).items() if count > 1]
    if repeated:
        raise CatalogueError(f"{path.name}: articles: sku {', '.join(repeated)} occurs more than once")
    return articles


def _mistakes(path: Path, error: ValidationError) -> list[str]:
    return [f"{path.name}: {_field(each['loc'])}{each['msg']}" for each in error.errors(include_url=False)]


def _field(location: tuple[int | str, ...]) -> str:
    """For example `articles[3].cents: `; empty if the file is no JSON."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{path.removeprefix('.')}: " if path else ""


CATALOGUE = read_catalogue()
STAPLES = tuple(article.sku for article in CATALOGUE if article.staple)

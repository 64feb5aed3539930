"""The file of the start catalogue is validated, and an error names the article and the field."""

import json
from pathlib import Path
from typing import Any

import pytest

from journey.devenv.catalogue import CATALOGUE, CATALOGUE_FILE, CatalogueError, read_catalogue

TEA = {"sku": "TEA", "title": "Tea", "category": "tea", "cents": 420, "pieces": 10, "description": "Leaves."}
CUP = {**TEA, "sku": "CUP", "title": "Cup"}


def written(tmp_path: Path, *articles: dict[str, Any]) -> Path:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({"articles": articles}))
    return path


def test_the_start_catalogue_is_the_content_of_its_file() -> None:
    articles = json.loads(CATALOGUE_FILE.read_text())["articles"]
    assert articles == [article.model_dump(exclude_unset=True) for article in CATALOGUE]


def test_articles_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    tea, cup = read_catalogue(written(tmp_path, TEA, {**CUP, "staple": True}))
    assert (tea.sku, tea.cents, tea.pieces, tea.staple) == ("TEA", 420, 10, False)
    assert (cup.sku, cup.staple) == ("CUP", True)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"cents": 4.2}, "articles[1].cents"),
        ({"cents": 0}, "articles[1].cents"),
        ({"pieces": "10"}, "articles[1].pieces"),
        ({"pieces": -1}, "articles[1].pieces"),
        ({"sku": "no spaces"}, "articles[1].sku"),
        ({"title": ""}, "articles[1].title"),
        ({"category": "Tea"}, "articles[1].category"),
        ({"description": ""}, "articles[1].description"),
        ({"staple": "yes"}, "articles[1].staple"),
        ({"colour": "red"}, "articles[1].colour"),
    ],
)
def test_a_mistake_is_reported_with_its_article_and_field(
    tmp_path: Path, changed: dict[str, Any], field: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(written(tmp_path, TEA, {**CUP, **changed}))
    assert str(caught.value).startswith(f"catalogue.json: {field}: ")


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"articles\[0\]\.cents: Field required"):
        read_catalogue(written(tmp_path, {name: value for name, value in TEA.items() if name != "cents"}))


def test_an_article_that_occurs_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="sku TEA occurs more than once"):
        read_catalogue(written(tmp_path, TEA, CUP, TEA))


def test_an_empty_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="articles: "):
        read_catalogue(written(tmp_path))


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    with pytest.raises(CatalogueError, match=r"catalogue\.json cannot be read"):
        read_catalogue(path)
    path.write_text("{")
    with pytest.raises(CatalogueError, match=r"catalogue\.json: Invalid JSON"):
        read_catalogue(path)

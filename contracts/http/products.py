"""HTTP models of product_svc."""

from pydantic import BaseModel, ConfigDict

from contracts.values import Money


class ArticleView(BaseModel):
    """An article as customers see it."""

    model_config = ConfigDict(from_attributes=True)

    sku: str
    title: str
    description: str
    category: str
    price: Money
    revision: int
    withdrawn: bool


class ArticlePage(BaseModel):
    """A page of articles. `next`: the `after` of the following page; null on the last one."""

    items: list[ArticleView]
    next: str | None


class CategoryView(BaseModel):
    """A category, and the number of articles in it that are sold."""

    name: str
    count: int


class CategoryPage(BaseModel):
    """All categories by name."""

    items: list[CategoryView]

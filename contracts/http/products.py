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
    """A page of articles; `next` is what to give as `after` for the one that follows, if one does."""

    items: list[ArticleView]
    next: str | None


class CategoryView(BaseModel):
    """A category, and how many articles of it can be bought."""

    name: str
    count: int


class CategoryPage(BaseModel):
    """All categories by name."""

    items: list[CategoryView]

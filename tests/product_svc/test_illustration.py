"""Illustrations: every article has one, it is deterministic, and no text of a title becomes markup."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from product_svc.illustrations import garden, kitchen, living, pantry
from product_svc.illustrations.desk import parcel
from product_svc.illustrations.illustration import (
    MOTIF_BY_CATEGORY,
    MOTIF_BY_NOUN,
    Motif,
    motif,
    render_illustration,
)
from product_svc.illustrations.palette import COLOUR_WORDS, PAINTS, colours

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {SVG + name for name in ("svg", "title", "g", "path", "rect", "ellipse")}
ATTRIBUTES = set(
    "viewBox width height role d fill opacity stroke stroke-width stroke-linecap stroke-linejoin"
    " x y rx ry cx cy transform".split()
)


@pytest.mark.parametrize(
    ("title", "category", "drawn"),
    [
        ("Kettle, blue", "kitchen", kitchen.kettle),
        ("Green tea, 100 g", "tea", pantry.tin),
        ("Tea towel", "textiles", living.towel),
        ("Desk lamp", "living", living.lamp),
        ("Wool blankets, for two", "textiles", living.blanket),
        ("Something new for the kitchen", "kitchen", kitchen.bowl),
        ("Vase, for a single flower seed", "living", living.vase),
        ("Something new", "garden", garden.plant),
        ("Something new", "bath", pantry.soap),
        ("Something new", "no-such-category", parcel),
        ("", "", parcel),
    ],
)
def test_the_noun_of_the_title_says_what_is_drawn_and_else_the_category(
    title: str, category: str, drawn: Motif
) -> None:
    assert motif(title, category) is drawn


def test_an_article_is_painted_in_the_colour_that_its_title_names() -> None:
    assert colours("ANY-1", ["kettle", "blue"])[0] == PAINTS["blue"]
    assert colours("ANY-1", ["black", "tea"])[0] == PAINTS["charcoal"]


def test_colours_without_a_name_follow_from_the_sku_and_vary() -> None:
    painted = [colours(f"CUP-{number}", ["cup"]) for number in range(100)]
    assert painted == [colours(f"CUP-{number}", ["cup"]) for number in range(100)]
    assert len({(paint.main, room.wall) for paint, room in painted}) > 10


@pytest.mark.parametrize("word", COLOUR_WORDS)
def test_every_colour_stands_out_in_every_room_of_its_own(word: str) -> None:
    for number in range(30):
        paint, room = colours(f"A-{number}", [word])
        assert paint.main not in (room.wall, room.glow, room.table)


@pytest.mark.parametrize("drawn", [*MOTIF_BY_NOUN.values(), *MOTIF_BY_CATEGORY.values(), parcel])
@pytest.mark.parametrize("paint", PAINTS)
def test_every_drawing_is_plain_shapes_in_every_colour(drawn: Motif, paint: str) -> None:
    shapes = drawn(PAINTS[paint])
    ElementTree.fromstring(f"<svg>{''.join(shapes)}</svg>")
    assert sum(map(len, shapes)) < 8_000


@pytest.mark.parametrize("noun", MOTIF_BY_NOUN)
def test_a_picture_holds_nothing_that_runs_loads_or_links(noun: str) -> None:
    root = ElementTree.fromstring(render_illustration("A-1", noun, "kitchen"))
    for element in root.iter():
        assert element.tag in SHAPES
        assert set(element.attrib) <= ATTRIBUTES
        assert "url" not in " ".join(element.attrib.values())


@pytest.mark.parametrize(
    "title",
    [
        '"><img src=x onerror=alert(1)>',
        "</title><script>alert(1)</script>",
        "{{7*7}}",
        "a\u202eb",
        "\x00\x1b",
        "&amp;",
    ],
)
def test_a_title_is_text_and_never_markup(title: str) -> None:
    drawn = render_illustration("A-1", title, "kitchen")
    root = ElementTree.fromstring(drawn)
    (shown,) = root.findall(f"{SVG}title")
    assert shown.text == (re.sub("[\u202e\x00\x1b]", "", title) or None)
    assert "<script" not in drawn and "<img" not in drawn and "49" not in (shown.text or "")


@given(st.text(max_size=120), st.text(max_size=40))
def test_whatever_the_title_the_picture_is_well_formed(title: str, category: str) -> None:
    drawn = render_illustration("A-1", title, category)
    assert ElementTree.fromstring(drawn.encode()).tag == f"{SVG}svg"
    assert drawn == render_illustration("A-1", title, category)


def test_a_lone_half_of_a_character_does_not_break_it() -> None:
    render_illustration("A-1", "cup \ud800", "kitchen").encode()

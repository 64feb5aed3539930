"""Illustrations: every article has one, it is deterministic, and no text of a title becomes markup."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from product_svc.illustrations.illustration import (
    FALLBACK,
    MOTIF_BY_CATEGORY,
    MOTIF_BY_NOUN,
    MOTIFS,
    SCENE,
    motif,
    render_illustration,
)
from product_svc.illustrations.palette import COLOUR_WORDS, PAINTS, SAND, colours, variables

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {"g", "path", "rect", "ellipse"}
ATTRIBUTES = set(
    "d fill opacity stroke stroke-width stroke-linecap stroke-linejoin"
    " x y width height rx ry cx cy transform".split()
)
ROOT_ATTRIBUTES = {"viewBox", "width", "height", "role"}
FILES = [SCENE, *sorted(MOTIFS.glob("*.svg"))]
VARIABLES = set(variables(PAINTS["blue"], SAND))
_COLOUR = r"#[0-9a-f]{6}"
_PREVIEW = re.compile(rf"--[a-z-]+: {_COLOUR}(; --[a-z-]+: {_COLOUR})*")
_PLAIN = re.compile(r"[-A-Za-z0-9 .,()#]*")


def unsafe_parts(svg: str) -> list[str]:
    """What could run, load, link or restyle; also references to variables that have no value."""
    found = [
        markup
        for markup in ("<!", "<?", "&", "url", "href")
        if markup in re.sub("<title>.*?</title>", "", svg)
    ]
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        found += _unsafe_in(element, is_root=element is root)
    return found


def _unsafe_in(element: ElementTree.Element, *, is_root: bool) -> Iterator[str]:
    name = element.tag.removeprefix(SVG)
    if name not in SHAPES and (name, is_root) not in (("svg", True), ("title", False)):
        yield f"<{name}>"
    if name != "title" and (element.text or "").strip() + (element.tail or "").strip():
        yield "text"
    for attribute, value in element.attrib.items():
        variable = re.fullmatch(r"var\(--([a-z-]+)\)", value)
        if is_root and attribute == "style" and _PREVIEW.fullmatch(value):
            continue
        if attribute not in (ROOT_ATTRIBUTES if is_root else ATTRIBUTES):
            yield attribute
        if variable and (attribute not in ("fill", "stroke") or variable[1] not in VARIABLES):
            yield value
        if not variable and not _PLAIN.fullmatch(value):
            yield value


@pytest.mark.parametrize(
    ("title", "category", "drawn"),
    [
        ("Kettle, blue", "kitchen", "kettle"),
        ("Green tea, 100 g", "tea", "tin"),
        ("Tea towel", "textiles", "towel"),
        ("Desk lamp", "living", "lamp"),
        ("Wool blankets, for two", "textiles", "blanket"),
        ("Something new for the kitchen", "kitchen", "bowl"),
        ("Vase, for a single flower seed", "living", "vase"),
        ("Something new", "garden", "plant"),
        ("Something new", "bath", "soap"),
        ("Something new", "no-such-category", "parcel"),
        ("", "", "parcel"),
    ],
)
def test_the_title_noun_or_category_selects_the_illustration(title: str, category: str, drawn: str) -> None:
    assert motif(title, category) == drawn


def test_the_title_determines_the_illustrations_colour() -> None:
    assert colours("ANY-1", ["kettle", "blue"])[0] == PAINTS["blue"]
    assert colours("ANY-1", ["black", "tea"])[0] == PAINTS["charcoal"]


def test_colours_without_a_name_follow_from_the_sku_and_vary() -> None:
    painted = [colours(f"CUP-{number}", ["cup"]) for number in range(100)]
    assert painted == [colours(f"CUP-{number}", ["cup"]) for number in range(100)]
    assert len({(paint.main, room.wall) for paint, room in painted}) > 10


@pytest.mark.parametrize("word", COLOUR_WORDS)
def test_every_colour_differs_from_its_background(word: str) -> None:
    for number in range(30):
        paint, room = colours(f"A-{number}", [word])
        assert paint.main not in (room.wall, room.glow, room.table)


def test_every_drawing_has_a_file_and_every_file_is_drawn() -> None:
    named = {*MOTIF_BY_NOUN.values(), *MOTIF_BY_CATEGORY.values(), FALLBACK}
    assert named == {file.stem for file in MOTIFS.iterdir()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_nothing_that_runs_loads_or_links(file: Path) -> None:
    assert unsafe_parts(file.read_text()) == []
    assert file.stat().st_size < 8_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_previews_each_of_its_variables(file: Path) -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", file.read_text()))
    style = ElementTree.fromstring(file.read_text()).attrib.get("style", "")
    assert used == set(re.findall(r"--([a-z-]+):", style))


@pytest.mark.parametrize(
    ("inside", "part"),
    [
        ("<script>alert(1)</script>", "<script>"),
        ("<style>path { fill: red }</style>", "<style>"),
        ("<foreignObject/>", "<foreignObject>"),
        ("<image/>", "<image>"),
        ("<animate/>", "<animate>"),
        ('<path onload="alert(1)"/>', "onload"),
        ('<path style="fill: red"/>', "style"),
        ('<path fill="url(#a)"/>', "url"),
        ('<a href="https://example.org"/>', "href"),
        ('<path fill="var(--unknown)"/>', "var(--unknown)"),
        ('<path d="var(--main)"/>', "var(--main)"),
        ("<!-- a comment -->", "<!"),
        ("<?php ?>", "<?"),
        ("words", "text"),
    ],
)
def test_an_unsafe_part_is_noticed(inside: str, part: str) -> None:
    assert part in unsafe_parts(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240">{inside}</svg>'
    )


@pytest.mark.parametrize("noun", MOTIF_BY_NOUN)
def test_an_illustration_is_safe_and_has_its_colours(noun: str) -> None:
    for colour in PAINTS:
        drawn = render_illustration("A-1", f"{noun}, {colour}", "kitchen")
        assert unsafe_parts(drawn) == []
        assert "var(" not in drawn and "style" not in drawn


@pytest.mark.parametrize("noun", MOTIF_BY_NOUN)
def test_an_article_has_the_colour_named_in_its_title(noun: str) -> None:
    """Some drawings have colours of their own: a clay pot, a wooden board."""
    drawing = (MOTIFS / f"{MOTIF_BY_NOUN[noun]}.svg").read_text()
    for colour, paint in PAINTS.items():
        drawn = render_illustration("A-1", f"{noun}, {colour}", "")
        assert (f'"{paint.main}"' in drawn) or "var(--main)" not in drawing


def test_a_plant_contrasts_with_a_green_pot() -> None:
    assert PAINTS["blue"].main in render_illustration("A-1", "plant, blue", "")
    assert PAINTS["green"].main not in render_illustration("A-1", "plant, green", "")


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
def test_an_illustration_is_well_formed_for_any_title(title: str, category: str) -> None:
    drawn = render_illustration("A-1", title, category)
    assert ElementTree.fromstring(drawn.encode()).tag == f"{SVG}svg"
    assert drawn == render_illustration("A-1", title, category)


def test_a_lone_half_of_a_character_does_not_break_it() -> None:
    render_illustration("A-1", "cup \ud800", "kitchen").encode()

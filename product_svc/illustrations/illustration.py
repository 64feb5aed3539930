"""Selects the drawing of an article, and draws the scene around it.

An illustration is SVG of plain shapes: no script, no style, no link. Of the text that staff entered it
contains only the title, escaped.
"""

import re
import unicodedata
from collections.abc import Callable
from xml.sax.saxutils import escape

from product_svc.illustrations import desk, garden, kitchen, living, pantry
from product_svc.illustrations.palette import Paint, colours
from product_svc.illustrations.shapes import disc, rect

Motif = Callable[[Paint], list[str]]

# By the noun in the title. The last known noun counts: a tea towel is a towel.
MOTIF_BY_NOUN: dict[str, Motif] = {
    "kettle": kitchen.kettle,
    "teapot": kitchen.teapot,
    "cup": kitchen.cup,
    "mug": kitchen.mug,
    "bowl": kitchen.bowl,
    "plate": kitchen.bowl,
    "board": kitchen.board,
    "knife": kitchen.board,
    "spoon": kitchen.spoons,
    "samovar": kitchen.samovar,
    "tea": pantry.tin,
    "tin": pantry.tin,
    "coffee": pantry.bag,
    "bean": pantry.bag,
    "sugar": pantry.bag,
    "bag": pantry.bag,
    "honey": pantry.honey,
    "jam": pantry.jam,
    "jar": pantry.jam,
    "oil": pantry.bottle,
    "bottle": pantry.bottle,
    "shampoo": pantry.bottle,
    "soap": pantry.soap,
    "brush": pantry.brush,
    "lamp": living.lamp,
    "light": living.lamp,
    "clock": living.clock,
    "chair": living.chair,
    "stool": living.chair,
    "vase": living.vase,
    "candle": living.candle,
    "lantern": living.lantern,
    "basket": living.basket,
    "mirror": living.mirror,
    "blanket": living.blanket,
    "throw": living.blanket,
    "cushion": living.cushion,
    "pillow": living.cushion,
    "towel": living.towel,
    "apron": living.apron,
    "plant": garden.plant,
    "fern": garden.plant,
    "pot": garden.pot,
    "can": garden.watering_can,
    "trowel": garden.trowel,
    "seed": garden.seeds,
    "house": garden.bird_house,
    "notebook": desk.notebook,
    "diary": desk.notebook,
    "pencil": desk.pencils,
    "book": desk.books,
    "envelope": desk.envelope,
    "paper": desk.envelope,
    "ink": desk.ink,
    "pen": desk.ink,
}
MOTIF_BY_CATEGORY: dict[str, Motif] = {
    "kitchen": kitchen.bowl,
    "tea": pantry.tin,
    "pantry": pantry.honey,
    "living": living.vase,
    "textiles": living.blanket,
    "garden": garden.plant,
    "desk": desk.notebook,
    "bath": pantry.soap,
}
_WORD = re.compile(r"[a-z]+")
# Characters that XML does not allow, and those that change the writing direction.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")


def render_illustration(sku: str, title: str, category: str) -> str:
    """Deterministic: the same article always gets the same drawing."""
    words = _words(title)
    paint, room = colours(sku, [*words, *_words(sku)])
    shapes = [
        rect(0, 0, 240, 240, room.wall),
        disc(120, 112, 92, room.glow),
        rect(0, 184, 240, 56, room.table),
        rect(0, 184, 240, 3, room.glow, opacity=0.5),
        *motif(title, category)(paint),
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" width="240" height="240" role="img">'
        f"<title>{escape(_UNFIT.sub('', title))}</title>{''.join(shapes)}</svg>\n"
    )


def motif(title: str, category: str) -> Motif:
    """Uses the text before the first comma: what follows describes the article's properties."""
    for word in reversed(_words(title.partition(",")[0])):
        if (found := MOTIF_BY_NOUN.get(word) or MOTIF_BY_NOUN.get(word.removesuffix("s"))) is not None:
            return found
    return MOTIF_BY_CATEGORY.get(category, desk.parcel)


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
